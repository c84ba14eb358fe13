"""Rollouts over a traffic plane of several members, which are in memory, and each as slow as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fake_cluster import FakeCluster
from test_controller import bring, desired

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.spec.rollouts import Declaration, Phase
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Strategy
from heliostat.testing.backends import MemoryRouter
from heliostat.traffic.messages import Report
from heliostat.traffic.readiness import share_moves

_LOOK_SECONDS = 0.01


class Member:
    """An agent with a HAProxy in memory."""

    def __init__(self, name: str, fleet: FleetRouter) -> None:
        self.name, self.fleet, self.router = name, fleet, MemoryRouter()
        self.moves = True
        """Whether it moves shares as it is wanted; it does all else."""

    async def run(self) -> None:
        while True:
            found = await self.router.snapshot()
            for name, share in share_moves(self.fleet.wanted.routes, found).items():
                if self.moves:
                    await self.router.set_share(name, share)
            await self.router.apply(self.fleet.wanted.routes, found)
            self.fleet.take(self.name, Report(ready=True, routes=True, snapshot=await self.router.snapshot()))
            await asyncio.sleep(_LOOK_SECONDS)


class World:
    """A controller over two members."""

    def __init__(self, directory: Path) -> None:
        self.cluster = FakeCluster(directory)
        self.fleet = FleetRouter(self.cluster.reconciler.store)
        self.cluster.reconciler.traffic = self.fleet
        self.members = {name: Member(name, self.fleet) for name in ("one", "two")}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each.run()) for each in self.members.values()]
        tasks.append(asyncio.create_task(self.fleet.supervise(self.cluster.reconciler.wake)))
        async with self.cluster.running() as self.client:
            yield
        for task in tasks:
            task.cancel()

    @property
    def shares(self) -> list[dict[str, int]]:
        return [each.router.shares for each in self.members.values()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


CANARY = Canary(steps=(CanaryStep(weight=0.5), CanaryStep(weight=33.33)), retention_seconds=0)


@pytest.mark.parametrize(
    "strategy", [BlueGreen(retention_seconds=0), Rolling(), Recreate(), CANARY], ids=lambda each: each.kind
)
async def test_each_strategy_ends_with_the_new_version_alone_on_all_members(world: World, strategy: Strategy) -> None:
    async with world.running():
        await bring(world.client, desired(1))
        status = await bring(world.client, desired(2, strategy=strategy))
        assert status.rollout is not None
        assert status.rollout.phase is Phase.SUCCEEDED
        assert world.shares == [{"flights": 10_000}] * 2
        assert set(world.cluster.serve.apps) == {"flights-green"}


async def test_nothing_is_taken_away_while_a_member_may_still_send_requests_there(world: World) -> None:
    async with world.running():
        await bring(world.client, desired(1))
        world.members["two"].moves = False
        following = asyncio.create_task(bring(world.client, desired(2, strategy=BlueGreen(retention_seconds=0))))
        async with asyncio.timeout(60):
            while world.shares[0] != {"flights": 10_000}:
                await world.fleet._heard.wait(1)
        for _ in range(20):
            await world.fleet._heard.wait(1)
        assert not following.done()
        assert set(world.cluster.serve.apps) == {"flights-blue", "flights-green"}
        assert world.shares[1] == {"flights": 0}
        world.members["two"].moves = True
        status = await following
        assert status.rollout is not None
        assert status.rollout.phase is Phase.SUCCEEDED
        assert set(world.cluster.serve.apps) == {"flights-green"}
        assert status.rollout.figures["shift_milliseconds"] > 50, "a share has moved once it has on all members"


async def test_a_controller_without_any_member_decides_nothing_and_goes_on_once_there_is_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    members, world.members = world.members, {}
    async with world.running():
        world.cluster.reconciler.declare("flights", Declaration(desired=desired(1)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert world.cluster.serve.apps == {}
        task = asyncio.create_task(members["one"].run())
        status = await bring(world.client, desired(1))
        assert status.serving == desired(1).version
        task.cancel()
