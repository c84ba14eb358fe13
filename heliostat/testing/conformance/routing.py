"""What every traffic router has to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from heliostat.controller.backends.routing import TrafficRouter
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot, backend_name
from heliostat.spec.strategies import Affinity
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

_LOOK_SECONDS = 0.02
BLUE, GREEN = Colour.BLUE, Colour.GREEN


class TrafficRouterConformance:
    """Inherit it, and give `router` and `endpoints`."""

    application = "flights"
    seconds = 10.0
    """How long a router may take until what it was asked for is so."""

    @pytest.fixture
    async def router(self) -> AsyncIterator[TrafficRouter]:
        """The router, adopted, with nothing routed."""
        raise NotImplementedError
        yield

    @pytest.fixture
    async def endpoints(self) -> AsyncIterator[dict[Colour, Endpoint]]:
        """A replica of each colour of `application` that answers its probes."""
        raise NotImplementedError
        yield

    async def test_at_first_nothing_is_routed(self, router: TrafficRouter) -> None:
        found = await router.snapshot()
        assert router.alive
        assert (found.backends, found.shares) == ({}, {})
        assert router.as_before(self.application) == ApplicationRoute(0, ColourRoute(), ColourRoute())

    async def test_a_replica_that_is_admitted_and_answers_is_used(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        wanted = self.route(0, blue=endpoints[BLUE])
        found = await self.until(router, wanted, lambda seen: self.usable(seen, BLUE))
        assert (found.shares[self.application], self.states(found, GREEN)) == (0, {})

    async def test_a_replica_that_is_not_admitted_is_probed_and_not_used(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        wanted = ApplicationRoute(0, ColourRoute((endpoints[BLUE],)), ColourRoute())
        await self.until(router, wanted, lambda seen: any(each.answers for each in self.states(seen, BLUE).values()))
        assert not self.usable(await router.snapshot(), BLUE)

    async def test_once_all_is_so_there_is_nothing_to_do(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        wanted = self.route(2_500, endpoints[BLUE], endpoints[GREEN])
        await self.settled(router, wanted)
        before = await router.snapshot()
        assert not await router.apply({self.application: wanted}, before)

    @pytest.mark.parametrize("share", [0, 1, 3_333, 10_000])
    async def test_any_share_is_moved_at_once(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint], share: int
    ) -> None:
        await self.settled(router, self.route(5_000, endpoints[BLUE], endpoints[GREEN]))
        await router.set_share(self.application, share)
        assert (await router.snapshot()).shares[self.application] == share
        assert router.as_before(self.application).share == share

    async def test_a_replica_that_is_no_longer_admitted_is_used_no_more(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        await self.settled(router, self.route(5_000, endpoints[BLUE], endpoints[GREEN]))
        green = ColourRoute((endpoints[GREEN],))
        wanted = ApplicationRoute(5_000, ColourRoute((endpoints[BLUE],), frozenset({endpoints[BLUE].name})), green)
        found = await self.until(router, wanted, lambda seen: not self.usable(seen, GREEN))
        assert self.usable(found, BLUE)

    async def test_a_replica_that_goes_is_taken_out(self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]) -> None:
        await self.settled(router, self.route(5_000, endpoints[BLUE], endpoints[GREEN]))
        await self.until(router, self.route(0, endpoints[BLUE]), lambda seen: not self.states(seen, GREEN))

    async def test_what_it_was_told_is_known_where_the_cluster_is_away(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        wanted = self.route(2_500, endpoints[BLUE], endpoints[GREEN])
        await self.settled(router, wanted)
        assert router.as_before(self.application) == wanted

    async def test_clients_are_known_by_what_is_declared(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        affinity, salt = Affinity(header="x-client"), "f" * 64
        plain = self.route(2_500, endpoints[BLUE], endpoints[GREEN])
        wanted = ApplicationRoute(plain.share, plain.blue, plain.green, affinity, salt)
        found = await self.settled(router, wanted)
        assert router.affinity(self.application) == (affinity, salt)
        assert (found.affinities[self.application], found.salts[self.application]) == (affinity, salt)
        await self.settled(router, plain)
        assert router.affinity(self.application) == (None, "")

    async def test_an_application_that_is_gone_is_routed_no_more(
        self, router: TrafficRouter, endpoints: dict[Colour, Endpoint]
    ) -> None:
        await self.settled(router, self.route(0, endpoints[BLUE]))
        await self.applied(router, {}, lambda seen: self.application not in seen.shares)
        assert backend_name(self.application, BLUE) not in (await router.snapshot()).backends

    def route(self, share: int, blue: Endpoint | None = None, green: Endpoint | None = None) -> ApplicationRoute:
        """`application` with those replicas, all admitted."""

        def of(endpoint: Endpoint | None) -> ColourRoute:
            return ColourRoute((endpoint,), frozenset({endpoint.name})) if endpoint is not None else ColourRoute()

        return ApplicationRoute(share, of(blue), of(green))

    def states(self, found: TrafficSnapshot, colour: Colour) -> dict[str, EndpointState]:
        """The replicas of one colour."""
        return found.backends.get(backend_name(self.application, colour), {})

    def usable(self, found: TrafficSnapshot, colour: Colour) -> bool:
        """Whether a replica of a colour gets requests."""
        return any(each.usable for each in self.states(found, colour).values())

    async def settled(self, router: TrafficRouter, wanted: ApplicationRoute) -> TrafficSnapshot:
        """Apply until every replica that is admitted is used, and nothing is left to do."""

        def all_used(seen: TrafficSnapshot) -> bool:
            return all(
                self.states(seen, colour).keys() == wanted.of(colour).admitted
                and all(each.usable for each in self.states(seen, colour).values())
                for colour in Colour
            ) and (wanted.affinity is None) == (self.application not in seen.affinities)

        return await self.until(router, wanted, all_used)

    async def until(
        self, router: TrafficRouter, wanted: ApplicationRoute, holds: Callable[[TrafficSnapshot], bool]
    ) -> TrafficSnapshot:
        """Apply until something holds, as a controller's loop does."""
        return await self.applied(router, {self.application: wanted}, holds)

    async def applied(
        self, router: TrafficRouter, wanted: dict[str, ApplicationRoute], holds: Callable[[TrafficSnapshot], bool]
    ) -> TrafficSnapshot:
        """The same for all that is routed."""
        seen: TrafficSnapshot | None = None
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    seen = await router.snapshot()
                    if not await router.apply(wanted, seen) and holds(seen):
                        return seen
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"not within {self.seconds:g} s: {seen}") from None
