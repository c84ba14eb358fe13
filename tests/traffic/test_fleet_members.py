"""Which members count, for how long, and what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.controller.store import Store
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot
from heliostat.spec.latencies import Counts
from heliostat.spec.routes import PREDICT
from heliostat.systems.errors import RetryableError
from heliostat.traffic.messages import HEARD_SECONDS, Report
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

ROUTE = ApplicationRoute(0, ColourRoute((Endpoint("a", "10.0.0.1", 80),), frozenset({"a"})), ColourRoute())


class World:
    """A fleet, its clock and its store."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now = directory, 1000.0
        self.start()

    def start(self) -> FleetRouter:
        """Another controller."""
        self.store = Store(self.directory)
        self.fleet = FleetRouter(self.store, lambda: self.now)
        return self.fleet

    def tell(self, name: str, share: int = 0, requests: int = 0, worker: str = "1", **told: object) -> None:
        state = EndpointState(Endpoint("a", "10.0.0.1", 80), True, True, False, 0, "L7OK 200")
        counts = {"flights-blue": {PREDICT: Counts(requests=requests)}}
        found = TrafficSnapshot({"flights-blue": {"a": state}}, {"flights": share}, counts, worker=worker)
        url = f"http://{name}:8081"
        self.fleet.take(name, Report(**{"url": url, "ready": True, "routes": True, "snapshot": found, **told}))

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.fleet.members()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.store.close()


async def test_without_members_nothing_is_said_and_nothing_decided(world: World) -> None:
    assert not world.fleet.alive
    with pytest.raises(RetryableError, match="no member of the traffic plane reports"):
        await world.fleet.snapshot()


async def test_a_member_counts_from_when_it_may_have_clients(world: World) -> None:
    world.tell("one", share=2_500)
    world.tell("new", share=0, ready=False, routes=False)
    assert world.names == ["one"]
    world.tell("new", share=0, ready=False, routes=True)
    assert world.names == ["new", "one"]


async def test_a_silent_member_counts_for_as_long_as_it_may_have_clients_and_no_longer(world: World) -> None:
    await world.fleet.apply({"flights": ROUTE}, TrafficSnapshot({}, {}))
    world.tell("one")
    world.tell("two")
    await world.fleet.apply({"flights": ApplicationRoute(10_000, ROUTE.blue, ROUTE.green)}, TrafficSnapshot({}, {}))
    world.now += HEARD_SECONDS - 0.1
    world.tell("one", share=10_000)
    assert (await world.fleet.snapshot()).shares == {"flights": 0}
    world.now += 0.1
    assert (await world.fleet.snapshot()).shares == {"flights": 10_000}
    assert world.names == ["one"]
    world.tell("two", share=0)
    assert (await world.fleet.snapshot()).shares == {"flights": 0}, "it comes back as it went"


async def test_a_member_whose_haproxy_does_not_answer_is_silent_too(world: World) -> None:
    world.tell("one")
    world.now += HEARD_SECONDS - 1
    world.tell("one", snapshot=None, ready=False)
    assert (world.names, world.fleet.alive) == (["one"], False)
    world.now += 1
    assert world.names == []


async def test_a_farewell_counts_at_once_and_what_was_counted_is_told(world: World) -> None:
    world.tell("one", requests=3)
    world.tell("two", requests=4)
    world.tell("two", requests=5, gone=True)
    found = await world.fleet.snapshot()
    assert world.names == ["one"]
    assert {name: each.counts["flights-blue"][PREDICT].requests for name, each in found.parts.items()} == {
        "one/1": 3,
        "two/1": 5,
    }


async def test_after_a_start_all_that_counted_are_waited_for_and_not_forever(world: World) -> None:
    world.tell("one")
    world.tell("two")
    world.start()
    world.tell("one")
    with pytest.raises(RetryableError, match="two of the traffic plane did not report since this start"):
        await world.fleet.snapshot()
    world.now += HEARD_SECONDS
    world.tell("one")
    assert (await world.fleet.snapshot()).shares == {"flights": 0}
    world.start()
    world.tell("one")
    await world.fleet.snapshot()


async def test_a_share_is_waited_for_until_all_have_it(world: World) -> None:
    world.tell("one")
    world.tell("two")
    moving = asyncio.create_task(world.fleet.set_share("flights", 2_500))
    await asyncio.sleep(0)
    world.tell("one", share=2_500)
    await asyncio.sleep(0)
    assert not moving.done()
    world.tell("two", share=2_500)
    async with asyncio.timeout(60):
        await moving


async def test_a_member_that_lags_is_waited_for_once_and_no_pass_is_held_up_by_it(world: World) -> None:
    world.tell("one")
    moving = asyncio.create_task(world.fleet.set_share("flights", 2_500))
    await asyncio.sleep(0)
    world.now += 2
    world.tell("one")
    async with asyncio.timeout(60):
        await moving
        await world.fleet.set_share("flights", 2_500)
    assert (await world.fleet.snapshot()).shares == {"flights": 0}


async def test_news_are_told_when_there_are_some_and_the_same_again_is_none(world: World) -> None:
    first = world.fleet.wanted.revision
    waiting = asyncio.create_task(world.fleet.wanted_after(first, 600))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await world.fleet.apply({"flights": ROUTE}, TrafficSnapshot({}, {}))
    async with asyncio.timeout(60):
        found = await waiting
    assert found is not None
    assert found.revision > first
    assert found.routes == {"flights": ROUTE}
    assert not await world.fleet.apply({"flights": ROUTE}, TrafficSnapshot({}, {}))
    assert world.fleet.wanted.revision == found.revision
    assert await world.fleet.wanted_after(None, 30) == found, "who has nothing need not wait"


async def test_another_controller_wants_the_same_and_later_news_have_higher_numbers(world: World) -> None:
    await world.fleet.apply({"flights": ROUTE}, TrafficSnapshot({}, {}))
    before = world.fleet.wanted
    assert world.start().wanted == before
    await world.fleet.apply({}, TrafficSnapshot({}, {}))
    assert world.fleet.wanted.revision > before.revision


async def test_members_are_told_of_each_other(world: World) -> None:
    world.tell("one")
    world.tell("new", routes=False)
    answer = world.fleet.take("one", Report())
    assert answer.peers == ()
    world.tell("one")
    world.tell("two")
    told = world.fleet.take("three", Report())
    assert told.peers == ("http://one:8081", "http://two:8081")


async def test_only_what_changed_wakes_the_controller(world: World) -> None:
    told = list[int]()
    task = asyncio.create_task(world.fleet.supervise(lambda: told.append(1)))
    await asyncio.sleep(0)
    for requests, share, expected in ((0, 0, 1), (5, 0, 1), (5, 2_500, 2)):
        world.tell("one", share=share, requests=requests)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(told) == expected, (requests, share)
    task.cancel()


async def test_a_member_that_is_unready_for_long_counts_no_more_until_it_asks_for_clients(
    world: World,
) -> None:
    world.tell("one")
    world.tell("two", ready=False)
    for _ in range(int(HEARD_SECONDS)):
        world.now += 1
        world.tell("one")
        world.tell("two", ready=False)
    assert world.names == ["one"]
    world.tell("two", ready=False)
    assert world.names == ["one"], "it does not count anew with each report"
    world.tell("two")
    assert world.names == ["one", "two"]


async def test_a_member_that_ends_counts_as_long_as_it_has_something_to_answer(world: World) -> None:
    state = EndpointState(Endpoint("a", "10.0.0.1", 80), True, True, False, 1, "L7OK 200")
    busy = TrafficSnapshot({"flights-blue": {"a": state}}, {"flights": 0}, worker="1")
    for _ in range(int(HEARD_SECONDS) + 5):
        world.tell("one", ready=False, snapshot=busy)
        world.now += 1
    assert world.names == ["one"]
    world.tell("one", ready=False)
    assert world.names == []


async def test_who_waits_for_news_is_answered_when_the_controller_ends(world: World) -> None:
    waiting = asyncio.create_task(world.fleet.wanted_after(0, 600))
    await asyncio.sleep(0)
    world.fleet.close()
    async with asyncio.timeout(60):
        assert await waiting is None
        assert await world.fleet.wanted_after(0, 600) is None
