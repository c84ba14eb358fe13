"""A connection of a replica with an application behind it that echoes, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from heliostat.serving.rest.connection import Connection
from heliostat.serving.rest.exchange import JSON, Request, Response, error_response
from heliostat.serving.slots import Slots

GET = b"GET /app/x HTTP/1.1\r\nhost: r\r\n\r\n"
POST = b"POST /app/x HTTP/1.1\r\nhost: r\r\ncontent-length: 5\r\n\r\nhello"


class Echo:
    """Tells what it was asked; `/app/long` takes until it is let go, in a thread."""

    max_body_bytes = 1000

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.go = threading.Event()
        self.at_once = self.most_at_once = 0

    def reply(self, request: Request) -> Any:
        self.asked.append(request)
        if request.path == "/bug":
            raise ZeroDivisionError("a bug of ours")
        if request.path != "/long":
            return self._told(request)

        def work() -> Response:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            assert self.go.wait(10)
            self.at_once -= 1
            if request.query == b"fails":
                raise ZeroDivisionError("a bug of ours")
            return self._told(request)

        return work

    def too_large(self, request: Request, size: int) -> Response:
        return error_response(413, f"{size} of {self.max_body_bytes}")

    def _told(self, request: Request) -> Response:
        body = b"%s %s?%s %s" % (request.method.encode(), request.path.encode(), request.query, request.body)
        return Response(200, JSON, body, ((b"x-heliostat-version", b"1"),))


class Serves:
    """Serve's own ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/-/fails":
            raise RuntimeError("a bug of Serve's")
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 503, "headers": [(b"Content-Type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Serve: ", "more_body": True})
        await send({"type": "http.response.body", "body": scope["path"].encode() + body})


class Server:
    """Connections as uvicorn makes them."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.slots = Slots(4)
        self.state = SimpleNamespace(connections=set(), tasks=set())
        self.config = SimpleNamespace(loaded_app=Serves(), timeout_keep_alive=30.0)

    async def start(self) -> None:
        assert "uvloop" in type(asyncio.get_running_loop()).__module__, "the loop that replicas have"
        made = partial(Connection, self.echo, "/app", self.slots, config=self.config, server_state=self.state, app_state={})
        self.server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def client(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def said(self, data: bytes, answers: int = 1) -> list[Answer]:
        client = await self.client()
        client.send(data)
        return [await client.answer() for _ in range(answers)]


class Answer:
    def __init__(self, head: bytes, body: bytes) -> None:
        line, *fields = head.decode().split("\r\n")
        self.status = int(line.split(" ")[1])
        self.headers = dict(field.split(": ", 1) for field in fields if field)
        self.body = body


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, with_body: bool = True) -> Answer:
        async with asyncio.timeout(60):
            head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
            answer = Answer(head, b"")
            if with_body:
                answer.body = await self.reader.readexactly(int(answer.headers.get("content-length", 0)))
            return answer

    async def is_closed(self) -> bool:
        """Whether nothing follows but the end."""
        async with asyncio.timeout(60):
            return await self.reader.read() == b""


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    made.echo.go.set()
    made.server.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
