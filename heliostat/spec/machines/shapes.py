"""From a group of nodes to what a worker of the Ray cluster has of one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from heliostat.spec.accelerators import CpuGroup, GpuGroup, Group, TpuGroup
from heliostat.spec.groups import resource_of
from heliostat.spec.machines import tpus
from heliostat.spec.machines.allocatable import cpus_for_a_worker, gib_for_a_worker
from heliostat.spec.machines.catalog import catalog
from heliostat.spec.machines.model import GROUP_LABEL, Pool, Taint, Toleration, WorkerShape

GPU: Final = "nvidia.com/gpu"
TPU: Final = "google.com/tpu"
_PRESENT: Final = "present"
_GKE_SPOT: Final = "cloud.google.com/gke-spot"


def worker_shape(group: Group, pool: Pool | None, name: str | None = None) -> WorkerShape:
    """A worker of a group: as large as Kubernetes lets a pod be on a node of the pool, or as the group says.

    Args:
        group: The group. Without a pool, one of GPUs says its `cpus` and `memory_gib`.
        pool: Its machines; None in a cluster that somebody else made.
        name: The group's name, whose label the pool's nodes and whose resource Ray's have: what names the group finds it
            by that.

    Raises:
        ValueError: neither the pool nor the group says how large a worker is.
    """
    cpus, gib = _size(group, pool)
    resources = ray_resources(group, name)
    return WorkerShape(
        cpus=cpus,
        memory_gib=gib,
        resource=GPU if isinstance(group, GpuGroup) else TPU if isinstance(group, TpuGroup) else None,
        resource_count=_accelerators(group),
        node_selector=_selector(group, pool, name),
        tolerations=_tolerations(group, pool),
        hosts=tpus.hosts_of(group.type, group.topology) if isinstance(group, TpuGroup) else 1,
        ray_resources=resources,
        ray_start_params={"resources": start_parameter(resources)} if resources else {},
    )


def taints_of(name: str, group: Group, pool: Pool) -> tuple[Taint, ...]:
    """The taints that whoever makes the pool has to put on its nodes; GKE puts its own on those with accelerators."""
    if isinstance(group, CpuGroup):
        return (Taint(GROUP_LABEL, name),)
    return (Taint(GPU, _PRESENT),) if pool.cloud == "aws" else ()


def ray_resources(group: Group, name: str | None = None) -> dict[str, int]:
    """What Ray's nodes of a group have, by which what is to run on them asks for them.

    A node finds out its accelerators' type itself; the autoscaler has to know it of a group without nodes. Of the two A100s
    a node knows only that it is one.
    """
    accelerator = accelerator_type(group)
    types = {f"accelerator_type:{accelerator}": 1} if accelerator else {}
    return types | ({resource_of(name): 1} if name is not None else {})


def accelerator_type(group: Group) -> str | None:
    """Ray's `accelerator_type` of a group's nodes."""
    match group:
        case GpuGroup():
            return group.type
        case TpuGroup():
            return tpus.GENERATIONS[group.type].ray_type
    return None


def start_parameter(resources: Mapping[str, int]) -> str:
    """Custom resources as `rayStartParams.resources` has them: KubeRay and Ray's autoscaler both take JSON that is escaped
    and in quotes for a shell."""
    escaped = json.dumps(dict(resources)).replace('"', '\\"')
    return f'"{escaped}"'


def _size(group: Group, pool: Pool | None) -> tuple[int, float]:
    if isinstance(group, CpuGroup):
        return group.cpus, group.memory_gib
    asked = (group.cpus, group.memory_gib) if isinstance(group, GpuGroup) else (None, None)
    left = _left(group, pool)
    cpus = asked[0] or (left[0] if left else None)
    gib = asked[1] or (left[1] if left else None)
    if cpus is None or gib is None:
        raise ValueError("a group of GPUs in a cluster that exists says `cpus` and `memoryGib` of a worker")
    return cpus, gib


def _left(group: Group, pool: Pool | None) -> tuple[int, int] | None:
    """What a node leaves; TPUs are GKE's machines wherever the cluster comes from."""
    if pool is not None:
        return cpus_for_a_worker(pool.cloud, pool.machine), gib_for_a_worker(pool.cloud, pool.machine, pool.pods)
    if not isinstance(group, TpuGroup):
        return None
    chips = tpus.chips_of_a_host(group.type, group.topology)
    offer = next(each for each in catalog("gcp").with_accelerator(group.type) if each.machine.accelerators == chips)
    return cpus_for_a_worker("gcp", offer.machine), gib_for_a_worker("gcp", offer.machine, offer.pods)


def _accelerators(group: Group) -> int:
    match group:
        case GpuGroup():
            return group.count
        case TpuGroup():
            return tpus.chips_of_a_host(group.type, group.topology)
    return 0


def _selector(group: Group, pool: Pool | None, name: str | None) -> dict[str, str]:
    selector = dict(group.node_selector)
    if pool is not None and name is not None:
        selector[GROUP_LABEL] = name
    if isinstance(group, TpuGroup):
        selector["cloud.google.com/gke-tpu-accelerator"] = tpus.GENERATIONS[group.type].gke_type
        selector["cloud.google.com/gke-tpu-topology"] = group.topology
    elif pool is not None and pool.cloud == "gcp" and pool.accelerator_type is not None:
        selector["cloud.google.com/gke-accelerator"] = pool.accelerator_type
    if group.spot and pool is not None:
        selector |= {_GKE_SPOT: "true"} if pool.cloud == "gcp" else {"eks.amazonaws.com/capacityType": "SPOT"}
    return selector


def _tolerations(group: Group, pool: Pool | None) -> tuple[Toleration, ...]:
    keys = {"cpu": GROUP_LABEL, "gpu": GPU, "tpu": TPU}
    own = () if pool is None and isinstance(group, CpuGroup) else (Toleration(keys[group.kind]),)
    spot = (Toleration(_GKE_SPOT),) if group.spot and (pool is None or pool.cloud == "gcp") else ()
    return (*own, *spot)
