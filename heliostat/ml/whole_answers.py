"""The head and the body of an answer leave a replica in one write.

uvicorn writes the head of an answer when it is told of it, and the body after that. A replica that is killed between the two
loses the request although others could have answered it: once HAProxy has read a head, it asks nobody else. It is no rare
moment either, for the head alone wakes HAProxy, which then competes with the replica for the core. ASGI asks a server to hold
the head until the first part of the body is there; with `WholeAnswer` uvicorn does. Later parts of a body that comes in parts
are sent as they come.

Serve starts uvicorn itself and leaves no choice of its protocol, so `install` replaces the class that uvicorn's protocol makes
for each request, in the process of the replica alone. That is an inside of uvicorn, so it then has an answer made, by the
protocol that Serve's call will choose, and refuses to go on where this takes more than one write.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from heliostat.systems.errors import PermanentError

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

_HEAD: Final = "http.response.start"
_PROOF_SECONDS: Final = 5.0


class WholeAnswer(RequestResponseCycle):
    """One request and its answer, whose head waits for the first part of its body."""

    _head: ASGISendEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        """As ASGI has it."""
        if message["type"] == _HEAD and not self.response_started:
            # A head that is still held gives way to uvicorn's own 500, where the application failed before its body.
            self._head = message
            return
        head, self._head = self._head, None
        if head is None:
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        # Nothing waits from here on, so nobody else sees the transport that only gathers.
        transport, gathered = self.transport, _Gathered(self.transport)
        self.transport = gathered
        try:
            await super().send(head)
            await super().send(message)
        except BaseException:
            # Nothing of it was sent, and half an answer shall not be: HAProxy asks another replica.
            transport.close()
            raise
        finally:
            self.transport = transport
        gathered.flush()


class _Gathered(asyncio.Transport):
    """In the place of a transport while a head and the first part of a body become bytes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._parts: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keep it."""
        self._parts.append(data)

    def flush(self) -> None:
        """Write what was kept."""
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Close what it stands for, once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Of what it stands for."""
        return self._transport.is_closing()


async def install() -> None:
    """Have uvicorn answer so in this process.

    Raises:
        PermanentError: this uvicorn is built differently, and would go on writing answers in parts.
    """
    httptools_impl.RequestResponseCycle = WholeAnswer  # type: ignore[misc]
    try:
        async with asyncio.timeout(_PROOF_SECONDS):
            written = await _written()
    except Exception as error:
        raise PermanentError(f"{_not_known()}: {type(error).__name__}: {error}") from error
    if len(written) != 1 or not written[0].endswith(b"\r\n\r\nproof"):
        raise PermanentError(f"{_not_known()}: it wrote an answer in {len(written)} parts, {written!r}")


def _not_known() -> str:
    return (
        f"uvicorn {uvicorn.__version__} does not let heliostat.ml.whole_answers send an answer in one write, without which a "
        "replica that is killed can lose a request; install the release that requirements.lock names"
    )


async def _written() -> list[bytes]:
    """What uvicorn, set up as by Serve, writes to a client for one small answer."""
    config = uvicorn.Config(_answer, lifespan="off", access_log=False, log_level=None, log_config=None)
    config.load()
    state, transport = ServerState(), _Recorder()
    protocol: Any = config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]
    protocol.connection_made(transport)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: replica\r\n\r\n")
    await asyncio.gather(*state.tasks)
    protocol.connection_lost(None)
    return transport.written


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": _HEAD, "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"proof"})


class _Recorder(asyncio.Transport):
    """A client's connection that notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
