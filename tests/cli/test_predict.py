"""`heliostat predict`: whether what serves answers, and what."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from heliostat.cli.operators import asking
from heliostat.systems.errors import RetryableError

POST = {"post": {"requestBody": {"content": {"application/json": {"example": {"x": 1}}}}}}


class Application(ThreadingHTTPServer):
    """Answers as the traffic plane does while nothing has started, and then as an application."""

    def __init__(self, refusals: int, status: int = 503) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusals, self.status = refusals, status


class Handler(BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        self._answer({"paths": {"/flights/predict": POST}})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer({"answer to": asked})

    def _answer(self, body: Any) -> None:
        starts = self.server.refusals > 0
        self.server.refusals -= 1
        self.send_response(self.server.status if starts else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[Application] = []

    def start(refusals: int, status: int = 503) -> dict[str, str]:
        servers.append(Application(refusals, status))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{servers[-1].server_port}/flights"
        return {"url": url, "openapiUrl": f"{url}/openapi.json"}

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def platform(deployed_platform: Any) -> Any:
    """A stack whose state names these applications, each with the seconds of its start."""

    def serves(*applications: tuple[str, dict[str, str], float]) -> None:
        held = [("Application", {"name": name, **outputs}) for name, outputs, _ in applications]
        deployed_platform.exports(resources=held, platform=deployed_platform.platform())

    deployed_platform.serves = serves
    return deployed_platform


def asked(served: dict[str, str], seconds: float) -> tuple[asking.Prediction, list[str]]:
    told: list[str] = []
    application = asking.Served("flights", served["url"], served["openapiUrl"], seconds)
    with httpx.Client() as client:
        return asking.ask(client, application, lambda: told.append("waiting")), told


def test_an_application_that_is_starting_is_waited_for_and_that_is_told_once(serve: Any) -> None:
    found, told = asked(serve(refusals=3), 30)
    assert (found.asked, found.answered) == ({"x": 1}, '{"answer to": {"x": 1}}')
    assert told == ["waiting"]
    assert asked(serve(refusals=0), 30)[1] == []


def test_nobody_is_waited_for_longer_than_a_start_may_take(serve: Any) -> None:
    with pytest.raises(RetryableError, match="503"):
        asked(serve(refusals=10_000), 0.1)


def test_an_application_that_fails_is_not_waited_for(serve: Any) -> None:
    with pytest.raises(RetryableError, match="does not answer after 0 s"):
        asked(serve(refusals=10_000, status=500), 30)


def test_the_start_of_an_application_may_take_as_long_as_it_was_declared() -> None:
    state = {
        "type": "heliostat:index:Application",
        "inputs": {"startupTimeoutSeconds": 60},
        "outputs": {"name": "flights", "url": "http://a/flights"},
    }
    replaced, other = {**state, "delete": True}, {**state, "type": "heliostat:index:Dataset"}
    wanted = asking.Served("flights", "http://a/flights", "http://a/flights/openapi.json", 60.0)
    assert asking.applications([state, replaced, other]) == [wanted]


def test_every_application_of_the_stack_is_asked_or_the_one_that_is_named(platform: Any, stack: Any, serve: Any) -> None:
    platform.serves(("birds", serve(0), 0), ("flights", serve(0), 0))
    assert [one["application"] for one in json.loads(stack.ok("predict", "--json"))] == ["birds", "flights"]
    (only,) = json.loads(stack.ok("predict", "flights", "--json"))
    assert (only["asked"], only["answered"]) == ({"x": 1}, {"answer to": {"x": 1}})
    assert "there is no application 'fligths'; there are: birds, flights" in stack("predict", "fligths").err


def test_what_is_printed_has_the_question_the_answer_and_the_addresses(platform: Any, stack: Any, serve: Any) -> None:
    application = serve(0)
    platform.serves(("flights", application, 0))
    printed = stack.ok("predict")
    assert f"flights answers at {application['url']}/predict" in printed
    assert 'asked     {"x": 1}' in printed
    assert f"docs           {application['url']}/docs" in printed


def test_one_that_does_not_answer_fails_the_command_and_hides_no_other(platform: Any, stack: Any, serve: Any) -> None:
    platform.serves(("birds", serve(10_000, status=500), 0), ("flights", serve(0), 0))
    ran = stack("predict", "--json")
    assert ran.code == 1
    assert "birds does not answer" in ran.err
    assert [one["application"] for one in json.loads(ran.out)] == ["flights"]


def test_a_stack_without_an_application_is_told_how_to_get_one(platform: Any, stack: Any) -> None:
    platform.serves()
    assert "has no application: bring it up with `heliostat up -s dev`" in stack("predict").err
