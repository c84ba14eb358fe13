"""Ray's Jobs API on a real cluster does what a job runner has to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from heliostat.provider.runners import JobRunner, open_runner
from heliostat.spec.addresses import RayAddress
from heliostat.spec.platform_resources import RayClusterInputs
from heliostat.spec.platforms.local import RayNode, RayWorkers
from heliostat.systems.ray_nodes import LocalCluster
from heliostat.testing.conformance import JobRunnerConformance

pytestmark = [
    pytest.mark.local_stack,
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RayAddress]:
    directory: Path = tmp_path_factory.mktemp("jobs") / "ray"
    cluster = LocalCluster(directory)
    try:
        inputs = RayClusterInputs(directory=str(directory), head=RayNode(cpus=2), workers=RayWorkers(count=0))
        await cluster.start(inputs, lambda line: None)
        yield cluster.address
    finally:
        await cluster.stop()


class TestRayJobs(JobRunnerConformance):
    seconds = 120.0

    @pytest_asyncio.fixture(loop_scope="module")
    async def runner(self, address: RayAddress) -> AsyncIterator[JobRunner]:
        async with open_runner(address) as runner:
            yield runner
