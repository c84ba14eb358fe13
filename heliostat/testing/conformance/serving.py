"""What every serving backend has to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from heliostat.controller.backends.serving import Deployment, ServingBackend
from heliostat.rollout.model import Colour, Condition, DeployColour, identity
from heliostat.spec.rollouts import Desired

_LOOK_SECONDS = 0.05
BLUE, GREEN = Colour.BLUE, Colour.GREEN


class ServingBackendConformance:
    """Inherit it, and give `backend` and `desired`."""

    application = "conformance"
    seconds = 10.0
    """How long a backend may take until what it was asked for is so."""

    @pytest.fixture
    async def backend(self) -> AsyncIterator[ServingBackend]:
        """The backend, with nothing of `application` on it."""
        raise NotImplementedError
        yield

    def desired(self, number: int = 1, *, starts: bool = True) -> Desired:
        """A version that can be deployed; or one whose replicas cannot start."""
        raise NotImplementedError

    async def test_what_was_never_deployed_is_not_there(self, backend: ServingBackend) -> None:
        found = await backend.observe()
        assert found.of(self.application, BLUE) is None
        assert found.endpoints(self.application, BLUE) == ()

    async def test_what_is_deployed_runs_with_all_its_replicas(self, backend: ServingBackend) -> None:
        wanted = self.desired()
        found = await self.brought(backend, wanted, 2)
        assert (found.identity, found.replicas) == (identity(wanted), 2)
        assert found.max_ongoing_requests == wanted.max_ongoing_requests
        assert len({each.name for each in found.endpoints}) == len({(each.host, each.port) for each in found.endpoints}) == 2
        assert found.error == ""

    async def test_the_same_again_changes_nothing(self, backend: ServingBackend) -> None:
        before = await self.brought(backend, self.desired(), 2)
        assert await self.brought(backend, self.desired(), 2) == before

    async def test_replicas_come_and_go_and_the_others_stay(self, backend: ServingBackend) -> None:
        one = await self.brought(backend, self.desired(), 1)
        three = await self.brought(backend, self.desired(), 3)
        assert set(one.endpoints) <= set(three.endpoints)
        two = await self.brought(backend, self.desired(), 2)
        assert set(two.endpoints) <= set(three.endpoints)

    async def test_how_many_requests_a_replica_takes_changes_in_place(self, backend: ServingBackend) -> None:
        wanted = self.desired()
        before = await self.brought(backend, wanted, 1)
        more = wanted.model_copy(update={"max_ongoing_requests": wanted.max_ongoing_requests + 3})
        after = await self.brought(backend, more, 1)
        assert after.max_ongoing_requests == more.max_ongoing_requests
        assert after.endpoints == before.endpoints

    async def test_colours_run_beside_each_other(self, backend: ServingBackend) -> None:
        old, new = self.desired(1), self.desired(2)
        before = await self.brought(backend, old, 1)
        found = await self.brought(backend, new, 1, GREEN)
        assert (before.identity, found.identity) == (identity(old), identity(new))
        seen = await backend.observe()
        assert seen.of(self.application, BLUE) == before
        assert not set(before.endpoints) & set(found.endpoints)

    async def test_a_colour_that_is_retired_goes_and_leaves_the_other(self, backend: ServingBackend) -> None:
        before = await self.brought(backend, self.desired(1), 1)
        await self.brought(backend, self.desired(2), 1, GREEN)
        await self.retired(backend, GREEN)
        assert (await backend.observe()).of(self.application, BLUE) == before

    async def test_to_retire_what_is_gone_is_nothing(self, backend: ServingBackend) -> None:
        await backend.retire(self.application, GREEN)
        await self.brought(backend, self.desired(), 1)
        await self.retired(backend, BLUE)
        await backend.retire(self.application, BLUE)

    async def test_another_version_takes_the_place_of_one_that_went(self, backend: ServingBackend) -> None:
        await self.brought(backend, self.desired(1), 1)
        await self.retired(backend, BLUE)
        found = await self.brought(backend, self.desired(2), 1)
        assert found.identity == identity(self.desired(2))

    async def test_what_cannot_start_says_why(self, backend: ServingBackend) -> None:
        await self.deploy(backend, self.desired(starts=False), 1, BLUE)
        found = await self.until(backend, BLUE, lambda seen: seen is not None and seen.condition is Condition.FAILED)
        assert found is not None
        assert found.error
        assert found.endpoints == ()

    async def test_what_room_is_left_is_told_or_not_known(self, backend: ServingBackend) -> None:
        await self.brought(backend, self.desired(), 1)
        room = await backend.room(self.application)
        if room is not None:
            nodes, held = room
            assert all(node.cpus >= 0 for node in nodes)
            assert {each.node for each in held} <= {node.name for node in nodes}
            assert sum(each.replicas for each in held if each.colour is BLUE) == 1

    async def test_to_prepare_what_runs_is_nothing(self, backend: ServingBackend) -> None:
        before = await self.brought(backend, self.desired(), 1)
        await backend.prepare()
        assert (await backend.observe()).of(self.application, BLUE) == before

    async def deploy(self, backend: ServingBackend, wanted: Desired, replicas: int, colour: Colour) -> None:
        """Ask for a colour."""
        await backend.deploy(self.application, DeployColour(colour, wanted, replicas))

    async def brought(self, backend: ServingBackend, wanted: Desired, replicas: int, colour: Colour = BLUE) -> Deployment:
        """Ask for a colour, and give it once it is so."""
        await self.deploy(backend, wanted, replicas, colour)

        def is_so(seen: Deployment | None) -> bool:
            return (
                seen is not None
                and seen.condition is Condition.RUNNING
                and len(seen.endpoints) == seen.replicas == replicas
                and seen.max_ongoing_requests == wanted.max_ongoing_requests
            )

        found = await self.until(backend, colour, is_so)
        assert found is not None
        return found

    async def retired(self, backend: ServingBackend, colour: Colour) -> None:
        """Take a colour away, and return once it is gone."""
        await backend.retire(self.application, colour)
        await self.until(backend, colour, lambda seen: seen is None)

    async def until(
        self, backend: ServingBackend, colour: Colour, holds: Callable[[Deployment | None], bool]
    ) -> Deployment | None:
        """A colour once something holds of it; nothing tells of that, so it is looked for."""
        seen: Deployment | None = None
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    seen = (await backend.observe()).of(self.application, colour)
                    if holds(seen):
                        return seen
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"not within {self.seconds:g} s: {seen}") from None
