"""What the providers have in common that tests play, each a plugin of its own: values as Pulumi's protocol has them, the calls
that are answered alike, and the server."""

import asyncio
import json
import sys
from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2

from heliostat.pulumi_proto import plugin_pb2, provider_pb2_grpc
from heliostat.pulumi_proto import provider_pb2 as pb

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
MESSAGES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def bare(value: Any) -> Any:
    """Values as they are, secrets laid open."""
    if isinstance(value, dict):
        return bare(value["value"]) if value.get(SIGNATURE) == SECRET else {key: bare(each) for key, each in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [bare(each) for each in value] if isinstance(value, list) else value


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


def at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def kind_and_name(urn: str) -> tuple[str, str]:
    kind, name = urn.split("::")[2:4]
    return kind.rpartition("$")[2], name


def difference(request: Any, replacing: Iterable[str]) -> Any:
    """The keys that differ; a difference at one of the paths of `replacing` needs a new resource."""
    olds, news = bare(json_format.MessageToDict(request.old_inputs)), bare(json_format.MessageToDict(request.news))
    changed = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key) and key != "version")
    replaced = [path for path in replacing if at(olds, path) != at(news, path)]
    changes = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
    return pb.DiffResponse(changes=changes, diffs=changed, replaces=replaced, deleteBeforeReplace=bool(replaced))


class PlayedProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Takes whatever it is given."""

    name, version = "any", "1.0.0"

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    async def GetSchema(self, request: Any, context: Any) -> Any:
        return pb.GetSchemaResponse(schema=json.dumps({"name": self.name, "version": self.version}))

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    async def Configure(self, request: Any, context: Any) -> Any:
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=False)

    async def Check(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def serve(provider: PlayedProvider) -> None:
    """Serve it, and say at which port, until whoever asked for it ends this process."""

    async def main() -> None:
        server = grpc.aio.server(options=MESSAGES)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await server.wait_for_termination()

    asyncio.run(main())
