"""AWS: 1,000 nodes with GPUs of three kinds, at spot and on demand, and all workers that they may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes import kwok
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.placement import ABSENT, Placement, PlacementTests, made, placed
from tests.platforms.aws_stack import aws_stack

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]
GROUPS: dict[str, Any] = {
    "cpu": {"kind": "cpu", "cpus": 6, "memoryGib": 24, "max": 300},
    "spot-cpu": {"kind": "cpu", "cpus": 6, "memoryGib": 24, "spot": True, "max": 97},
    "spot-gpu": {"kind": "gpu", "type": "L4", "spot": True, "max": 200},
    "l4": {"kind": "gpu", "type": "L4", "max": 100},
    "a10g": {"kind": "gpu", "type": "A10G", "max": 200},
    "t4x4": {"kind": "gpu", "type": "T4", "count": 4, "max": 60},
    "a100": {"kind": "gpu", "type": "A100-40G", "count": 8, "max": 40},
    ABSENT: {"kind": "gpu", "type": "L40S", "max": 4},
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is declared."""
    kwok.program()
    return made(aws_stack(tmp_path_factory.mktemp("aws"), groups=GROUPS))


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, cluster: Cluster, plan: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Placement]:
    """All of it, in its place."""
    tell = request.config.get_terminal_writer().line
    with placed(cluster, tmp_path_factory.mktemp("kwok"), plan, gke=False, tell=tell) as found:
        yield found


class TestPlacementOnAws(PlacementTests):
    def test_a_nodes_gpus_are_all_of_the_worker_on_it(self, platform: Placement) -> None:
        eights = [each for each in platform.pods.values() if each.labels.get("ray.io/group") == "a100"]
        assert len(eights) == GROUPS["a100"]["max"]
