"""How the runner takes what replicas do to it."""

from __future__ import annotations

import asyncio

import pytest

from heliostat.analysis.client import NobodyThereError, Request, VersionClient, session
from heliostat.serving.tap import TapQuery

REQUEST = Request("r-1", b"{}")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-heliostat-milliseconds: 0.5\r\n\r\n{}"


@pytest.fixture
async def client():
    async with session() as http:
        yield VersionClient(http)


@pytest.fixture
async def server():
    """Starts servers that answer each connection with the next of the given bytes; empty ones close it."""
    started = []

    async def start(*answers):
        heads, left = [], list(answers)

        async def serve(reader, writer):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(left.pop(0) if left else b"")
            await writer.drain()
            writer.close()

        found = await asyncio.start_server(serve, "127.0.0.1", 0)
        started.append(found)
        return f"http://127.0.0.1:{found.sockets[0].getsockname()[1]}/_/halves/blue", heads

    yield start
    for each in started:
        each.close()


async def test_a_request_says_that_it_is_no_clients_and_keeps_its_id(client, server):
    url, heads = await server(OK)
    client.urls = (url,)
    reply = await client.send(REQUEST)
    assert (reply.status, reply.body, reply.inside, reply.failed) == (200, b"{}", 0.5, False)
    head = heads[0].lower()
    assert head.startswith(b"post /_/halves/blue/predict http")
    assert b"x-heliostat-replay: 1" in head
    assert b"x-request-id: r-1" in head


async def test_an_id_that_could_break_a_header_is_not_sent(client, server):
    url, heads = await server(OK)
    client.urls = (url,)
    assert (await client.send(Request("a\r\nb: c", b"{}"))).status == 200
    assert b"b: c" not in heads[0]


async def test_a_connection_that_breaks_is_tried_once_more(client, server):
    url, heads = await server(b"", OK)
    client.urls = (url,)
    assert (await client.send(REQUEST)).status == 200
    assert len(heads) == 2


async def test_a_request_that_breaks_every_connection_is_a_failure_of_the_version(client, server):
    url, heads = await server(b"", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
    client.urls = (url,)
    reply = await client.send(REQUEST)
    assert (reply.status, reply.failed, len(heads)) == (0, True, 2)


@pytest.mark.parametrize(("status", "failed"), [(200, False), (422, False), (500, True), (503, True)])
async def test_only_a_status_from_500_is_a_failure(client, server, status, failed):
    url, _ = await server(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
    client.urls = (url,)
    assert (await client.send(REQUEST)).failed is failed


async def test_without_a_replica_that_takes_connections_it_says_so(client, server):
    with pytest.raises(NobodyThereError):
        await client.send(REQUEST)
    client.urls = ("http://127.0.0.1:1",)
    with pytest.raises(NobodyThereError):
        await client.send(REQUEST)
    url, _ = await server(OK)
    client.urls = ("http://127.0.0.1:1", url)
    assert (await client.send(REQUEST)).status == 200


async def test_what_is_no_replica_of_ours_has_nothing_to_tell(client, server):
    text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    url, _ = await server(text, text, text)
    client.urls = (url,)
    assert await client.tap(url, TapQuery()) is None
    assert await client.golden() is None
    assert await client.openapi() == {}
    assert await client.tap("http://127.0.0.1:1", TapQuery()) is None
