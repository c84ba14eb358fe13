import asyncio
import base64
import json
import shutil
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from bench import arrivals as module
from bench.arrivals import arrivals, busy, parse
from bench.commands import MeasurementError

needs_vegeta = pytest.mark.skipif(not shutil.which("vegeta"), reason="the load generator vegeta is not on PATH")


def row(code=200, error="", headers="X-Heliostat-Version: 3\r\nDate: now\r\n\r\n", sent_ns=1_700_000_000_500_000_000):
    encoded = base64.b64encode(headers.encode()).decode()
    return f'{sent_ns},{code},2500000,5,0,"{error.replace(chr(34), chr(34) * 2)}",,,0,POST,http://127.0.0.1:1/x,{encoded}\n'


def test_a_record_tells_time_latency_and_version():
    found = parse([row()])
    assert (found.sent[0], found.latencies_ms[0], found.failed) == (1_700_000_000.5, 2.5, 0)
    assert found.by_version() == {"3": 1}


def test_records_are_sorted_by_the_time_of_the_request():
    found = parse([row(sent_ns=3, code=503, error="503"), row(sent_ns=1), row(sent_ns=2)])
    assert list(found.failures) == [0, 0, 1]


def test_failures_are_told_by_status_or_by_error_without_ports():
    reset = 'Post "http://127.0.0.1:1/x": read tcp 127.0.0.1:{}->127.0.0.1:1: read: connection reset by peer'
    rows = [
        row(503, "503 Service Unavailable"),
        row(422, "422, really"),
        row(0, reset.format(5), ""),
        row(0, reset.format(6), ""),
    ]
    assert parse(rows).failed_by_kind() == {"status 503": 1, "status 422": 1, "no answer: connection reset by peer": 2}


def test_no_records_are_no_requests():
    assert parse([]).requests == 0


def test_a_missing_vegeta_is_an_error_that_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with (
        pytest.raises(MeasurementError, match="go install"),
        arrivals("http://x", 1, [{}], tmp_path),
    ):
        pass


class Server:
    """Answers at once, but where told to hold everything back or to fail; versions as told."""

    def __init__(self):
        self.bodies = Counter()
        self.version, self.status = "1", 200
        self.open = threading.Event()
        self.open.set()

    async def serve(self, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
            assert fields["content-type"] == "application/json"
            self.bodies[json.loads(await reader.readexactly(int(fields["content-length"])))["n"]] += 1
            while not self.open.is_set():  # noqa: ASYNC110 - the event belongs to another thread
                await asyncio.sleep(0.005)
            status, version = self.status, self.version
            writer.write(f"HTTP/1.1 {status} X\r\nx-heliostat-version: {version}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            await writer.drain()


@contextmanager
def serving(server):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listener = asyncio.run_coroutine_threadsafe(asyncio.start_server(server.serve, "127.0.0.1", 0), loop).result()
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    finally:
        loop.call_soon_threadsafe(listener.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture
def server():
    server = Server()
    with serving(server) as server.url:
        yield server


@needs_vegeta
def test_requests_arrive_at_the_rate_with_each_body_in_turn(server, tmp_path):
    with arrivals(server.url, 200, [{"n": number} for number in range(7)], tmp_path, seconds=1) as load:
        found = load.finish()
    assert found.failed_by_kind() == {}
    assert abs(found.requests - 200) <= 2
    assert server.bodies.total() == found.requests
    assert set(server.bodies) == set(range(7))
    assert max(server.bodies.values()) - min(server.bodies.values()) <= 1
    assert time.time() - 10 < found.sent[0] < found.sent[-1] < time.time()


@needs_vegeta
def test_a_stall_is_latency_and_not_fewer_requests(server, tmp_path):
    with arrivals(server.url, 200, [{"n": 1}], tmp_path) as load:
        time.sleep(0.7)
        server.open.clear()
        stalled = time.time()
        time.sleep(0.5)
        server.open.set()
        found = load.finish(at_least_seconds=2.0)
    during = found.between(stalled, stalled + 0.4)
    assert found.failed == 0
    assert abs(during.requests - 80) <= 8
    assert during.quantile_ms(0.5) > 200
    assert found.between(end=stalled - 0.1).quantile_ms(0.5) < 100


@needs_vegeta
def test_versions_and_failures_are_found_where_they_happened(server, tmp_path):
    with arrivals(server.url, 200, [{"n": 1}], tmp_path) as load:
        time.sleep(0.6)
        decided = time.time()
        server.version = "2"
        time.sleep(0.4)
        broke = time.time()
        server.status = 503
        found = load.finish(at_least_seconds=1.5)
    assert found.last("1") < decided + 0.1 < found.last("2")
    assert found.between(end=decided - 0.05).share("1") == 1.0
    assert found.between(decided + 0.1).share("2") == 1.0
    assert found.between(end=broke - 0.05).failed == 0
    assert found.between(broke + 0.1).failed_share == 1.0
    assert set(found.failed_by_kind()) == {"status 503"}


@needs_vegeta
def test_a_server_that_is_not_there_fails_every_request(tmp_path):
    with arrivals("http://127.0.0.1:9/", 50, [{}], tmp_path, seconds=1) as load:
        found = load.finish()
    assert found.failed == found.requests > 40
    assert found.failed_by_kind() == {"no answer: connection refused": found.requests}


@needs_vegeta
def test_vegeta_ends_with_a_block_that_fails_and_leaves_no_records(server, tmp_path):
    with pytest.raises(ZeroDivisionError), arrivals(server.url, 50, [{"n": 1}], tmp_path) as load:
        raise ZeroDivisionError
    assert load.process.poll() is not None
    assert not load.records.exists()


@needs_vegeta
def test_what_vegeta_refuses_is_an_error_with_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_target", lambda url, body: "no target\n")
    with (
        arrivals("http://127.0.0.1:9/", 50, [{}], tmp_path) as load,
        pytest.raises(MeasurementError, match="vegeta failed with exit code"),
    ):
        load.finish(at_least_seconds=5)


@needs_vegeta
def test_busy_connections_ask_one_after_the_other_and_never_more_at_once(server, tmp_path):
    with busy(server.url, 3, [{"n": 1}], tmp_path) as load:
        time.sleep(0.5)
        server.open.clear()
        time.sleep(0.3)
        asked = server.bodies.total()
        time.sleep(0.3)
        assert server.bodies.total() == asked
        server.open.set()
        found = load.finish(at_least_seconds=1.5)
    assert found.failed == 0
    assert found.requests > 300
    assert (found.latencies_ms > 250).sum() == 3
