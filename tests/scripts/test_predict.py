"""The closing prediction of `make up`."""

from __future__ import annotations

import importlib.util
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from rich.console import Console

SCRIPT = Path(__file__).parents[2] / "scripts" / "predict.py"
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
def predict(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("predict", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    return module


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


def _asked(predict: ModuleType, application: dict[str, str], seconds: float, monkeypatch: Any) -> tuple[bool, str]:
    inputs = {"name": "flights", "startupTimeoutSeconds": seconds}
    state = {"deployment": {"resources": [{"type": "heliostat:index:Application", "inputs": inputs}]}}
    monkeypatch.setattr(predict, "said", lambda *_: state)
    written = io.StringIO()
    with httpx.Client() as client:
        found = predict.ask("local", client, "flights", application, Console(file=written, width=200))
    return found, written.getvalue()


def test_an_application_that_is_starting_is_waited_for(
    predict: ModuleType, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, written = _asked(predict, serve(refusals=3), 30, monkeypatch)
    assert answered
    assert "does not answer yet; its start may take 30 s" in written
    assert '{"answer to": {"x": 1}}' in written


def test_nobody_is_waited_for_longer_than_a_start_may_take(
    predict: ModuleType, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, written = _asked(predict, serve(refusals=10_000), 0.1, monkeypatch)
    assert not answered
    assert "503" in written


def test_an_application_that_fails_is_not_waited_for(predict: ModuleType, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answered, written = _asked(predict, serve(refusals=10_000, status=500), 30, monkeypatch)
    assert not answered
    assert "does not answer after 0 s" in written
