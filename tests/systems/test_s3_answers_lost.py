"""Objects of S3 whose writer never heard that they were written: boto3 asks again, and the store has what was asked first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from heliostat.spec.addresses import StoreAddress
from heliostat.systems.objects import ObjectStore, open_store
from heliostat.systems.revisions import Revisions


class Losing(BaseHTTPRequestHandler):
    """Passes on what it is asked; of what is written the first answers are lost, and 503 is told in their place."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *given: Any) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
        answer = httpx.request(self.command, server.behind + self.path, content=body, headers=headers, trust_env=False)
        status, content = answer.status_code, answer.content
        if self.command == "PUT" and server.losses and status == 200:
            server.losses -= 1
            status, content = 503, b"<Error><Code>SlowDown</Code></Error>"
        self.send_response(status)
        kept = ("content-type", "etag", "last-modified", "x-amz-meta-heliostat-put")
        for name, value in answer.headers.items():
            if name.lower() in kept:
                self.send_header(name, value)
        length = answer.headers.get("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("content-length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on


@pytest.fixture
def losing(s3_address: StoreAddress) -> Iterator[tuple[ObjectStore, Any]]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Losing)
    server.behind, server.losses = s3_address.endpoint, 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    yield open_store(s3_address.model_copy(update={"endpoint": endpoint})), server
    server.shutdown()
    thread.join()
    server.server_close()


def test_who_wrote_an_object_first_is_told_so_though_the_answer_was_lost(losing: Any) -> None:
    store, server = losing
    server.losses = 1
    assert store.put("a", b"ours", only_if_absent=True)
    assert server.losses == 0
    assert not store.put("a", b"ours", only_if_absent=True), "the same content of another one"
    server.losses = 1
    assert store.put("b", b"ours") and store.get("b") == b"ours"


def test_a_change_of_a_value_counts_once_though_its_answer_was_lost(losing: Any) -> None:
    store, server = losing
    revisions = Revisions(store, "count/")
    for _ in range(3):
        server.losses = 1
        revisions.change(lambda content: str(int(content or b"0") + 1).encode())
    assert revisions.newest() == (3, b"3")
