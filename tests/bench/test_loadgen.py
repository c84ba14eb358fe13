import json
import shutil
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench import loadgen
from bench.commands import MeasurementError
from bench.loadgen import Generator, Load, parse

LINE = (
    '@@ wrk {"requests": 1000, "seconds": 2.000000, "connect": 1, "read": 2, "write": 3, "status": 10, "timeout": 4, '
    '"p50_ms": 1.500, "p90_ms": 2.000, "p99_ms": 9.000, "max_ms": 20.000}'
)
needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="the load generator wrk is not on PATH")


def test_the_result_is_found_among_what_wrk_prints():
    load = parse(f"Running 2s test\n  Thread Stats   Avg\n{LINE}\n")
    assert (load.requests, load.p99_ms) == (1000, 9.0)


def test_only_good_answers_count_for_the_rate_and_every_error_is_a_failure():
    load = parse(LINE)
    assert load.rate == (1000 - 10) / 2
    assert load.failed == 1 + 2 + 3 + 4 + 10


def test_no_result_is_an_error_that_shows_what_wrk_said():
    with pytest.raises(MeasurementError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_missing_wrk_is_an_error_that_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MeasurementError, match="apt install wrk"):
        loadgen.wrk()


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: Counter = Counter()
    status = 200

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.bodies[json.loads(body)["n"]] += 1
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (_Echo,), {"bodies": Counter()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        running.handler = handler
        running.url = f"http://127.0.0.1:{running.server_port}/"
        yield running
        running.shutdown()
        thread.join()


@needs_wrk
def test_all_bodies_are_sent_in_turn_and_counted(server, tmp_path):
    generator = Generator.of([{"n": number} for number in range(7)], tmp_path, "rows")
    load = generator.load(server.url, 1, connections=2)
    assert load.failed == 0
    assert load.requests > 20
    assert set(server.handler.bodies) == set(range(7))
    assert max(server.handler.bodies.values()) - min(server.handler.bodies.values()) <= 2 + 1
    assert abs(sum(server.handler.bodies.values()) - load.requests) <= 2


@needs_wrk
def test_answers_of_an_error_status_count_as_failed(server, tmp_path):
    server.handler.status = 503
    load = Generator.of([{"n": 1}], tmp_path, "rows").load(server.url, 1, connections=2)
    assert load.status == load.requests > 0
    assert load.rate == 0


@needs_wrk
def test_a_load_without_an_end_goes_on_until_it_is_finished(server, tmp_path):
    generator = Generator.of([{"n": 1}], tmp_path, "rows")
    began = time.monotonic()
    with generator.under_load(server.url) as load:
        seen = load.finish(at_least_seconds=1.5)
    assert isinstance(seen, Load)
    assert seen.requests > 0
    assert 1.4 < time.monotonic() - began < 10
    assert load.process.poll() is not None


@needs_wrk
def test_wrk_ends_with_a_block_that_fails(server, tmp_path):
    generator = Generator.of([{"n": 1}], tmp_path, "rows")
    with pytest.raises(ZeroDivisionError), generator.under_load(server.url) as load:
        raise ZeroDivisionError
    assert load.process.poll() is not None
