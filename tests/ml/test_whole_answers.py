"""What uvicorn writes to a client, write by write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

from heliostat.ml import whole_answers
from heliostat.ml.serving import Replica
from heliostat.systems.errors import PermanentError


class Wire(asyncio.Transport):
    """A client's connection."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.changed = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))
        self.changed.set()

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@pytest.fixture(autouse=True)
async def installed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(httptools_impl, "RequestResponseCycle", httptools_impl.RequestResponseCycle)
    await whole_answers.install()
    yield


def connected(application: Any) -> tuple[Any, Wire, ServerState]:
    config = uvicorn.Config(application, lifespan="off", access_log=False, log_level="critical")
    config.load()
    wire, state = Wire(), ServerState()
    protocol: Any = config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]
    protocol.connection_made(wire)
    return protocol, wire, state


async def asked(application: Any, method: str = "POST", headers: str = "", times: int = 1) -> Wire:
    """What the client was written once the application has answered."""
    protocol, wire, state = connected(application)
    protocol.data_received(f"{method} / HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\n\r\n".encode() * times)
    while state.tasks:
        await asyncio.gather(*state.tasks)
    closed = wire.closed
    protocol.connection_lost(None)
    wire.closed = closed
    return wire


def saying(*parts: bytes, length: int | None = None, status: int = 200) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [] if length is None else [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts, start=1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    return application


async def test_an_answer_of_one_part_is_one_write() -> None:
    wire = await asked(saying(b"hello", length=5))
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"]
    assert not wire.closed


async def test_without_it_uvicorn_writes_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httptools_impl, "RequestResponseCycle", whole_answers.RequestResponseCycle)
    assert len((await asked(saying(b"hello", length=5))).writes) == 2


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_an_answer_without_a_body_is_sent_as_well(method: str, status: int) -> None:
    wire = await asked(saying(b"", length=0, status=status), method)
    assert len(wire.writes) == 1
    assert wire.writes[0].startswith(b"HTTP/1.1 %d " % status)


async def test_a_body_that_comes_in_parts_is_sent_as_it_comes() -> None:
    go = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go.wait()
        await send({"type": "http.response.body", "body": b"second"})

    protocol, wire, state = connected(stream)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(5):
        await wire.changed.wait()
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"\r\n\r\n5\r\nfirst\r\n")
    go.set()
    await asyncio.gather(*state.tasks)
    assert wire.writes[1:] == [b"6\r\nsecond\r\n0\r\n\r\n"]
    protocol.connection_lost(None)


async def test_requests_that_come_at_once_are_answered_in_their_order_one_write_each() -> None:
    wire = await asked(saying(b"hello", length=5), times=3)
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"] * 3


async def test_a_connection_that_ends_with_its_answer_is_closed_after_it() -> None:
    wire = await asked(saying(b"hello", length=5), headers="connection: close\r\n")
    assert len(wire.writes) == 1
    assert wire.closed


async def test_an_application_that_fails_after_its_head_is_answered_500() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("no body")

    wire = await asked(fails)
    assert len(wire.writes) == 1
    assert wire.writes[0].startswith(b"HTTP/1.1 500 ")
    assert wire.closed


@pytest.mark.parametrize("application", [saying(), saying(b"too long", length=2), saying(b"short", length=9)])
async def test_what_is_no_answer_is_never_sent_by_half(application: Any) -> None:
    wire = await asked(application)
    assert wire.closed
    assert [write[:13] for write in wire.writes] in ([], [b"HTTP/1.1 500 "])


async def test_a_client_that_is_slow_to_read_is_waited_for() -> None:
    protocol, wire, state = connected(saying(b"hello", length=5))
    protocol.pause_writing()
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0)
    assert wire.writes == []
    protocol.resume_writing()
    await asyncio.gather(*state.tasks)
    assert len(wire.writes) == 1
    protocol.connection_lost(None)


async def test_a_uvicorn_that_is_built_differently_is_refused_before_anything_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Elsewhere(httptools_impl.HttpToolsProtocol):
        """Makes its answers by a class that nobody replaces."""

        def on_headers_complete(self) -> None:
            with pytest.MonkeyPatch.context() as changed:
                changed.setattr(httptools_impl, "RequestResponseCycle", whole_answers.RequestResponseCycle)
                super().on_headers_complete()

    monkeypatch.setattr("uvicorn.protocols.http.auto.AutoHTTPProtocol", Elsewhere)
    with pytest.raises(PermanentError, match=r"uvicorn [\d.]+ does not let .* 2 parts"):
        await whole_answers.install()
    monkeypatch.setattr("uvicorn.protocols.http.auto.AutoHTTPProtocol", object)
    with pytest.raises(PermanentError, match=r"install the release that .* names: TypeError"):
        await whole_answers.install()


async def test_a_replica_answers_so_before_serve_lets_it_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httptools_impl, "RequestResponseCycle", whole_answers.RequestResponseCycle)
    replica = Replica.__new__(Replica)
    replica._answers = application = saying(b"hello", length=5)
    assert await replica.__serve_build_asgi_app__() is application
    assert len((await asked(application)).writes) == 1
