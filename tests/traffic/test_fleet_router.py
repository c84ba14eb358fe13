"""Several HAProxies, each with its agent, do together what a traffic router has to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fleet_plane import Agent, Controller, plane
from traffic_plane import FakeReplica

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import Endpoint, route_prefix
from heliostat.testing.conformance import TrafficRouterConformance

pytestmark = [pytest.mark.local_stack, pytest.mark.asyncio(loop_scope="module")]

Plane = tuple[Controller, dict[str, Agent]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    async with plane(tmp_path_factory.mktemp("fleet"), "one", "two") as found:
        yield found


class TestFleet(TrafficRouterConformance):
    @pytest_asyncio.fixture(loop_scope="module")
    async def router(self, two: Plane) -> AsyncIterator[FleetRouter]:
        fleet = two[0].fleet
        await fleet.apply({}, await fleet.snapshot())
        await two[0].until(lambda fleet: all(not each.snapshot.shares for each in fleet.members()))
        yield fleet

    @pytest_asyncio.fixture(loop_scope="module")
    async def endpoints(self) -> AsyncIterator[dict[Colour, Endpoint]]:
        found = {colour: await FakeReplica(colour, route_prefix("flights", colour)).start() for colour in Colour}
        yield {colour: replica.server for colour, replica in found.items()}
        for replica in found.values():
            replica.kill()

    async def test_all_members_do_the_same(self, two: Plane, router: FleetRouter, endpoints: dict[Colour, Endpoint]) -> None:
        await self.settled(router, self.route(2_500, endpoints[Colour.BLUE], endpoints[Colour.GREEN]))
        await router.set_share(self.application, 7_500)
        found = [each.snapshot for each in router.members()]
        assert [each.shares for each in found] == [{"flights": 7_500}] * 2
        assert found[0].backends.keys() == found[1].backends.keys() == {"flights-blue", "flights-green"}
