"""Ray Serve on a real cluster does what a serving backend has to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from live_stack import Stack, stack

from heliostat.controller.backends.ray_serve import RayServe
from heliostat.rollout.model import Colour
from heliostat.spec.rollouts import Desired
from heliostat.systems.ray_serve import ServeClient
from heliostat.testing.conformance import ServingBackendConformance

__all__ = ["stack"]

pytestmark = [
    pytest.mark.local_stack,
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]


class TestRayServe(ServingBackendConformance):
    seconds = 90.0
    _stack: Stack

    @pytest_asyncio.fixture(loop_scope="module")
    async def backend(self, stack: Stack) -> AsyncIterator[RayServe]:
        type(self)._stack = stack
        found = RayServe(ServeClient(stack.settings.inputs.ray, stack.settings.serve_port), stack.settings)
        yield found
        for colour in Colour:
            await self.retired(found, colour)
        await found.close()

    def desired(self, number: int = 1, *, starts: bool = True) -> Desired:
        return self._stack.desired(number, "fine" if starts else "crashes")
