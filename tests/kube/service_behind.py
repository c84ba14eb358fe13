"""A service inside of a cluster: whatever a test wants to be answered, and what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

import pytest


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    body: bytes


class Service:
    """Answers each request with a status and what JSON has for it, or with parts that come one after another."""

    def __init__(self) -> None:
        self.seen: list[Asked] = []
        self.answer: Callable[[Asked], tuple[int, object]] = lambda asked: (200, {"path": asked.path})
        self.encoding, self.encode = "", bytes
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = Asked(self.command, self.path, {key.lower(): each for key, each in self.headers.items()}, body)
                service.seen.append(asked)
                status, content = service.answer(asked)
                parts = content if isinstance(content, Iterator) else iter([service.encode(json.dumps(content).encode())])
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if content is parts else "application/json")
                if service.encoding:
                    self.send_header("Content-Encoding", service.encoding)
                self.end_headers()
                for part in parts:
                    self.wfile.write(part)

            do_GET = do_POST = do_PUT = do_DELETE = _any

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.stop()
