"""A provider of any package that makes nothing and keeps everything: what it was asked for, and what it said that it made.

Each call is a line of JSON in the file RECORDING; a secret in it stands as {"secret": VALUE} and what is not known yet as
{"unknown": true}. What there is lies beside it in `world-PACKAGE.json`, by URN: what was made and not deleted. Outputs
are the inputs with what `computed_PACKAGE.py` says that a cloud would add; in a preview these are not known.

    def computed(kind: str, name: str, inputs: dict) -> dict      what the cloud adds; `id` is the resource's
    def replaces(kind: str) -> tuple[str, ...]                    paths of inputs whose change needs a new resource (optional)
    def invoke(token: str, arguments: dict) -> dict               what a function answers (optional)

RECORDING_FAIL names a resource (its URN's end) whose create fails; RECORDING_GONE one that a read does not find.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2

from heliostat.pulumi_proto import plugin_pb2, provider_pb2_grpc
from heliostat.pulumi_proto import provider_pb2 as pb

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
LOG = Path(os.environ["RECORDING"])
MESSAGES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def bare(value: Any) -> Any:
    """Values as they are, secrets laid open."""
    if isinstance(value, dict):
        return bare(value["value"]) if value.get(SIGNATURE) == SECRET else {key: bare(each) for key, each in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [bare(each) for each in value] if isinstance(value, list) else value


def shown(value: Any) -> Any:
    """Values as the log has them."""
    if isinstance(value, dict):
        return {"secret": shown(value["value"])} if value.get(SIGNATURE) == SECRET else {k: shown(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shown(each) for each in value]
    return {"unknown": True} if value == UNKNOWN else bare(value)


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


def unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(unknown, value.values()))
    return any(map(unknown, value)) if isinstance(value, list) else value == UNKNOWN


def at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def cloud(token: str) -> Any:
    """What the package of a type adds; nothing where nobody said."""
    try:
        return importlib.import_module(f"computed_{token.split(':')[0]}")
    except ModuleNotFoundError:
        return None


def added(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    package = cloud(kind)
    found = package.computed(kind, name, inputs) if package else {}
    return {"id": f"{name}-id", **found}


def kind_and_name(urn: str) -> tuple[str, str]:
    kind, name = urn.split("::")[2:4]
    return kind.rpartition("$")[2], name


class Recording(provider_pb2_grpc.ResourceProviderServicer):
    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1.0.0")

    async def GetSchema(self, request: Any, context: Any) -> Any:
        return pb.GetSchemaResponse(schema=json.dumps({"name": "any", "version": "1.0.0"}))

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        return difference("", request)

    async def Configure(self, request: Any, context: Any) -> Any:
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=False)

    async def Check(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:
        return difference(kind_and_name(request.urn)[0], request)

    async def Create(self, request: Any, context: Any) -> Any:
        kind, name = kind_and_name(request.urn)
        inputs = json_format.MessageToDict(request.properties)
        note("preview" if request.preview else "create", request.urn, inputs)
        more = added(kind, name, bare(inputs))
        identifier = str(more.pop("id"))
        if request.preview:
            return pb.CreateResponse(properties=struct({**inputs, **dict.fromkeys(more, UNKNOWN)}))
        if unknown(inputs):
            await context.abort(grpc.StatusCode.INTERNAL, f"{name} was made with what nobody knows")
        if name == os.environ.get("RECORDING_FAIL"):
            await context.abort(grpc.StatusCode.UNKNOWN, f"{name} was told to fail")
        keep(request.urn, identifier)
        return pb.CreateResponse(id=identifier, properties=struct({**inputs, **more}))

    async def Update(self, request: Any, context: Any) -> Any:
        kind, name = kind_and_name(request.urn)
        inputs = json_format.MessageToDict(request.news)
        note("preview" if request.preview else "update", request.urn, inputs)
        more = added(kind, name, bare(inputs))
        more.pop("id")
        return pb.UpdateResponse(properties=struct({**inputs, **more}))

    async def Read(self, request: Any, context: Any) -> Any:
        if kind_and_name(request.urn)[1] == os.environ.get("RECORDING_GONE"):
            return pb.ReadResponse()
        state = json_format.MessageToDict(request.properties)
        return pb.ReadResponse(id=request.id, properties=struct(state), inputs=request.inputs)

    async def Delete(self, request: Any, context: Any) -> Any:
        note("delete", request.urn, {})
        keep(request.urn, None, request.id)
        return empty_pb2.Empty()

    async def Invoke(self, request: Any, context: Any) -> Any:
        arguments = json_format.MessageToDict(request.args)
        note("invoke", f"::::{request.tok}::", arguments)
        package = cloud(request.tok)
        if not hasattr(package, "invoke"):
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"nobody says what {request.tok} answers")
        return pb.InvokeResponse(**{"return": struct(package.invoke(request.tok, bare(arguments)))})

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def difference(kind: str, request: Any) -> Any:
    olds, news = bare(json_format.MessageToDict(request.old_inputs)), bare(json_format.MessageToDict(request.news))
    changed = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key) and key != "version")
    package = cloud(kind) if kind else None
    paths = package.replaces(kind) if hasattr(package, "replaces") else ()
    replaced = [path for path in paths if at(olds, path) != at(news, path)]
    changes = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
    return pb.DiffResponse(changes=changes, diffs=changed, replaces=replaced, deleteBeforeReplace=bool(replaced))


def note(call: str, urn: str, inputs: dict[str, Any]) -> None:
    with LOG.open("a") as file:
        file.write(json.dumps({"call": call, "urn": urn, "inputs": shown(inputs)}) + "\n")


def keep(urn: str, identifier: str | None, gone: str = "") -> None:
    """One file a package, as each is a process."""
    file = LOG.with_name(f"world-{kind_and_name(urn)[0].split(':')[0]}.json")
    world = json.loads(file.read_text()) if file.exists() else {}
    if identifier is not None:
        world[urn] = identifier
    elif world.get(urn) == gone:
        del world[urn]
    file.write_text(json.dumps(world))


async def main() -> None:
    server = grpc.aio.server(options=MESSAGES)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Recording(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


asyncio.run(main())
