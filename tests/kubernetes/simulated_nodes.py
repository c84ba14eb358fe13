"""Nodes as AWS and Google Cloud would make them of the node groups and pools in a plan.

What the plan says of labels and taints is taken from it. What the clouds add by themselves, and what a machine has, is written
here from their documents: nothing comes from what decides how workers are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from heliostat.spec.machines.catalog import catalog
from heliostat.spec.machines.model import Cloud, Machine
from tests.kubernetes.kwok import ANNOTATION

SIMULATED = "placement-test/pool"
"""The label of every node here; its value is the node's pool."""
_TPUS = {
    "ct4p": "tpu-v4-podslice",
    "ct5lp": "tpu-v5-lite-podslice",
    "ct5p": "tpu-v5p-slice",
    "ct6e": "tpu-v6e-slice",
}
"""GKE's name of a TPU by the machine's family."""
_ONE_HOST = {"1t": "1x1", "4t": "2x2", "8t": "2x4"}
"""The topology of a slice of one host, by how the machine's name ends."""
_OF_FOUR_GIB = ((4.0, 0.25), (4.0, 0.20), (8.0, 0.10), (112.0, 0.06), (math.inf, 0.02))
_OF_CORES = ((1.0, 0.06), (1.0, 0.01), (2.0, 0.005), (math.inf, 0.0025))
_SEEN: Mapping[Cloud, float] = {"aws": 0.97, "gcp": 0.98}
"""What a kernel has of a machine's memory."""
_DAEMONS = {"cpu": 0.35, "memory": 0.6}
"""What a cloud's own pods on each node ask for: cores and GiB."""


@dataclass(frozen=True)
class NodesOfPool:
    """A pool with as many nodes as it may have."""

    cloud: Cloud
    name: str
    machine: Machine
    count: int
    zones: tuple[str, ...]
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...]
    accelerators: Mapping[str, int] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The group of the config that it is of; of the system's own nodes `system`."""
        return self.labels.get("heliostat/group", "system")

    def nodes(self, first: int = 0) -> Iterator[dict[str, Any]]:
        """Them, numbered from `first`."""
        for number, zone in enumerate(islice(cycle(self.zones), self.count), first):
            yield self._node(f"{self.cloud}-{self.name}-{number}", zone)

    def _node(self, name: str, zone: str) -> dict[str, Any]:
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": self.machine.name,
            "topology.kubernetes.io/zone": zone,
            SIMULATED: self.name,
        }
        there = {"cpu": f"{round(self._cpus() * 1000)}m", "memory": f"{round(self._gib() * 1024)}Mi", "pods": "110"}
        there |= {"ephemeral-storage": "180Gi", **{key: str(count) for key, count in self.accelerators.items()}}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {**labels, **self.labels}, "annotations": dict(ANNOTATION)},
            "spec": {"taints": [dict(each) for each in self.taints]},
            "status": {"allocatable": there, "capacity": there},
        }

    def _cpus(self) -> float:
        return self.machine.vcpus - _stepped(self.machine.vcpus, _OF_CORES) - _DAEMONS["cpu"]

    def _gib(self) -> float:
        """Of what the kernel sees, without the cloud's own part and what is kept before pods are evicted."""
        seen = self.machine.memory_gib * _SEEN[self.cloud]
        kept = (255 + 11 * 110) / 1024 if self.cloud == "aws" else _stepped(seen, _OF_FOUR_GIB)
        return seen - kept - 0.1 - _DAEMONS["memory"]


def of_plan(plan: Iterable[Mapping[str, Any]]) -> list[NodesOfPool]:
    """All pools that a plan declares, each with the most nodes that it may have."""
    found = []
    for each in plan:
        if each["type"] == "gcp:container/nodePool:NodePool":
            found.append(_gke(each["name"], each["inputs"]))
        elif each["type"] == "aws:eks/nodeGroup:NodeGroup":
            found.append(_eks(each["name"], each["inputs"]))
    return found


def _gke(name: str, inputs: Mapping[str, Any]) -> NodesOfPool:
    config, zones = inputs["nodeConfig"], tuple(inputs["nodeLocations"])
    scaling = inputs.get("autoscaling", {})
    whole = scaling.get("totalMaxNodeCount")
    of_a_zone = scaling.get("maxNodeCount") or inputs.get("nodeCount")
    gpus = config.get("guestAccelerators", [])
    machine = machine_of("gcp", config["machineType"])
    labels = {"cloud.google.com/gke-nodepool": name, **config.get("labels", {})}
    if config.get("spot"):
        labels |= {"cloud.google.com/gke-spot": "true", "cloud.google.com/gke-provisioning": "spot"}
    taints, accelerators = [_tainted(each) for each in config.get("taints", [])], {}
    if gpus:
        labels |= {"cloud.google.com/gke-accelerator": gpus[0]["type"]}
        # GKE's own, in a cluster with nodes without GPUs.
        taints.append({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"})
        accelerators = {"nvidia.com/gpu": int(gpus[0]["count"])}
    family, _, rest = machine.name.partition("-")
    if family in _TPUS:
        size = rest.rpartition("-")[2]
        topology = inputs.get("placementPolicy", {}).get("tpuTopology") or _ONE_HOST[size]
        labels |= {"cloud.google.com/gke-tpu-accelerator": _TPUS[family], "cloud.google.com/gke-tpu-topology": topology}
        taints.append({"key": "google.com/tpu", "value": "present", "effect": "NoSchedule"})
        accelerators = {"google.com/tpu": int(size.removesuffix("t"))}
    count = int(whole or int(of_a_zone or 0) * len(zones))
    return NodesOfPool("gcp", name, machine, count, zones, labels, tuple(taints), accelerators)


def _eks(name: str, inputs: Mapping[str, Any]) -> NodesOfPool:
    machine = machine_of("aws", inputs["instanceTypes"][0])
    capacity = inputs.get("capacityType", "ON_DEMAND")
    labels = {"eks.amazonaws.com/nodegroup": name, "eks.amazonaws.com/capacityType": capacity, **inputs["labels"]}
    count = int(inputs["scalingConfig"]["maxSize"])
    # Its subnets are in the zones of the machine, which the plan names by what only AWS knows.
    zones = ("eu-central-1a", "eu-central-1b")
    accelerators = {"nvidia.com/gpu": machine.accelerators} if machine.accelerators else {}
    taints = tuple(_tainted(each) for each in inputs.get("taints", []))
    return NodesOfPool("aws", name, machine, count, zones, labels, taints, accelerators)


def _tainted(said: Mapping[str, str]) -> dict[str, str]:
    assert said["effect"] == "NO_SCHEDULE"
    return {"key": said["key"], "value": said["value"], "effect": "NoSchedule"}


def machine_of(cloud: Cloud, name: str) -> Machine:
    """A machine type of a cloud."""
    return next(each.machine for each in catalog(cloud).offers if each.machine.name == name)


def _stepped(amount: float, steps: tuple[tuple[float, float], ...]) -> float:
    kept = 0.0
    for size, share in steps:
        kept += min(amount, size) * share
        amount -= min(amount, size)
    return kept
