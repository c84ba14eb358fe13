"""A HAProxy with one small server for each colour of one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from traffic_plane import FakeReplica, free_port, serving

from heliostat.spec.endpoints import route_prefix
from heliostat.systems import processes
from heliostat.systems.haproxy_config import COLOURS, Plane, Route


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    return Plane("127.0.0.1", free_port(), tmp_path, processes.runtime_directory(tmp_path), 1, 256, 10.0)


@pytest.fixture
async def replicas() -> AsyncIterator[dict[str, FakeReplica]]:
    found = {colour: await FakeReplica(colour, route_prefix("flights", colour)).start() for colour in COLOURS}
    yield found
    for replica in found.values():
        replica.kill()


@pytest.fixture
async def running(plane: Plane, replicas: dict[str, FakeReplica]) -> AsyncIterator[Plane]:
    async with serving(plane, Route("flights", 0, (replicas["blue"].server,), (replicas["green"].server,))):
        yield plane
