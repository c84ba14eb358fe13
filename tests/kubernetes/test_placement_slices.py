"""Slices of TPUs on nodes that somebody else made, where no webhook of GKE's looks after them: the manifest itself does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliostat.platforms.kubernetes.ray_cluster import Workers, ray_cluster
from heliostat.platforms.kubernetes.site import Site
from heliostat.spec.machines import worker_shape
from heliostat.spec.platforms.kubernetes import KubernetesPlatform
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.placement import simulated, whole_slices
from tests.kubernetes.played_operator import POOL_KEY, RayPods, interleaved
from tests.kubernetes.simulated_nodes import NodesOfPool, machine_of
from tests.kubernetes.simulation import Simulation
from tests.platforms.kubernetes_config import IMAGE, changed

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]
NAMESPACE = "placement-slices"
SLICES = 12
TPU = {"kind": "tpu", "type": "v6e", "topology": "4x4", "max": SLICES}


def ray_pods(release: str, keeps_slices_whole: bool = True) -> RayPods:
    """Of a Ray cluster of a release, with one group."""
    declared = KubernetesPlatform.model_validate(changed(groups={"v6e": TPU})["heliostat:platform"])
    group = declared.groups["v6e"]
    workers = [Workers("v6e", group, worker_shape(group, None, "v6e"), keeps_slices_whole)]
    site = Site(NAMESPACE, declared.tags, IMAGE)
    return RayPods(ray_cluster(site, declared.ray, declared.redis, "redis://redis:6379", release, workers), NAMESPACE)


def slice_of_nodes(number: int) -> NodesOfPool:
    """A slice as a node pool that was made by hand."""
    name = f"tpu-{number}"
    labels = {
        POOL_KEY: name,
        "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
        "cloud.google.com/gke-tpu-topology": "4x4",
    }
    taint = {"key": "google.com/tpu", "value": "present", "effect": "NoSchedule"}
    machine = machine_of("gcp", "ct6e-standard-4t")
    return NodesOfPool("gcp", name, machine, 4, ("us-east5-a",), labels, (taint,), {"google.com/tpu": 4})


@pytest.fixture(scope="module")
def simulation(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """The nodes of all slices, and no pods."""
    with simulated(cluster, tmp_path_factory.mktemp("kwok"), NAMESPACE) as found:
        found.accounts(["ray"])
        found.make_nodes(node for number in range(SLICES) for node in slice_of_nodes(number).nodes())
        yield found


def test_slices_are_whole_without_a_webhook_and_so_are_those_of_a_new_release_beside_the_old(simulation: Simulation) -> None:
    old, new = ray_pods("2.60.0"), ray_pods("2.61.0")
    each = range(SLICES // 2)
    names = simulation.make(interleaved([ray.replica("v6e", n, tag) for ray, tag in ((old, "a"), (new, "b")) for n in each]))
    simulation.scheduled(names)
    assert whole_slices(simulation, "v6e") == SLICES
    simulation.delete("pod", names)


def test_type_and_topology_alone_would_mix_them(simulation: Simulation) -> None:
    ray = ray_pods("2.60.0", keeps_slices_whole=False)
    names = simulation.make(interleaved([ray.replica("v6e", number) for number in range(SLICES)]))
    simulation.scheduled(names)
    with pytest.raises(AssertionError, match="is on nodes of"):
        whole_slices(simulation, "v6e")
    simulation.delete("pod", names)
