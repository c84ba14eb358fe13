"""What a replica says on a connection, byte by byte: requests in any cut, order and size."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from echo_server import GET, POST, Server, server, until

from heliostat.serving.rest import connection
from heliostat.serving.rest.connection import Connection
from heliostat.serving.rest.exchange import Response

__all__ = ["server"]


async def test_a_request_is_answered_on_a_connection_that_stays(server: Server) -> None:
    client = await server.client()
    for _ in range(3):
        client.send(POST)
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"POST /x? hello")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["date"].endswith(" GMT")
        assert "connection" not in answer.headers
    assert len(server.state.connections) == 1


async def test_head_and_body_are_one_write(server: Server) -> None:
    writes: list[bytes] = []

    class Wire(asyncio.Transport):
        def write(self, data: Any) -> None:
            writes.append(data)

        def is_closing(self) -> bool:
            return False

        def close(self) -> None: ...

    made = Connection(server.echo, "/app", server.slots, config=server.config, server_state=server.state)
    made.connection_made(Wire())
    made.data_received(POST * 2)
    assert [write.count(b"HTTP/1.1 200 OK") for write in writes] == [1, 1]
    assert all(write.endswith(b"\r\n\r\nPOST /x? hello") for write in writes)
    made.connection_lost(None)


def test_an_answer_with_trailers_is_one_chunk_and_they_follow_it() -> None:
    response = Response(200, b"application/grpc", b"hello", ((b"a", b"b"),), ((b"grpc-status", b"0"),))
    head, _, rest = response.encoded(with_body=True, closes=False).partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert rest == b"5\r\nhello\r\n0\r\ngrpc-status: 0\r\n\r\n"
    assert response.encoded(with_body=False, closes=False).endswith(b"\r\n\r\n")


async def test_headers_with_one_name_are_one_value_whichever_comes_last(server: Server) -> None:
    client = await server.client()
    for given in (
        b"X-Consent: no\r\nx-consent: yes\r\n",
        b"x-consent: yes\r\nx-other: 1\r\nX-CONSENT: no\r\n",
        b"x-consent: yes\r\n",
    ):
        client.send(GET.replace(b"host: r\r\n", b"host: r\r\n" + given))
        await client.answer()
    assert [each.headers[b"x-consent"] for each in server.echo.asked] == [b"no, yes", b"yes, no", b"yes"]


@pytest.mark.parametrize("size", [1, 7, 40])
async def test_a_request_may_come_in_any_pieces(server: Server, size: int) -> None:
    client = await server.client()
    data = (
        POST + b"POST /app/y?a=b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n" + GET
    )
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
        await asyncio.sleep(0)
    assert [(await client.answer()).body for _ in range(3)] == [b"POST /x? hello", b"POST /y?a=b abcde", b"GET /x? "]
    assert b"x" not in server.echo.asked[1].headers, "trailers are no headers"


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        (b"/app/x?q=1&r=%20", b"GET /x?q=1&r=%20 "),
        (b"/app/a%2fb", b"GET /a/b? "),
        (b"/app", b"GET ? "),
        (b"/app/", b"GET /? "),
        (b"http://some.where:80/app/x?q", b"GET /x?q "),
    ],
)
async def test_a_target_is_read_in_each_of_its_forms(server: Server, target: bytes, seen: bytes) -> None:
    [answer] = await server.said(b"GET %b HTTP/1.1\r\nhost: r\r\n\r\n" % target)
    assert answer.body == seen


@pytest.mark.parametrize("target", [b"/-/healthz", b"/apple/x", b"/", b"*"])
async def test_what_is_not_below_the_prefix_is_answered_by_serve(server: Server, target: bytes) -> None:
    method = b"OPTIONS" if target == b"*" else b"GET"
    [answer] = await server.said(b"%b %b HTTP/1.1\r\nhost: r\r\ncontent-length: 2\r\n\r\nhi" % (method, target))
    assert (answer.status, answer.headers["content-type"]) == (503, "text/plain")
    assert answer.body == b"Serve: " + target + b"hi"
    assert not server.echo.asked


async def test_head_tells_the_length_and_sends_no_body(server: Server) -> None:
    client = await server.client()
    client.send(b"HEAD /app/x HTTP/1.1\r\nhost: r\r\n\r\n" + GET)
    assert (await client.answer(with_body=False)).headers["content-length"] == "9"
    assert (await client.answer()).body == b"GET /x? "


@pytest.mark.parametrize(
    "head",
    [b"GET /app/x HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n", b"GET /app/x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"],
)
async def test_a_request_that_is_the_last_ends_the_connection(server: Server, head: bytes) -> None:
    client = await server.client()
    client.send(head + GET)
    assert (await client.answer()).headers["connection"] == "close"
    assert await client.is_closed()
    assert len(server.echo.asked) == 1


async def test_requests_sent_at_once_are_answered_in_their_order_whoever_answers_them(server: Server) -> None:
    client = await server.client()
    client.send(
        b"".join(GET.replace(b"/app/x", path) for path in (b"/app/long", b"/app/1", b"/-/routes", b"/app/2", b"/app/long?b"))
    )
    await until(lambda: server.echo.at_once == 1)
    assert len(server.echo.asked) == 1, "those behind it wait"
    server.echo.go.set()
    bodies = [(await client.answer()).body for _ in range(5)]
    assert bodies == [b"GET /long? ", b"GET /1? ", b"Serve: /-/routes", b"GET /2? ", b"GET /long?b "]


async def test_more_requests_than_may_wait_are_not_read_until_they_may(server: Server) -> None:
    client = await server.client()
    client.send(GET.replace(b"/x", b"/long") + b"".join(GET.replace(b"/x", b"/%d" % number) for number in range(500)))
    await until(lambda: server.echo.at_once == 1)
    server.echo.go.set()
    assert (await client.answer()).body == b"GET /long? "
    assert [(await client.answer()).body for _ in range(500)] == [b"GET /%d? " % number for number in range(500)]


async def test_a_long_request_holds_up_its_own_connection_only(server: Server) -> None:
    slow = await server.client()
    slow.send(GET.replace(b"/x", b"/long"))
    await until(lambda: server.echo.at_once == 1)
    assert (await server.said(GET))[0].status == 200
    server.echo.go.set()
    assert (await slow.answer()).status == 200


async def test_no_more_requests_than_there_are_slots_are_worked_on_at_a_time(server: Server) -> None:
    server.slots.limit = 2
    clients = [await server.client() for _ in range(6)]
    for number, client in enumerate(clients):
        client.send(GET.replace(b"/x", b"/long" if number < 5 else b"/quick"))
        await asyncio.sleep(0.02)
    await until(lambda: server.echo.at_once == 2)
    assert server.slots.requests == 6
    server.echo.go.set()
    assert [(await client.answer()).status for client in clients] == [200] * 6
    assert server.echo.most_at_once == 2
    assert server.slots.requests == 0


async def test_more_slots_let_those_begin_that_wait(server: Server) -> None:
    server.slots.limit = 1
    clients = [await server.client() for _ in range(3)]
    for client in clients:
        client.send(GET.replace(b"/x", b"/long"))
    await until(lambda: server.slots.requests == 3)
    server.slots.limit = 3
    server.slots.fill()
    await until(lambda: server.echo.at_once == 3)


async def test_who_goes_away_before_his_turn_is_not_worked_for(server: Server) -> None:
    server.slots.limit = 1
    first, second = await server.client(), await server.client()
    first.send(GET.replace(b"/x", b"/long"))
    await until(lambda: server.echo.at_once == 1)
    second.send(GET)
    await until(lambda: server.slots.requests == 2)
    second.writer.close()
    await until(lambda: len(server.state.connections) == 1)
    server.echo.go.set()
    assert (await first.answer()).status == 200
    assert [request.path for request in server.echo.asked] == ["/long"]
    assert server.slots.requests == 0


async def test_who_goes_away_while_he_is_worked_for_frees_his_slot(server: Server) -> None:
    client = await server.client()
    client.send(GET.replace(b"/x", b"/long"))
    await until(lambda: server.echo.at_once == 1)
    client.writer.close()
    await until(lambda: not server.state.connections)
    server.echo.go.set()
    await until(lambda: server.slots.requests == 0)


@pytest.mark.parametrize("path", [b"/app/bug", b"/app/long?fails", b"/-/fails"])
async def test_a_bug_is_500_and_ends_nothing_else(server: Server, path: bytes) -> None:
    server.echo.go.set()
    for _ in range(2):
        [answer] = await server.said(GET.replace(b"/app/x", path))
        assert answer.status == 500
        assert b"a bug" not in answer.body
    assert (await server.said(GET))[0].status == 200
    assert server.slots.requests == 0


async def test_an_idle_connection_is_closed_after_its_time_and_no_sooner(server: Server) -> None:
    server.config.timeout_keep_alive = 0.2
    client = await server.client()
    loop = asyncio.get_running_loop()
    client.send(GET)
    await client.answer()
    began = loop.time()
    assert await client.is_closed()
    assert loop.time() - began > 0.19


async def test_a_connection_is_kept_while_it_is_worked_for(server: Server) -> None:
    server.config.timeout_keep_alive = 0.1
    client = await server.client()
    client.send(GET.replace(b"/x", b"/long"))
    await asyncio.sleep(0.4)
    server.echo.go.set()
    assert (await client.answer()).status == 200
    client.send(GET)
    assert (await client.answer()).status == 200


async def test_a_request_of_which_no_more_comes_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_STALLED_SECONDS", 0.1)
    server.config.timeout_keep_alive = 0.1
    client = await server.client()
    client.send(POST[:-2])
    assert (await client.answer()).status == 408
    assert await client.is_closed()


async def test_a_replica_that_stops_answers_what_it_has_and_closes(server: Server) -> None:
    idle, busy, arriving = await server.client(), await server.client(), await server.client()
    idle.send(GET)
    await idle.answer()
    busy.send(GET.replace(b"/x", b"/long"))
    arriving.send(POST[:-2])
    await until(lambda: server.echo.at_once == 1 and any(each._arriving for each in server.state.connections))
    for each in list(server.state.connections):
        each.shutdown()
    assert await idle.is_closed()
    server.echo.go.set()
    arriving.send(POST[-2:])
    for client in (busy, arriving):
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.is_closed()
    await until(lambda: not server.state.connections)


async def test_a_client_that_does_not_read_is_worked_for_no_further(server: Server) -> None:
    client = await server.client()
    big = POST.replace(b"content-length: 5\r\n\r\nhello", b"content-length: 1000\r\n\r\n" + b"x" * 1000)
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(big * 20_000)
    before = -1
    while before != len(server.echo.asked):
        before = len(server.echo.asked)
        await asyncio.sleep(0.2)
    assert before < 20_000
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(20_000):
        assert (await client.answer()).status == 200
