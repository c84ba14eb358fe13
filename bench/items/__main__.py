"""A provider plugin of nothing: its items exist as soon as they are asked for. What is left to measure is the engine."""

from __future__ import annotations

import asyncio
import sys

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value that is known only after the deed, in Pulumi's protocol."""


class Items(provider_pb2_grpc.ResourceProviderServicer):
    """The type `items:index:Item`: any inputs; outputs are the inputs and a `label`, which a preview cannot know."""

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: object) -> plugin_pb2.PluginInfo:
        """Part of the protocol."""
        return plugin_pb2.PluginInfo(version="1.0.0")

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: object) -> provider_pb2.CheckResponse:
        """Takes any configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: object) -> provider_pb2.DiffResponse:
        """Finds no difference."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: provider_pb2.ConfigureRequest, context: object) -> provider_pb2.ConfigureResponse:
        """Says what it can do."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    async def Check(self, request: provider_pb2.CheckRequest, context: object) -> provider_pb2.CheckResponse:
        """Takes any inputs."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: provider_pb2.DiffRequest, context: object) -> provider_pb2.DiffResponse:
        """Compares the inputs."""
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_NONE if request.old_inputs == request.news else kinds.DIFF_SOME)

    async def Create(self, request: provider_pb2.CreateRequest, context: object) -> provider_pb2.CreateResponse:
        """Makes an item."""
        name = request.urn.rpartition("::")[2]
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(request.properties)
        outputs["label"] = _UNKNOWN if request.preview else f"label of {name}"
        return provider_pb2.CreateResponse(id="" if request.preview else name, properties=outputs)

    async def Delete(self, request: provider_pb2.DeleteRequest, context: object) -> empty_pb2.Empty:
        """Forgets an item."""
        return empty_pb2.Empty()

    async def Cancel(self, request: empty_pb2.Empty, context: object) -> empty_pb2.Empty:
        """Has nothing to cancel."""
        return empty_pb2.Empty()


async def main() -> None:
    """Serves until it is ended, on a port that it prints."""
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Items(), server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
