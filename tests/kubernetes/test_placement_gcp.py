"""Google Cloud: 1,000 nodes with GPUs, TPUs of one host and slices of four and of sixteen hosts, and all their workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes import kwok
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.placement import ABSENT, NODES, Placement, PlacementTests, made, placed, slices, whole_slices
from tests.platforms.gcp_specs import section
from tests.platforms.recorded_stack import RecordedStack

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]
GROUPS: dict[str, Any] = {
    "cpu": {"kind": "cpu", "cpus": 6, "memoryGib": 20, "min": 1, "max": 160},
    "spot-cpu": {"kind": "cpu", "cpus": 6, "memoryGib": 20, "spot": True, "max": 100},
    "spot-gpu": {"kind": "gpu", "type": "L4", "spot": True, "max": 160},
    "l4": {"kind": "gpu", "type": "L4", "max": 80},
    "t4": {"kind": "gpu", "type": "T4", "max": 100},
    "a100": {"kind": "gpu", "type": "A100-40G", "max": 74},
    "v5e": {"kind": "tpu", "type": "v5e", "topology": "2x4", "max": 60},
    "v6e": {"kind": "tpu", "type": "v6e", "topology": "4x4", "min": 1, "max": 30},
    "spot-v6e": {"kind": "tpu", "type": "v6e", "topology": "4x4", "spot": True, "max": 10},
    "pod": {"kind": "tpu", "type": "v6e", "topology": "8x8", "max": 2},
    "v5p": {"kind": "tpu", "type": "v5p", "topology": "2x2x4", "max": 18},
    ABSENT: {"kind": "gpu", "type": "H100", "count": 8, "max": 2},
}
SEVERAL_HOSTS = ("v6e", "spot-v6e", "pod", "v5p")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What is declared."""
    kwok.program()
    stack = RecordedStack(
        tmp_path_factory.mktemp("gcp"), {"heliostat:platform": section(groups=GROUPS)}, ("gcp", "kubernetes", "heliostat")
    )
    return made(stack)


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, cluster: Cluster, plan: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Placement]:
    """All of it, in its place."""
    tell = request.config.get_terminal_writer().line
    with placed(cluster, tmp_path_factory.mktemp("kwok"), plan, gke=True, tell=tell) as found:
        yield found


class TestPlacementOnGoogleCloud(PlacementTests):
    def test_each_slice_is_whole_and_two_are_never_mixed(self, platform: Placement) -> None:
        found = {group: whole_slices(platform.simulation, group) for group in SEVERAL_HOSTS}
        assert found == {group: GROUPS[group]["max"] for group in SEVERAL_HOSTS}

    def test_a_slice_whose_nodes_are_taken_away_comes_back_whole(self, platform: Placement) -> None:
        simulation = platform.simulation
        pods = slices(platform.pods, "spot-v6e")["spot-v6e-3"]
        pool = next(each for each in platform.pools if each.name == platform.pool_of(pods[0]))
        simulation.delete("node", [str(each.node) for each in pods])
        simulation.delete("pod", [each.name for each in pods])
        names = simulation.make(platform.ray.replica("spot-v6e", 3, "again-"))
        simulation.unschedulable(names)
        new = list(pool.nodes(first=NODES))
        simulation.make_nodes(new)
        simulation.scheduled(names)
        found = simulation.pods()
        assert {found[each].node for each in names} == {each["metadata"]["name"] for each in new}
        assert whole_slices(simulation, "spot-v6e") == GROUPS["spot-v6e"]["max"]
