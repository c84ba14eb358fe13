"""HAProxy, as the controller owns it, does what a traffic router has to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from traffic_plane import FakeReplica, free_port

from heliostat.controller.backends.haproxy import plane_of
from heliostat.controller.store import Store
from heliostat.rollout.model import Colour
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.controller import TRAFFIC_SERVICE, ControllerSettings
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.systems import processes
from heliostat.testing.conformance import TrafficRouterConformance
from heliostat.traffic.haproxy import HAProxyRouter


@pytest.fixture
def settings(tmp_path: Path) -> ControllerSettings:
    folder = tmp_path / "controller"
    folder.mkdir()
    inputs = ControllerInputs(
        directory=str(folder),
        ray=RayAddress(url="http://127.0.0.1:1"),
        store=StoreAddress(uri=tmp_path.as_uri()),
        tracking_uri="http://127.0.0.1:1",
    )
    runtime = str(processes.runtime_directory(folder))
    return ControllerSettings(
        inputs=inputs, api_port=20001, public_port=free_port(), serve_port=20003, runtime_directory=runtime
    )


class TestHAProxy(TrafficRouterConformance):
    @pytest.fixture
    async def router(self, settings: ControllerSettings) -> AsyncIterator[HAProxyRouter]:
        store = Store(settings.directory)
        found = HAProxyRouter(plane_of(settings), store)
        await found.adopt()
        yield found
        await processes.stop(settings.directory, TRAFFIC_SERVICE, grace_seconds=0)
        store.close()

    @pytest.fixture
    async def endpoints(self, replicas: dict[str, FakeReplica]) -> AsyncIterator[dict[Colour, Endpoint]]:
        yield {Colour(name): replica.server for name, replica in replicas.items()}

    async def test_another_controller_takes_over_what_it_has(
        self, router: HAProxyRouter, endpoints: dict[Colour, Endpoint], settings: ControllerSettings
    ) -> None:
        wanted = self.route(2_500, endpoints[Colour.BLUE], endpoints[Colour.GREEN])
        before = await self.settled(router, wanted)
        store = Store(settings.directory)
        successor = HAProxyRouter(plane_of(settings), store)
        await successor.adopt()
        assert (await successor.snapshot()).backends == before.backends
        assert successor.as_before(self.application) == wanted
        store.close()
