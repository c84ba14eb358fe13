"""The plugin as an engine drives it: a process of its own, called over gRPC, with a fake of the engine's Log service."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

PLUGIN = Path(__file__).parents[2] / "heliostat" / "provider"


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    return json_format.MessageToDict(message)


def urn_of(kind: str, name: str = "it") -> str:
    return f"urn:pulumi:dev::heliostat::heliostat:index:{kind}::{name}"


class EngineLog(engine_pb2_grpc.EngineServicer):
    """Keeps what the plugin tells."""

    def __init__(self) -> None:
        self.messages: list[engine_pb2.LogRequest] = []
        self.told = asyncio.Event()

    async def Log(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.messages.append(request)
        self.told.set()
        return empty_pb2.Empty()


@dataclass
class Plugin:
    """One running plugin. `state` is what an engine would keep: inputs, id and outputs by kind of resource."""

    stub: Any
    log: EngineLog
    process: subprocess.Popen[str] | None = None
    state: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = field(default_factory=dict)

    async def check(self, kind: str, inputs: dict[str, Any]) -> Any:
        return await self.stub.Check(provider_pb2.CheckRequest(urn=urn_of(kind), news=struct(inputs)))

    async def up(self, kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """What an `up` with a refresh does to one resource; its outputs."""
        known = self.state.get(kind)
        if known:
            known = await self.refresh(kind)
        checked = await self.check(kind, inputs)
        assert not checked.failures, checked.failures
        news, urn = checked.inputs, urn_of(kind)
        if not known:
            made = await self.stub.Create(provider_pb2.CreateRequest(urn=urn, properties=news))
            self.state[kind] = (plain(news), made.id, plain(made.properties))
            return self.state[kind][2]
        old, identifier, outputs = known
        diff = await self.stub.Diff(
            provider_pb2.DiffRequest(urn=urn, id=identifier, olds=struct(outputs), news=news, old_inputs=struct(old))
        )
        if diff.changes == provider_pb2.DiffResponse.DIFF_SOME:
            done = await self.stub.Update(
                provider_pb2.UpdateRequest(urn=urn, id=identifier, olds=struct(outputs), news=news, old_inputs=struct(old))
            )
            self.state[kind] = (plain(news), identifier, plain(done.properties))
        return self.state[kind][2]

    async def refresh(self, kind: str) -> tuple[dict[str, Any], str, dict[str, Any]] | None:
        old, identifier, outputs = self.state[kind]
        request = provider_pb2.ReadRequest(urn=urn_of(kind), id=identifier, properties=struct(outputs), inputs=struct(old))
        found = await self.stub.Read(request)
        if not found.id:
            del self.state[kind]
            return None
        self.state[kind] = (plain(found.inputs), identifier, plain(found.properties))
        return self.state[kind]

    async def destroy(self, kind: str) -> None:
        old, identifier, outputs = self.state[kind]
        await self.stub.Delete(
            provider_pb2.DeleteRequest(urn=urn_of(kind), id=identifier, properties=struct(outputs), old_inputs=struct(old))
        )
        del self.state[kind]


@asynccontextmanager
async def plugin_process() -> AsyncIterator[Plugin]:
    """A plugin in a process of its own."""
    log, server = EngineLog(), grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(log, server)
    engine = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts in no time
        [sys.executable, str(PLUGIN), f"127.0.0.1:{engine}"], stdout=subprocess.PIPE, text=True, cwd=PLUGIN
    )
    assert process.stdout
    try:
        port = int(process.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel), log, process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        await server.stop(None)
