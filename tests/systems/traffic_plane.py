"""Small servers in place of replicas, and clients, for tests of the real HAProxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from heliostat.spec.endpoints import Endpoint
from heliostat.spec.latencies import Counts
from heliostat.spec.routes import PREDICT
from heliostat.systems import haproxy, processes
from heliostat.systems.errors import RetryableError
from heliostat.systems.haproxy_config import Plane, Route

MADE_ID = "made-by-the-replica"
"""Of a request that came without one."""


class FakeReplica:
    """Answers like a replica of one colour: its probes, and everything below its prefix."""

    def __init__(self, label: str, prefix: str) -> None:
        self.label, self.prefix = label, prefix
        self.draining = False
        self.status = 200
        self.seconds = 0.0
        """How long an answer takes."""
        self.breaks_off = 0
        """How many more requests it closes the connection on, without an answer."""
        self.hold = asyncio.Event()
        self.hold.set()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._killed = False

    async def start(self) -> FakeReplica:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.server = Endpoint(self.label, *self._server.sockets[0].getsockname()[:2])
        return self

    def kill(self) -> None:
        """End at once: nobody listens any more, and open connections are reset."""
        self._killed = True
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._killed:  # it was just being accepted
            writer.transport.abort()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, path, headers = _head(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(int(headers.get("content-length", 0)))
                status, body = await self._answer(method, path, headers)
                if status == 0:
                    break
                text = json.dumps(body).encode()
                identity = headers.get("x-request-id", MADE_ID)
                head = f"HTTP/1.1 {status} Said\r\nx-request-id: {identity}\r\ncontent-length: {len(text)}\r\n\r\n"
                writer.write(head.encode() + text)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        if path == "/-/healthz":
            return (503 if self.draining else 200), {}
        if not path.startswith(self.prefix):
            return 404, {}
        if method != "POST":
            return 200, {}
        self.seen.append((path, headers))
        if self.breaks_off:
            self.breaks_off -= 1
            return 0, None
        await self.hold.wait()
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return self.status, {"label": self.label, "path": path}


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "POST") -> Answer:
        """Send something, and read the answer."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        body = "content-length: 2\r\n\r\n{}" if method == "POST" else "\r\n"
        self._writer.write(f"{method} {path} HTTP/1.1\r\nhost: test\r\n{lines}{body}".encode())
        status, _, found = _head(await self._reader.readuntil(b"\r\n\r\n"))
        body = await self._reader.readexactly(int(found["content-length"]))
        return Answer(int(status), found, json.loads(body))


async def sent(plane: Plane, text: bytes, half: bool = False) -> bytes:
    """What comes back for raw bytes, until HAProxy closes; `half`: the client says that nothing follows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plane.public_port)
    try:
        writer.write(text)
        await writer.drain()
        if half:
            writer.write_eof()
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


def predictions(found: haproxy.TrafficSnapshot) -> dict[str, Counts]:
    """What was counted of predictions, by backend."""
    return {backend: routes.get(PREDICT, Counts()) for backend, routes in found.counts.items()}


@asynccontextmanager
async def client(plane: Plane) -> AsyncIterator[Client]:
    """A connection to the public port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plane.public_port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def ask(plane: Plane, path: str, headers: dict[str, str] | None = None) -> Answer:
    """One request on a connection of its own."""
    async with asyncio.timeout(60), client(plane) as connected:
        return await connected.ask(path, headers)


async def until(plane: Plane, holds: Callable[[haproxy.TrafficSnapshot], bool]) -> haproxy.TrafficSnapshot:
    """The first snapshot of which it holds."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RetryableError):
                found = await haproxy.snapshot(plane)
                if holds(found):
                    return found
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(plane: Plane, *routes: Route) -> AsyncIterator[Plane]:
    """HAProxy, with all its servers found well."""
    haproxy.write(plane, routes)
    processes.start(haproxy.service(plane, "haproxy"))
    try:
        await until(plane, lambda found: all(s.answers for servers in found.backends.values() for s in servers.values()))
        yield plane
    finally:
        await processes.stop(plane.directory, "haproxy")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _head(text: bytes) -> tuple[str, str, dict[str, str]]:
    """Method and path and headers of a request; version dropped, of an answer: status, reason and headers."""
    first, *lines = text.decode().split("\r\n")
    words = [word for word in first.split(" ") if not word.startswith("HTTP/")]
    pairs = (line.partition(":") for line in lines if line)
    return words[0], words[1] if len(words) > 1 else "", {name.lower(): value.strip() for name, _, value in pairs}
