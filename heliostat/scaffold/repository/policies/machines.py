"""What accelerators machines have, and how many machines and pods a stack may come to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .images import containers
from .model import UNKNOWN, Resource, each, get, number

_AWS = {
    "p3.2xlarge": ("V100", 1),
    "p3.8xlarge": ("V100", 4),
    "p3.16xlarge": ("V100", 8),
    "p3dn.24xlarge": ("V100", 8),
    "p4d.24xlarge": ("A100", 8),
    "p4de.24xlarge": ("A100", 8),
    "p5.4xlarge": ("H100", 1),
    "p5.48xlarge": ("H100", 8),
    "p5e.48xlarge": ("H200", 8),
    "p5en.48xlarge": ("H200", 8),
    "p6-b200.48xlarge": ("B200", 8),
    "g7e.12xlarge": ("RTX-PRO-6000", 2),
    "g4dn.12xlarge": ("T4", 4),
    "g4dn.metal": ("T4", 8),
    "trn1.2xlarge": ("Trainium", 1),
    "trn1.32xlarge": ("Trainium", 16),
    "trn1n.32xlarge": ("Trainium", 16),
    "trn2.48xlarge": ("Trainium2", 16),
    "inf2.24xlarge": ("Inferentia2", 6),
    "inf2.48xlarge": ("Inferentia2", 12),
    "inf2.xlarge": ("Inferentia2", 1),
    "inf2.8xlarge": ("Inferentia2", 1),
}
_AWS_FAMILIES = {"g4dn": "T4", "g5": "A10G", "g6": "L4", "gr6": "L4", "g6e": "L40S", "g7e": "RTX-PRO-6000"}
"""Families whose sizes have one accelerator each, but for some."""
_AWS_SIZES = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_AWS_ACCELERATED = re.compile(r"(p\d|gr?\d|trn\d|inf\d|dl\d)")
_GCP_GPUS = re.compile(r"(a\d)-(\w+?)-(\d+)g")
_GCP_GPU_TYPES = {"a2": "A100", "a3-ultragpu": "H200", "a3": "H100", "a4": "B200"}
_GCP_TPUS = re.compile(r"(ct4p|ct5lp|ct5p|ct6e|tpu7x)-\w+-(\d+)t")
_GCP_TPU_TYPES = {"ct4p": "TPU v4", "ct5lp": "TPU v5e", "ct5p": "TPU v5p", "ct6e": "TPU v6e", "tpu7x": "TPU7x"}
_G2 = {"4": 1, "8": 1, "12": 1, "16": 1, "32": 1, "24": 2, "48": 4, "96": 8}
_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore")
_SELECTORS = (
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-tpu-accelerator",
    "nvidia.com/gpu.product",
    "karpenter.k8s.aws/instance-gpu-name",
)
_ZONE = re.compile(r".+-[a-z]")
_REGIONAL_ZONES = 3
NOT_IN_TABLE = "?"

Count = tuple[str, float]
"""A type of accelerators, and how many of it there may come to be."""


def of_machine(name: str) -> Count | None:
    """The accelerators of a machine type; None where it has none, `?` where it is not known here how many."""
    if name in _AWS:
        return _AWS[name]
    family, dot, size = name.partition(".")
    if dot and family in _AWS_FAMILIES:
        return _AWS_FAMILIES[family], _AWS_SIZES.get(size, 1)
    if dot and _AWS_ACCELERATED.match(family):
        return NOT_IN_TABLE, 0
    if gpus := _GCP_GPUS.fullmatch(name):
        kind = _GCP_GPU_TYPES.get(f"{gpus[1]}-{gpus[2]}") or _GCP_GPU_TYPES.get(gpus[1], NOT_IN_TABLE)
        return kind, int(gpus[3])
    if tpus := _GCP_TPUS.fullmatch(name):
        return _GCP_TPU_TYPES[tpus[1]], int(tpus[2])
    if name.startswith("g2-standard-"):
        return "L4", _G2.get(name.rpartition("-")[2], 1)
    return None


def machines(resource: Resource, others: Mapping[str, Resource]) -> Iterator[tuple[str, float]]:
    """The types of machines that a resource may start, each with how many of it at most."""
    props = resource.props
    if resource.type == "aws:ec2/instance:Instance":
        yield from ((name, 1.0) for name in each(props.get("instanceType")))
    if resource.type == "aws:eks/nodeGroup:NodeGroup":
        names = each(props.get("instanceTypes"))
        templates = [others[urn] for urn in resource.needs.get("launchTemplate", ()) if urn in others]
        names += [name for one in templates for name in each(one.props.get("instanceType"))]
        yield from ((name, number(get(props, "scalingConfig", "maxSize"), 1)) for name in dict.fromkeys(names))
    if resource.type == "gcp:container/nodePool:NodePool":
        yield from ((name, _nodes(props)) for name in each(get(props, "nodeConfig", "machineType")))
    if resource.type == "gcp:compute/instance:Instance":
        yield from ((name, 1.0) for name in each(props.get("machineType")))


def _nodes(pool: Mapping[str, Any]) -> float:
    """How many nodes a pool of GKE may come to, over all of its zones."""
    scaling = get(pool, "autoscaling")
    if total := number(get(scaling, "totalMaxNodeCount")):
        return total
    zonal = _ZONE.fullmatch(str(pool.get("location", "")))
    zones = len(each(pool.get("nodeLocations"))) or (1 if zonal else _REGIONAL_ZONES)
    counts = (get(scaling, "maxNodeCount"), pool.get("nodeCount"), pool.get("initialNodeCount"))
    return zones * max(map(number, counts))


def of_nodes(resources: Sequence[Resource]) -> Iterator[Count]:
    """The accelerators of all machines that the stack may start."""
    others = {one.urn: one for one in resources}
    for one in resources:
        counts = [count for name, most in machines(one, others) if (count := _times(name, most))]
        if counts:
            # Of several types, any may be the one that is started.
            yield max(counts, key=lambda count: count[1])
        elif one.type == "gcp:container/nodePool:NodePool":
            for gpu in each(get(one.props, "nodeConfig", "guestAccelerators")):
                yield str(get(gpu, "type")), number(get(gpu, "count"), 1) * _nodes(one.props)


def _times(machine: str, most: float) -> Count | None:
    found = of_machine(machine)
    if found is None:
        return None
    return (found[0], found[1] * most) if found[1] else (f"{NOT_IN_TABLE} {machine}", most)


def of_pods(resources: Sequence[Resource]) -> Iterator[Count]:
    """The accelerators that the pods of all workloads may ask for together."""
    for one in resources:
        if one.type.startswith("kubernetes:"):
            yield from _asked(one.props)


def _asked(value: Any, times: float = 1.0) -> Iterator[Count]:
    if isinstance(value, list | tuple):
        for inner in each(value):
            yield from _asked(inner, times)
    elif isinstance(value, Mapping):
        counts = [value.get(key) for key in ("maxReplicas", "replicas", "parallelism")]
        known = next((number(count) for count in counts if count is not None and count is not UNKNOWN), 1.0)
        times *= known * number(value.get("numOfHosts"), 1.0)
        if "containers" in value:
            yield from _of_pod(value, times)
        else:
            for inner in value.values():
                yield from _asked(inner, times)


def _of_pod(pod: Mapping[str, Any], times: float) -> Iterator[Count]:
    selector = get(pod, "nodeSelector")
    kind = next((str(get(selector, key)) for key in _SELECTORS if isinstance(get(selector, key), str)), "")
    for container in containers({"containers": pod["containers"]}):
        for name in _RESOURCES:
            asked = get(container, "resources", "limits", name)
            if isinstance(asked, int | float | str) and str(asked).isdigit():
                yield kind or name, times * int(asked)
