"""What of a client's requests is held for or against a version, with the real HAProxy."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from traffic_plane import Client, FakeReplica, ask, client, predictions, sent, until

from heliostat.rollout.analysis import Judgement, judge
from heliostat.rollout.observed import Colour, Evidence, Window
from heliostat.spec.analysis import Analysis, RejectionRate, SuccessRate, Verdict
from heliostat.systems import haproxy
from heliostat.systems.haproxy_config import Plane

pytestmark = pytest.mark.local_stack


async def counted(plane: Plane, backend: str = "flights-blue") -> dict[str, int]:
    """Requests by route."""
    routes = (await haproxy.snapshot(plane)).counts[backend]
    return {route: counts.requests for route, counts in routes.items()}


async def judged(plane: Plane, analysis: Analysis) -> Judgement:
    """What an analysis makes of all that was counted, once its time is over; green is the candidate."""
    found = predictions(await haproxy.snapshot(plane))
    window = Window(30.0, blue=found["flights-blue"], green=found["flights-green"])
    return judge(analysis, Evidence((window,)), Colour.GREEN, analysis.seconds)


async def often(plane: Plane, times: int, path: str, method: str) -> None:
    async with client(plane) as connected:
        for _ in range(times):
            await connected.ask(path, method=method)


async def test_a_canary_that_fails_every_prediction_is_refused_however_many_probes_it_answers_well(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    replicas["green"].status = 500
    await haproxy.set_share(running, "flights", 5_000)
    for path in ("healthz", "docs", "openapi.json", "nothing-of-that-name"):
        await asyncio.gather(*(often(running, 100, f"/flights/{path}", "GET") for _ in range(5)))
    await often(running, 100, "/flights/predict", "POST")
    found = await judged(running, Analysis(checks=(SuccessRate(at_least=0.95),), min_requests=100))
    assert found.verdict is Verdict.FAIL
    assert (found.findings[0].candidate, found.beyond_chance) == (0.0, True)
    asked = len(replicas["green"].seen)
    assert found.findings[0].requests == asked > 10
    green = await counted(running, "flights-green")
    assert min(green[route] for route in ("/healthz", "/docs", "/openapi.json", "other")) > 200


async def test_pages_and_probes_make_up_for_no_prediction(running: Plane) -> None:
    await haproxy.set_share(running, "flights", 10_000)
    await often(running, 300, "/flights/healthz", "GET")
    await often(running, 3, "/flights/predict", "POST")
    found = await judged(running, Analysis(checks=(SuccessRate(at_least=0.95),), min_requests=100))
    assert found.verdict is None, "it waits for predictions"
    assert "3 of the candidate's 100 requests were there" in found.findings[0].text


async def test_what_the_contract_rejects_fills_no_rate_but_its_own(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    replicas["green"].status = 422
    await haproxy.set_share(running, "flights", 10_000)
    await often(running, 120, "/flights/predict", "POST")
    replicas["green"].status = 200
    await often(running, 120, "/flights/predict", "POST")
    found = predictions(await haproxy.snapshot(running))["flights-green"]
    assert (found.requests, found.failed, found.rejected, found.rejection_rate) == (120, 0, 120, 0.5)
    checks = (SuccessRate(at_least=0.99), RejectionRate(at_most=0.1))
    assert [each.verdict for each in (await judged(running, Analysis(checks=checks))).findings] == [Verdict.PASS, Verdict.FAIL]


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/flights/predict", "/predict"),
        ("POST", "/flights/predict?a=b", "/predict"),
        ("POST", "/flights/%70redict", "/predict"),
        ("GET", "/flights/predict", "other"),
        ("OPTIONS", "/flights/predict", "other"),
        ("POST", "/flights/predict/", "other"),
        ("POST", "/flights//predict", "other"),
        ("POST", "/flights/healthz/predict", "other"),
        ("GET", "/flights/healthz", "/healthz"),
        ("POST", "/flights/healthz", "other"),
        ("GET", "/flights/docs", "/docs"),
        ("GET", "/flights/openapi.json", "/openapi.json"),
        ("GET", "/flights/", "other"),
        ("GET", "/flights", "other"),
    ],
)
async def test_a_request_counts_for_its_route_by_method_and_path(running: Plane, method: str, path: str, route: str) -> None:
    async with client(running) as connected:
        await connected.ask(path, method=method)
    assert await counted(running) == {route: 1}


async def test_a_prediction_is_asked_as_one_however_it_is_spelt(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    for path in ("/flights/predict", "/flights/%70redict", "/flights/predict?a=b"):
        await ask(running, path)
    asked = [path for path, _ in replicas["blue"].seen]
    assert asked == ["/_/flights/blue/predict", "/_/flights/blue/predict", "/_/flights/blue/predict?a=b"]


HEAD = b"POST /flights/predict HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n"


@pytest.mark.parametrize("size", [200, 2_000_000], ids=["that fits the buffer", "that is passed on as it comes"])
@pytest.mark.parametrize("half", [True, False], ids=["half closed", "gone"])
async def test_a_body_that_a_client_cut_off_is_neither(running: Plane, size: int, half: bool) -> None:
    text = HEAD % size + b"x" * (size // 2)
    if half:
        await sent(running, text, half=True)
    else:
        _, writer = await asyncio.open_connection("127.0.0.1", running.public_port)
        writer.write(text)
        await writer.drain()
        writer.close()
    await often(running, 3, "/flights/predict", "POST")
    await until(running, lambda found: all(server.in_flight == 0 for server in found.backends["flights-blue"].values()))
    found = predictions(await haproxy.snapshot(running))["flights-blue"]
    assert (found.requests, found.failed, found.rejected) == (3, 0, 0)


async def test_a_lost_prediction_is_a_failure_and_a_lost_page_is_none(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    blue = replicas["blue"]
    async with client(running) as one, client(running) as other, client(running) as third:
        for connected in (one, other, third):
            await connected.ask("/flights/predict")
        blue.hold.clear()

        async def lost(connected: Client, path: str) -> None:
            # Those whose connection to the replica was fresh are told so.
            with contextlib.suppress(asyncio.IncompleteReadError):
                assert (await connected.ask(f"/flights/{path}")).status >= 500

        asked = ((one, "predict"), (other, "train"), (third, "train"))
        waiting = [asyncio.create_task(lost(connected, path)) for connected, path in asked]
        await until(running, lambda found: found.backends["flights-blue"]["blue"].in_flight == 3)
        blue.kill()
        await asyncio.gather(*waiting)
    found = await until(running, lambda found: predictions(found)["flights-blue"].failed > 0)
    counts = predictions(found)["flights-blue"]
    assert (counts.requests, counts.failed) == (4, 1)
