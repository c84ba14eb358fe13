"""What a replica refuses on a connection, and what it takes though it is unusual: bad clients cost nobody else anything."""

from __future__ import annotations

import asyncio

import pytest
from echo_server import GET, POST, Server, server, until

from heliostat.serving.rest import connection

__all__ = ["server"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /app/x HTTP/1.1\r\nno field\r\n\r\n",
        b"POST /app/x HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /app/x HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /app/x HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        b"POST /app/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: r\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_json_and_the_connection_ends(server: Server, data: bytes) -> None:
    client = await server.client()
    client.send(data)
    answer = await client.answer()
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.headers["connection"] == "close"
    assert await client.is_closed()
    assert not server.echo.asked


async def test_what_is_no_http_is_refused_after_what_came_before_it_is_answered(server: Server) -> None:
    client = await server.client()
    client.send(GET.replace(b"/x", b"/long") + GET + b"nonsense\r\n\r\n")
    await until(lambda: server.echo.at_once == 1)
    server.echo.go.set()
    assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
    assert await client.is_closed()


async def test_a_head_without_end_is_refused(server: Server) -> None:
    client = await server.client()
    client.send(b"GET /app/x HTTP/1.1\r\nx: " + b"y" * 100_000)
    assert (await client.answer()).status == 431


async def test_a_body_that_is_too_large_is_refused_by_its_length_before_it_comes(server: Server) -> None:
    client = await server.client()
    client.send(b"POST /app/x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body) == (413, b'{"detail": "1001 of 1000"}')
    assert answer.headers["connection"] == "close"


async def test_a_body_that_grows_too_large_is_refused_and_its_client_can_read_why(server: Server) -> None:
    client = await server.client()
    client.send(b"POST /app/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(200):
        client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    await client.writer.drain()
    assert (await client.answer()).status == 413
    client.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    await client.writer.drain()
    client.writer.close()
    await until(lambda: not server.state.connections)
    assert not server.echo.asked


async def test_a_client_that_goes_on_sending_what_is_refused_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.05)
    client = await server.client()
    client.send(b"POST /app/x HTTP/1.1\r\ncontent-length: 9999999\r\n\r\nabc")
    assert (await client.answer()).status == 413
    await until(lambda: not server.state.connections)


async def test_a_body_of_the_largest_size_is_taken(server: Server) -> None:
    [answer] = await server.said(b"POST /app/x HTTP/1.1\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000)
    assert answer.status == 200


async def test_a_client_that_asks_whether_to_go_on_is_told_so(server: Server) -> None:
    client = await server.client()
    client.send(b"POST /app/x HTTP/1.1\r\nexpect: 100-Continue\r\ncontent-length: 5\r\n\r\n")
    assert (await client.answer()).status == 100
    client.send(b"hello")
    assert (await client.answer()).body == b"POST /x? hello"
    client.send(POST.replace(b"host: r", b"expect: 100-continue"))
    assert (await client.answer()).status == 200, "who does not wait for it is not told"


async def test_who_waits_to_be_told_is_told_once_those_before_him_are_answered(server: Server) -> None:
    client = await server.client()
    client.send(GET.replace(b"/x", b"/long") + b"POST /app/x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    await until(lambda: server.echo.at_once == 1)
    server.echo.go.set()
    assert [(await client.answer()).status for _ in range(2)] == [200, 100]
    client.send(b"hello")
    assert (await client.answer()).body == b"POST /x? hello"


async def test_an_offer_to_speak_another_protocol_is_passed_over(server: Server) -> None:
    upgrade = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    client = await server.client()
    client.send(POST.replace(b"host: r\r\n", upgrade)[:-2])
    await asyncio.sleep(0.05)
    client.send(b"lo" + GET.replace(b"host: r\r\n", upgrade) + GET)
    assert [(await client.answer()).body for _ in range(3)] == [b"POST /x? hello", b"GET /x? ", b"GET /x? "]


async def test_no_tunnel_is_opened(server: Server) -> None:
    client = await server.client()
    client.send(b"CONNECT r:80 HTTP/1.1\r\nhost: r\r\n\r\n" + GET)
    assert (await client.answer()).headers["connection"] == "close"
    assert await client.is_closed()
    assert not server.echo.asked
