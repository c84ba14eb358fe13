"""Where a real scheduler puts what a platform declares, on 1,000 simulated nodes. Tests of each cloud inherit these.

The plan is made by the platform's own program. All its groups have as many nodes as they may, and as many workers, so that one
in the wrong place keeps another from its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kubernetes import kwok
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.played_operator import GROUP, REPLICA_NAME, RayPods, interleaved
from tests.kubernetes.simulated_nodes import SIMULATED, NodesOfPool, of_plan
from tests.kubernetes.simulation import Placed, Simulation
from tests.platforms.recorded_stack import RecordedStack

NODES = 1000
Tell = Callable[[str], None]
ABSENT = "absent"
"""The group whose nodes are not there: to bring them is the autoscaler's work."""


@dataclass
class Placement:
    """A platform at its full size."""

    simulation: Simulation
    pools: list[NodesOfPool]
    ray: RayPods
    workers: list[str]
    pods: dict[str, Placed]
    nodes: dict[str, dict[str, str]]

    def group_of(self, pod: Placed) -> str:
        """The group of the node where a pod is."""
        assert pod.node is not None, f"{pod.name}: {pod.told}"
        return self.nodes[pod.node].get("heliostat/group", "system")

    def pool_of(self, pod: Placed) -> str:
        """The pool of the node where a pod is."""
        assert pod.node is not None, f"{pod.name}: {pod.told}"
        return self.nodes[pod.node][SIMULATED]

    def others(self) -> list[Placed]:
        """All pods but the workers: the head's, and those of the controller, the traffic plane, MLflow and Redis."""
        return [each for name, each in self.pods.items() if name not in set(self.workers)]


def made(stack: RecordedStack) -> list[dict[str, Any]]:
    """What a stack's program declares."""
    assert asyncio.run(stack.preview()).succeeded, stack.errors()
    assert asyncio.run(stack.up()).succeeded, stack.errors()
    return stack.plan()


@contextmanager
def simulated(cluster: Cluster, folder: Path, namespace: str) -> Iterator[Simulation]:
    """A namespace whose pods go to simulated nodes alone; it and the nodes are gone afterwards."""
    program = kwok.program()
    simulation = Simulation(cluster, namespace)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    real = cluster.run("get", "nodes", "-o", "name", "-l", f"!{SIMULATED}").split()
    cluster.run("cordon", *real)
    try:
        with kwok.running(program, cluster.kubeconfig, folder / "kwok.log"):
            try:
                yield simulation
            finally:
                simulation.clear()
    finally:
        cluster.run("uncordon", *real)


@contextmanager
def placed(cluster: Cluster, folder: Path, plan: list[dict[str, Any]], gke: bool, tell: Tell) -> Iterator[Placement]:
    """A plan's nodes with all pods that it may have on them, as long as it is asked for."""
    pools = [each for each in of_plan(plan) if each.group != ABSENT]
    namespace = f"placement-{pools[0].cloud}"
    with simulated(cluster, folder, namespace) as simulation:
        yield _full(simulation, pools, RayPods(_ray_cluster(plan), namespace, gke), plan, tell)


def _full(simulation: Simulation, pools: list[NodesOfPool], ray: RayPods, plan: list[dict[str, Any]], tell: Tell) -> Placement:
    began = time.monotonic()
    simulation.make_nodes(node for pool in pools for node in pool.nodes())
    nodes_ready = time.monotonic()
    declared = [(each["type"].rpartition(":")[2], each["inputs"]) for each in plan if "kubernetes:" in each["type"]]
    simulation.accounts([inputs["metadata"]["name"] for kind, inputs in declared if kind == "ServiceAccount"])
    kinds = [(kind, inputs) for kind, inputs in declared if kind in ("Deployment", "StatefulSet")]
    simulation.make([ray.head()])
    count = 1 + sum(simulation.apply_template(kind, inputs) for kind, inputs in kinds)
    slices = [ray.replica(group, number) for group, most in ray.groups().items() if group != ABSENT for number in range(most)]
    workers = simulation.make(interleaved(slices))
    simulation.scheduled(workers)
    simulation.this_many_scheduled("heliostat/part", len(workers) + count)
    done = time.monotonic()
    all_nodes = sum(each.count for each in pools)
    tell(
        f"{simulation.namespace}: {all_nodes} nodes ready in {nodes_ready - began:.0f} s, "
        f"{len(workers)} workers and {count} other pods made and placed in {done - nodes_ready:.0f} s"
    )
    return Placement(simulation, pools, ray, workers, simulation.pods(), simulation.nodes())


def _ray_cluster(plan: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return next(dict(each["inputs"]) for each in plan if each["type"] == "kubernetes:ray.io/v1:RayCluster")


class PlacementTests:
    """What holds on every cloud."""

    def test_there_are_a_thousand_nodes_and_a_worker_for_each_but_the_systems(self, platform: Placement) -> None:
        system = sum(each.count for each in platform.pools if each.group == "system")
        assert len(platform.nodes) == NODES
        assert len(platform.workers) == NODES - system

    def test_every_worker_is_on_a_node_of_its_group_and_alone_there(self, platform: Placement) -> None:
        workers = [platform.pods[name] for name in platform.workers]
        wrong = {each.name: each.node for each in workers if platform.group_of(each) != each.labels[GROUP]}
        assert wrong == {}
        assert set(Counter(each.node for each in workers).values()) == {1}

    def test_nothing_else_is_on_a_node_of_a_group(self, platform: Placement) -> None:
        others = platform.others()
        assert {each.labels.get("heliostat/part") for each in others} >= {"ray", "controller", "traffic", "mlflow", "redis"}
        assert {each.name: platform.group_of(each) for each in others if platform.group_of(each) != "system"} == {}

    def test_the_traffic_planes_pods_are_on_nodes_of_their_own_in_several_zones(self, platform: Placement) -> None:
        traffic = [each for each in platform.others() if each.labels.get("heliostat/part") == "traffic"]
        nodes = {each.node for each in traffic}
        assert len(nodes) == len(traffic) >= 2
        assert len({platform.nodes[str(each)]["topology.kubernetes.io/zone"] for each in nodes}) >= 2

    def test_a_pod_that_asks_for_nothing_special_is_on_no_node_of_a_group(self, platform: Placement) -> None:
        """One of somebody else's, which is too large for the system's nodes and not for those of groups."""
        simulation = platform.simulation
        cpus = next(each.machine.vcpus for each in platform.pools if each.group == "system")
        container = {"name": "idle", "image": "idle", "resources": {"requests": {"cpu": str(cpus)}}}
        metadata = {"name": "strangers", "namespace": simulation.namespace}
        names = simulation.make(
            [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}]
        )
        simulation.unschedulable(names)
        assert "untolerated taint" in simulation.pods()["strangers"].told
        simulation.delete("pod", names)

    def test_workers_above_the_maximum_wait(self, platform: Placement) -> None:
        simulation, ray = platform.simulation, platform.ray
        more = [pod for group, most in ray.groups().items() if group != ABSENT for pod in ray.replica(group, most)]
        names = simulation.make(more)
        simulation.unschedulable(names)
        found = simulation.pods()
        assert {name: found[name].node for name in names if found[name].node} == {}
        assert all("nodes are available" in found[name].told for name in names)
        simulation.delete("pod", names)

    def test_workers_of_a_group_without_nodes_wait_and_say_why(self, platform: Placement) -> None:
        simulation = platform.simulation
        names = simulation.make(platform.ray.replica(ABSENT, 0))
        simulation.unschedulable(names)
        told = simulation.pods()[names[0]].told
        assert told.startswith("0/") and "didn't match Pod's node affinity/selector" in told
        simulation.delete("pod", names)

    def test_a_worker_whose_spot_node_is_taken_away_waits_for_another_of_its_group(self, platform: Placement) -> None:
        simulation, ray = platform.simulation, platform.ray
        pool = next(each for each in platform.pools if each.group == "spot-gpu")
        lost = next(each for each in platform.pods.values() if each.labels.get(GROUP) == pool.group)
        simulation.delete("node", [str(lost.node)])
        simulation.delete("pod", [lost.name])
        names = simulation.make(ray.replica(pool.group, int(lost.labels["ray.io/worker-group-replica-index"]), "again-"))
        simulation.unschedulable(names)
        new = next(pool.nodes(first=NODES))
        simulation.make_nodes([new])
        simulation.scheduled(names)
        assert simulation.pods()[names[0]].node == new["metadata"]["name"]


def whole_slices(simulation: Simulation, group: str) -> int:
    """How many slices of a group there are, each of which has a pool of its own and a node of it for each of its pods."""
    nodes, found = simulation.nodes(), slices(simulation.pods(), group)
    used: list[str] = []
    for name, pods in found.items():
        on = {str(pod.node) for pod in pods}
        pools = {nodes[node][SIMULATED] for node in on}
        assert len(pools) == 1, f"{name} is on nodes of {sorted(pools)}"
        size = sum(labels[SIMULATED] in pools for labels in nodes.values())
        assert len(on) == len(pods) == size, f"{name} has {len(pods)} pods on {len(on)} of {size} nodes"
        used += pools
    assert len(set(used)) == len(used), "two slices are in one pool"
    return len(found)


def slices(pods: Mapping[str, Placed], group: str) -> dict[str, list[Placed]]:
    """The workers of a group by the name of their slice."""
    found: dict[str, list[Placed]] = {}
    for each in pods.values():
        if each.labels.get(GROUP) == group and REPLICA_NAME in each.labels:
            found.setdefault(each.labels[REPLICA_NAME], []).append(each)
    return found
