"""One client, one version: the real HAProxy, asked by thousands of clients."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from traffic_plane import FakeReplica, ask, client, serving, until

from heliostat.spec.strategies import Affinity
from heliostat.systems import haproxy, haproxy_affinity, proc, processes
from heliostat.systems.haproxy_config import Plane, Route, render, render_affinity_map, render_salt_map

HEADER, COOKIE = Affinity(header="X-User"), Affinity(cookie="who")
KEYS = tuple(f"user-{number}" for number in range(10_000))
FRESH = re.compile(r"who=([0-9a-f-]{36}); Path=/shop; Max-Age=2592000; HttpOnly; SameSite=Lax")


def routes_of(replicas: dict[str, FakeReplica], share: int = 0, salt: str = "one") -> tuple[Route, ...]:
    """Flights by header, the shop by cookie, the weather by chance."""
    blue, green = (replicas["blue"].server,), (replicas["green"].server,)
    return (
        Route("flights", share, blue, green, HEADER, salt),
        Route("shop", share, blue, green, COOKIE, salt),
        Route("weather", share, blue, green),
    )


@pytest.fixture
async def replicas() -> AsyncIterator[dict[str, FakeReplica]]:
    """Two servers that stand for the colours of every application."""
    found = {colour: await FakeReplica(colour, "/_/").start() for colour in ("blue", "green")}
    yield found
    for replica in found.values():
        replica.kill()


@pytest.fixture
async def sticky(plane: Plane, replicas: dict[str, FakeReplica]) -> AsyncIterator[Plane]:
    async with serving(plane, *routes_of(replicas)):
        yield plane


async def on_green(plane: Plane, keys: tuple[str, ...], share: int) -> frozenset[str]:
    """The clients that flights' green answers at a share."""
    await haproxy.set_share(plane, "flights", share)

    async def some(part: tuple[str, ...]) -> list[str]:
        async with client(plane) as connected:
            return [key for key in part if (await connected.ask("/flights/predict", {"x-user": key})).body["label"] == "green"]

    return frozenset(key for found in await asyncio.gather(*(some(keys[at::8]) for at in range(8))) for key in found)


def test_without_an_affinity_nothing_is_added(plane: Plane) -> None:
    text = render(plane, (Route("flights"),))
    assert "txn.key" not in text
    assert "set-cookie" not in text
    assert render_affinity_map((Route("flights"),)) == render_salt_map((Route("flights"),)) == ""


def test_each_header_and_cookie_has_one_rule_however_many_applications_use_it(plane: Plane) -> None:
    routes = (Route("a", affinity=HEADER), Route("b", affinity=HEADER), Route("c", affinity=COOKIE))
    text = render(plane, routes)
    assert (text.count("req.fhdr(X-User)"), text.count("req.cook(who)")) == (1, 1)
    assert render_affinity_map(routes) == "a header:X-User\nb header:X-User\nc cookie:who\n"
    assert render_salt_map(routes) == "a -\nb -\nc -\n"


@pytest.mark.parametrize("salt", ["a b", "a;b", "a\nb", "x" * 129, "ü"])
def test_a_salt_that_is_none_is_refused(plane: Plane, salt: str) -> None:
    with pytest.raises(ValueError, match="up to 128 letters"):
        haproxy.write(plane, (Route("flights", affinity=HEADER, salt=salt),))


def test_maps_are_read_as_they_are_written() -> None:
    assert haproxy_affinity.parse_affinities({"a": "header:X-User", "b": "cookie:who"}) == {"a": HEADER, "b": COOKIE}
    assert haproxy_affinity.parse_salts({"a": "-", "b": "s1"}) == {"a": "", "b": "s1"}


@pytest.mark.local_stack
async def test_ten_thousand_clients_are_dealt_as_the_share_says(sticky: Plane) -> None:
    for share in (1_000, 5_000):
        found = await on_green(sticky, KEYS, share)
        assert abs(len(found) / len(KEYS) - share / 10_000) < 0.015


@pytest.mark.local_stack
@pytest.mark.parametrize("shares", [(0, 500, 3_000, 7_500, 10_000), (10_000, 9_500, 7_000, 2_500, 0)])
async def test_a_share_that_rises_takes_clients_and_gives_none_back(sticky: Plane, shares: tuple[int, ...]) -> None:
    keys = KEYS[:400]
    steps = [await on_green(sticky, keys, share) for share in shares]
    if shares[0] > shares[-1]:
        steps = [frozenset(keys) - green for green in steps]
    assert (len(steps[0]), len(steps[-1])) == (0, len(keys))
    assert all(before < after for before, after in pairwise(steps))


@pytest.mark.local_stack
async def test_a_client_stays_and_another_salt_deals_anew_without_a_reload(sticky: Plane) -> None:
    keys = KEYS[:400]
    first = await on_green(sticky, keys, 5_000)
    assert await on_green(sticky, keys, 5_000) == first
    await haproxy.set_salt(sticky, "flights", "two")
    assert (await haproxy.snapshot(sticky)).salts == {"flights": "two", "shop": "one"}
    # Half of those who were there are there again by chance.
    assert 0.35 < len(first & await on_green(sticky, keys, 5_000)) / len(first) < 0.65


@pytest.mark.local_stack
async def test_a_salt_for_who_has_no_affinity_changes_nothing(sticky: Plane) -> None:
    await haproxy.set_salt(sticky, "weather", "two")
    assert "weather" not in (await haproxy.snapshot(sticky)).salts


@pytest.mark.local_stack
async def test_without_the_header_chance_decides_request_by_request(sticky: Plane) -> None:
    await haproxy.set_share(sticky, "flights", 5_000)
    answers = [await ask(sticky, "/flights/predict") for _ in range(60)]
    assert {answer.body["label"] for answer in answers} == {"blue", "green"}
    assert not any("set-cookie" in answer.headers for answer in answers)


@pytest.mark.local_stack
async def test_a_client_without_a_cookie_is_given_one_and_stays_where_its_first_answer_came_from(sticky: Plane) -> None:
    await haproxy.set_share(sticky, "shop", 3_000)
    seen = {}
    async with client(sticky) as connected:
        for _ in range(300):
            first = await connected.ask("/shop/predict", {"cookie": "other=1"})
            fresh = FRESH.fullmatch(first.headers["set-cookie"])
            assert fresh is not None
            seen[fresh.group(1)] = first.body["label"]
        for cookie, label in seen.items():
            again = await connected.ask("/shop/predict", {"cookie": f"other=1; who={cookie}"})
            assert again.body["label"] == label
            assert "set-cookie" not in again.headers
    assert len(seen) == 300
    assert 60 < list(seen.values()).count("green") < 120


@pytest.mark.local_stack
async def test_an_empty_cookie_is_none(sticky: Plane) -> None:
    assert "set-cookie" in (await ask(sticky, "/shop/predict", {"cookie": "who="})).headers


@pytest.mark.local_stack
async def test_other_applications_are_left_alone(sticky: Plane) -> None:
    await haproxy.set_share(sticky, "weather", 5_000)
    answers = [await ask(sticky, "/weather/predict", {"x-user": "one", "cookie": "who=me"}) for _ in range(60)]
    assert {answer.body["label"] for answer in answers} == {"blue", "green"}
    assert not any("set-cookie" in answer.headers for answer in answers)


@pytest.mark.local_stack
async def test_a_killed_haproxy_comes_back_with_everybody_where_they_were(
    sticky: Plane, replicas: dict[str, FakeReplica]
) -> None:
    haproxy.write(sticky, routes_of(replicas, 3_000, "two"))
    await haproxy.set_salt(sticky, "flights", "two")
    before = await on_green(sticky, KEYS[:200], 3_000)
    process = processes.find(sticky.directory, "haproxy")
    assert process is not None
    os.killpg(process.pid, signal.SIGKILL)
    await proc.exited(process, 10)
    processes.start(haproxy.service(sticky, "haproxy"))
    found = await until(sticky, lambda found: all(s.answers for b in found.backends.values() for s in b.values()))
    assert (found.shares["flights"], found.salts["flights"]) == (3_000, "two")
    assert await on_green(sticky, KEYS[:200], 3_000) == before


@pytest.mark.local_stack
async def test_another_affinity_is_known_to_need_a_reload_until_the_worker_has_it(
    sticky: Plane, replicas: dict[str, FakeReplica]
) -> None:
    routes = routes_of(replicas)
    changed = (routes[0], routes[1], Route("weather", 0, routes[0].blue, routes[0].green, Affinity(header="X-Session")))
    assert not haproxy.needs_reload(await haproxy.snapshot(sticky), routes)
    haproxy.write(sticky, changed)
    # Whoever wrote it may have died before the reload: only what runs tells.
    assert haproxy.needs_reload(await haproxy.snapshot(sticky), changed)
    await haproxy.reload(sticky)
    found = await until(sticky, lambda found: "weather" in found.affinities)
    assert not haproxy.needs_reload(found, changed)
    assert haproxy.needs_reload(found, changed[:2])


def test_what_a_reload_reads_once_is_known_to_be_written(plane: Plane) -> None:
    routes = (Route("flights", affinity=HEADER), Route("shop", affinity=COOKIE))
    swapped = (Route("flights", affinity=COOKIE), Route("shop", affinity=HEADER))
    assert not haproxy.is_written(plane, routes)
    haproxy.write(plane, routes)
    assert haproxy.is_written(plane, routes)
    assert render(plane, routes) == render(plane, swapped)
    assert not haproxy.is_written(plane, swapped)


def test_maps_lie_beside_the_configuration(plane: Plane, tmp_path: Path) -> None:
    haproxy.write(plane, (Route("flights", affinity=HEADER, salt="s"),))
    assert (tmp_path / "salts.map").read_text() == "flights s\n"
    assert (tmp_path / "affinities.map").read_text() == "flights header:X-User\n"
