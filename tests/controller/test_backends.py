"""Each backend does what its seam asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_cluster import FakeServe
from test_controller import desired
from test_serve_config import SETTINGS

from heliostat.controller.backends.ray_serve import RayServe, deployments
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.rollouts import Desired
from heliostat.systems.ray_serve import ServeApplication, ServeInstance, ServeStatus
from heliostat.testing.backends import MemoryRouter, MemoryServing
from heliostat.testing.conformance import ServingBackendConformance, TrafficRouterConformance


def crashes(wanted: Desired) -> str | None:
    return "ValueError: no column 'altitude'" if wanted.version.contract == "app:crashes" else None


class TestMemoryServing(ServingBackendConformance):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[MemoryServing]:
        yield MemoryServing(crashes)

    def desired(self, number: int = 1, *, starts: bool = True) -> Desired:
        return desired(number, "fine" if starts else "crashes")


class TestRayServeConfigs(ServingBackendConformance):
    """What Serve is asked for and says, with a Serve in memory."""

    @pytest.fixture
    async def backend(self) -> AsyncIterator[RayServe]:
        yield RayServe(FakeServe(), SETTINGS)  # type: ignore[arg-type]

    def desired(self, number: int = 1, *, starts: bool = True) -> Desired:
        return desired(number, "fine" if starts else "crashes")


class TestMemoryRouter(TrafficRouterConformance):
    @pytest.fixture
    async def router(self) -> AsyncIterator[MemoryRouter]:
        yield MemoryRouter()

    @pytest.fixture
    async def endpoints(self) -> AsyncIterator[dict[Colour, Endpoint]]:
        yield {colour: Endpoint(f"{colour}-1", "127.0.0.1", 30_000 + len(colour)) for colour in Colour}


def serve_application(name: str, status: ServeStatus, replicas: int, *endpoints: Endpoint) -> ServeApplication:
    return ServeApplication(name, status, "", {"args": {"replicas": replicas}}, {"model": replicas}, endpoints, 0)


def test_replicas_that_run_and_listen_nowhere_are_told_with_the_variable_that_is_missing() -> None:
    nowhere = serve_application("flights-blue", ServeStatus.RUNNING, 2)
    well = serve_application("flights-green", ServeStatus.RUNNING, 1, Endpoint("r", "10.0.0.3", 30_000))
    starts = serve_application("trains-blue", ServeStatus.DEPLOYING, 2)
    found = deployments(ServeInstance({each.name: each for each in (nowhere, well, starts)}))
    errors = {key: each.error for key, each in found.colours.items()}
    assert "RAY_SERVE_ENABLE_DIRECT_INGRESS=1" in errors["flights", Colour.BLUE]
    assert errors["flights", Colour.GREEN] == errors["trains", Colour.BLUE] == ""


def test_applications_of_others_on_the_same_serve_are_not_ours() -> None:
    others = {name: serve_application(name, ServeStatus.RUNNING, 1) for name in ("default", "flights-red", "-blue")}
    assert deployments(ServeInstance(others)).colours == {}


def test_the_suites_are_not_empty(tmp_path: Path) -> None:
    for suite in (ServingBackendConformance, TrafficRouterConformance):
        assert sum(name.startswith("test_") for name in vars(suite)) >= 10
