"""What HAProxy says by itself has the shape of an application's own errors."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from traffic_plane import FakeReplica, ask, sent, serving, until

from heliostat.systems import haproxy
from heliostat.systems.haproxy_config import Plane, Route

pytestmark = pytest.mark.local_stack


def detail(answer: bytes) -> tuple[int, str]:
    """Status and text of an error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    assert "content-type: application/json" in lines, answer
    told = json.loads(body)
    text = told["detail"]
    assert told == {"error": text, "detail": text}, "clients of the Open Inference Protocol read `error`"
    return int(first.split()[1]), text


@pytest.mark.parametrize(
    ("extra", "size"), [("x-a: " + "a" * 70_000 + "\r\n", 70_000), ("cookie: b=" + "c" * 1_000 + "\r\n", 1_000)]
)
async def test_a_head_that_is_too_large_is_refused_in_json_with_its_size_and_the_limit(
    running: Plane, extra: str, size: int
) -> None:
    times = 1 if size > 65_536 else 100
    answer = await sent(running, f"GET /flights/healthz HTTP/1.0\r\n{extra * times}\r\n".encode())
    status, text = detail(answer)
    assert status == 431
    assert "at most 65536 are taken" in text
    assert int(text.split()[3]) > 65_536


async def test_a_head_of_many_small_headers_is_taken(running: Plane) -> None:
    many = "".join(f"x-{number}: a\r\n" for number in range(300))
    answer = await sent(running, f"GET /flights/healthz HTTP/1.0\r\n{many}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 "), answer


async def test_a_body_that_does_not_come_in_time_is_408_in_json(plane: Plane, replicas: dict[str, FakeReplica]) -> None:
    quick = replace(plane, answer_timeout_seconds=0.4)
    async with serving(quick, Route("flights", 0, (replicas["blue"].server,))):
        answer = await sent(quick, b"POST /flights/predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
        assert detail(answer) == (408, "The request did not arrive in time.")
        assert (await haproxy.snapshot(quick)).counts["flights-blue"] == {}, "no request came whole"


async def test_what_a_replica_does_wrong_is_told_in_json(plane: Plane, replicas: dict[str, FakeReplica]) -> None:
    quick, blue = replace(plane, answer_timeout_seconds=0.4), replicas["blue"]
    request = b"POST /flights/predict HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}"
    async with serving(quick, Route("flights", 0, (blue.server,))):
        blue.breaks_off = 100
        assert detail(await sent(quick, request)) == (502, "The replica broke off its answer.")
        blue.breaks_off, blue.seconds = 0, 5.0
        assert detail(await sent(quick, request)) == (504, "The replica did not answer in time.")
        await haproxy.drain(quick, "flights-blue", "blue")
        await until(quick, lambda found: not found.backends["flights-blue"]["blue"].usable)
        answer = await ask(quick, "/flights/predict")
        text = "No healthy replica now."
        assert (answer.status, answer.body) == (503, {"error": text, "detail": text})
        assert (answer.headers["content-type"], answer.headers["retry-after"]) == ("application/json", "1")
        assert detail(await sent(quick, b"GET /nothing HTTP/1.0\r\n\r\n")) == (404, "No such application.")
