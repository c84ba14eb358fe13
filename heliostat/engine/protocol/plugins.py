"""Provider plugins as processes: found by their folder, started, spoken to by gRPC, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

from heliostat.engine.errors import EngineError, GoesOn, InitFailed, NoCredentials, ProviderError, Unimplemented
from heliostat.engine.protocol.children import MAX_MESSAGE_BYTES, Child
from heliostat.engine.protocol.launching import Ahead, command_of, start
from heliostat.engine.protocol.properties import from_struct
from heliostat.pulumi_proto import errors_pb2, provider_pb2, provider_pb2_grpc, status_pb2

CHANNEL_OPTIONS = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.max_send_message_length", MAX_MESSAGE_BYTES)]
CONNECT_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 5.0
DEATH_NOTICE_S = 2.0
"""How long a broken connection may be ahead of the news that its process died."""
GOES_ON = "heliostat-goes-on-bin"
"""Trailing metadata of a call that began what goes on without it: a JSON object of texts, for whoever looks for it."""
TOLD = "told"
"""In that object: the message for those who tell what goes on from what failed."""

LineSink = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What every plugin of an operation is started with."""

    engine_address: str
    main: Path
    environment: Mapping[str, str]
    start_timeout_s: float
    log: LineSink
    ahead: Ahead = field(default_factory=Ahead)
    """Plugins that were started before this was known; the engine's address is told to them in the handshake."""


@dataclass
class Plugin:
    """A running plugin; `call` speaks to it, `close` ends it."""

    name: str
    process: Child
    channel: grpc.aio.Channel | None = None
    stub: Any = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    shook_hands: bool = False
    """What it can is known from the handshake; of others Configure tells it."""
    accepts_secrets: bool = False
    accepts_resources: bool = False
    supports_preview: bool = False
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def launch(cls, name: str, folder: Path, around: Surroundings) -> Plugin:
        """Starts the plugin in `folder` and shakes hands. Raises EngineError with its stderr where it does not come up."""
        started = around.ahead.plugins.pop(name, None)
        if started is None:
            arguments, environment = command_of(name, folder, around.environment)
            started = start([*arguments, around.engine_address], around.main, environment)
        process = await Child.of(started)
        plugin = cls(name, process)
        plugin.readers.append(asyncio.create_task(plugin._follow(process.stderr, around.log)))
        try:
            async with asyncio.timeout(around.start_timeout_s):
                await plugin._connect(process.stdout, folder, around)
        except TimeoutError:
            raise await plugin._failed(f"did not say its port within {around.start_timeout_s:g} s") from None
        except asyncio.CancelledError:
            await plugin.close()
            raise
        return plugin

    async def _connect(self, stdout: asyncio.StreamReader, folder: Path, around: Surroundings) -> None:
        line = (await stdout.readline()).decode(errors="replace").strip()
        if not line:
            raise await self._failed("ended before it said its port")
        if not line.isdigit():
            raise await self._failed(f"wrote {line!r} to stdout where its port was expected")
        self.readers.append(asyncio.create_task(self._follow(stdout, around.log)))
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{line}", options=CHANNEL_OPTIONS)
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.channel.channel_ready()
        except TimeoutError:
            raise await self._failed(f"does not answer on port {line}, {CONNECT_TIMEOUT_S:g} s after it said so") from None
        await self._shake_hands(folder, around)

    async def _shake_hands(self, folder: Path, around: Surroundings) -> None:
        request = provider_pb2.ProviderHandshakeRequest(
            engine_address=around.engine_address,
            root_directory=str(folder),
            program_directory=str(folder),
            configure_with_urn=True,
            invoke_with_preview=True,
        )
        try:
            answer = await self.stub.Handshake(request)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise await self._explained(error, "Handshake") from None
            return
        self.shook_hands = self.supports_preview = True
        self.accepts_secrets, self.accepts_resources = answer.accept_secrets, answer.accept_resources

    async def call(self, method: str, request: Any) -> Any:
        """One call. Raises ProviderError, or InitFailed where there is a resource that is not well."""
        try:
            return await getattr(self.stub, method)(request)
        except grpc.aio.AioRpcError as error:
            raise await self._explained(error, method) from None

    async def cancel(self) -> None:
        """Tells the plugin that the operation is over; what it does about it is its own affair."""
        if self.stub is not None and self.process.returncode is None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self.stub.Cancel(empty_pb2.Empty(), timeout=CANCEL_TIMEOUT_S)

    async def close(self) -> None:
        """Ends the process and what it started in its own session."""
        if self.channel:
            await self.channel.close(None)
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self.process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self.process.wait()
        for reader in self.readers:
            reader.cancel()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    async def _follow(self, stream: asyncio.StreamReader, log: LineSink) -> None:
        while line := await stream.readline():
            text = line.decode(errors="replace").rstrip()
            self.tail.append(text)
            log(text)

    async def _explained(self, error: grpc.aio.AioRpcError, method: str) -> ProviderError:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEATH_NOTICE_S):
                    await self.process.wait()
                    await asyncio.gather(*self.readers)
            if self.process.returncode is not None:
                how = _how(self.process.returncode)
                return ProviderError(self._with_tail(f"plugin '{self.name}' died {how} during {method}"))
        if error.code() is grpc.StatusCode.CANCELLED and not error.details():
            what = f"plugin '{self.name}' broke off {method} and does not say why; run it again, what was done is kept"
            return ProviderError(self._with_tail(what))
        return explained(error)

    async def _failed(self, what: str) -> EngineError:
        """Ends a plugin that did not come up, and says why as far as it said so itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self.process.wait()
        code = self.process.returncode
        await asyncio.wait(self.readers[:1], timeout=0.5)
        await self.close()
        return EngineError(self._with_tail(f"plugin '{self.name}' {what}" + (f" ({_how(code)})" if code is not None else "")))

    def _with_tail(self, message: str) -> str:
        said = "\n".join(f"    {line}" for line in self.tail)
        return f"{message}; it said last:\n{said}" if said else f"{message}; it said nothing"


def _how(code: int) -> str:
    return f"of signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _texts(packed: bytes) -> dict[str, str]:
    """A JSON object of texts; none where it is no such thing."""
    try:
        found = json.loads(packed)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def explained(error: grpc.aio.AioRpcError) -> ProviderError:
    """The error of a call with what its details say; secrets are the provider's to keep out of it."""
    message = error.details() or error.code().name
    metadata: Any = error.trailing_metadata() or ()
    packed = next((value for key, value in metadata if key == "grpc-status-details-bin"), None)
    if (going := next((value for key, value in metadata if key == GOES_ON), None)) is not None:
        details = _texts(going)
        return GoesOn(details.pop(TOLD, message), details)
    if error.code() == grpc.StatusCode.UNIMPLEMENTED:
        return Unimplemented(message)
    if error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return NoCredentials(message)
    if packed is None:
        return ProviderError(message)
    status = status_pb2.Status.FromString(packed)
    for detail in status.details:
        if detail.Is(errors_pb2.InputPropertiesError.DESCRIPTOR):
            wrong = errors_pb2.InputPropertiesError()
            detail.Unpack(wrong)
            listed = "".join(f"\n  - {e.reason}: {e.property_path}" for e in wrong.errors)
            return ProviderError(f"{message}:{listed}")
        if detail.Is(provider_pb2.ErrorResourceInitFailed.DESCRIPTOR):
            failed = provider_pb2.ErrorResourceInitFailed()
            detail.Unpack(failed)
            inputs = from_struct(failed.inputs) if failed.HasField("inputs") else None
            return InitFailed(message, failed.id, from_struct(failed.properties), inputs, list(failed.reasons))
    return ProviderError(message)
