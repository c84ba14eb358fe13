"""Messages to the people who watch an update: they go to the engine, in the order in which they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import grpc

from heliostat.pulumi_proto import engine_pb2, engine_pb2_grpc

_SEND_SECONDS = 5.0


@dataclass(frozen=True)
class _Message:
    severity: engine_pb2.LogSeverity.ValueType
    urn: str
    text: str
    ephemeral: bool


class Reporter:
    """Sends messages to the engine's Log service from one task; without an engine they are dropped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[_Message] = asyncio.Queue()
        self._engine: Any = None  # its generated stub is typed for channels that block
        self._channel: grpc.aio.Channel | None = None
        self._task = self._loop.create_task(self._send())

    def attach(self, address: str) -> None:
        """Send to the engine at `address` (`host:port`) from now on."""
        self._channel = grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),))
        self._engine = engine_pb2_grpc.EngineStub(self._channel)

    def about(self, urn: str, hidden: Collection[str]) -> Reports:
        """How one call tells of its resource; `hidden` texts are blotted out."""
        return Reports(self, urn, hidden)

    def tell(self, message: _Message) -> None:
        """Queue a message; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    async def flush(self) -> None:
        """Return when all that was told is sent, so that no message comes after the end of its step."""
        await asyncio.sleep(0)
        await self._queue.join()

    async def _send(self) -> None:
        while True:
            message = await self._queue.get()
            try:
                if self._engine is not None:
                    await self._engine.Log(_request(message), timeout=_SEND_SECONDS)
            except grpc.RpcError:
                pass  # an engine that ended, or is busy, must not stop the work
            finally:
                self._queue.task_done()


class Reports:
    """What one call tells."""

    def __init__(self, reporter: Reporter, urn: str, hidden: Collection[str]) -> None:
        self._reporter = reporter
        self._urn = urn
        self._hidden = sorted(hidden, key=len, reverse=True)
        self._shown = ""

    def redacted(self, text: str) -> str:
        """`text` without the secrets of the resource."""
        for secret in self._hidden:
            text = text.replace(secret, "[secret]")
        return text

    def progress(self, text: str) -> None:
        """What is being done now."""
        if text != self._shown:
            self._shown = text
            self._tell(engine_pb2.INFO, text, ephemeral=True)

    def info(self, text: str) -> None:
        """Something worth keeping."""
        self._tell(engine_pb2.INFO, text)

    def warn(self, text: str) -> None:
        """Something to act upon."""
        self._tell(engine_pb2.WARNING, text)

    def debug(self, text: str) -> None:
        """For whoever looks for a fault."""
        self._tell(engine_pb2.DEBUG, text)

    def _tell(self, severity: engine_pb2.LogSeverity.ValueType, text: str, ephemeral: bool = False) -> None:
        self._reporter.tell(_Message(severity, self._urn, self.redacted(text), ephemeral))


def _request(message: _Message) -> engine_pb2.LogRequest:
    return engine_pb2.LogRequest(severity=message.severity, urn=message.urn, message=message.text, ephemeral=message.ephemeral)
