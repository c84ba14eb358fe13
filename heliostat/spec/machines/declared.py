"""What is wrong with the groups of a stack's config: on their cloud, against their quota, for the workloads that name them.

It looks at each part by itself, so that a mistake in another part of the platform hides none of these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError

from heliostat.spec.accelerators import CpuGroup, GpuGroup, Group, TpuGroup
from heliostat.spec.groups import ChosenGroup, WorkerGroup, replicas_misfit, unknown, workers_misfit
from heliostat.spec.machines import tpus
from heliostat.spec.machines.exported import worker_group
from heliostat.spec.machines.model import Cloud, NoSuchMachineError
from heliostat.spec.machines.pools import mistakes, pool_of
from heliostat.spec.mistakes import Path
from heliostat.spec.own_cluster import NOWHERE, groupless
from heliostat.spec.scaling import misfit
from heliostat.spec.workload import TrainingCluster, Workload

_CLOUDS = ("aws", "gcp")


def group_mistakes(platform: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with a platform's groups, each with its path below the platform."""
    kind, groups = platform.get("kind"), groups_in(platform)
    if kind in _CLOUDS:
        region = platform.get("region")
        if isinstance(region, str):
            yield from mistakes(cast("Cloud", kind), region, _zones(platform), groups)
    elif kind == "kubernetes":
        yield from _without_size(groups)
    yield from over_quota(groups, _quota(platform))


def over_quota(groups: Mapping[str, Group], quota: Mapping[str, int]) -> Iterator[tuple[Path, str]]:
    """Accelerators that groups may have in all more of than is allowed; a type that the quota does not name is not limited."""
    for accelerator, allowed in quota.items():
        most = {name: group.max * size for name, group in groups.items() if (size := _size(group, accelerator))}
        if sum(most.values()) > allowed:
            counted = " and ".join(f"{count} of {name}" for name, count in most.items())
            told = f"{allowed} are" if allowed else "none is"
            text = f"{told} allowed, and the groups may have {sum(most.values())} {accelerator} ({counted}): lower their `max`"
            yield ("quota", accelerator), text


def misplaced(platform: Mapping[str, Any] | None, workload: Workload) -> Iterator[tuple[Path, str]]:
    """What is wrong with the groups that a workload names, each with its path below the workload. Where the platform is
    another stack's, None, the plugin looks at what that exports."""
    scaling, serving = workload.training.scaling, workload.serving
    if platform is None:
        return
    if workload.training.cluster is TrainingCluster.OWN and workload.model is None:
        yield from _clusterless(platform, scaling.group)
    if scaling.group is not None and workload.model is None:
        found = _chosen(platform, scaling.group)
        problem = found if isinstance(found, str) else misfit(scaling, found) if found else None
        if problem is not None:
            yield ("training", "scaling", "group"), problem
    if serving.group is not None:
        found = _chosen(platform, serving.group)
        cpus, gpus = serving.cpus_per_replica, serving.gpus_per_replica
        if isinstance(found, str):
            yield ("serving", "group"), found
        elif found and (problem := replicas_misfit(cpus, gpus, found)) is not None:
            yield ("serving", "group"), problem
        elif found and serving.queue is not None and (problem := workers_misfit(serving.queue.workers, found)) is not None:
            yield ("serving", "queue", "workers"), problem


def _clusterless(platform: Mapping[str, Any], group: str | None) -> Iterator[tuple[Path, str]]:
    """Why a training can have no cluster of its own."""
    if platform.get("kind", "local") not in (*_CLOUDS, "kubernetes"):
        yield ("training", "cluster"), NOWHERE
    elif group is None:
        yield ("training", "cluster"), groupless(_names(platform))


def groups_in(platform: Mapping[str, Any]) -> dict[str, Group]:
    """The groups that are right by themselves, by name."""
    given = platform.get("groups")
    found = {}
    for name, each in given.items() if isinstance(given, Mapping) else ():
        try:
            found[str(name)] = _groups().validate_python(each)
        except ValidationError:
            continue
    return found


@cache
def _groups() -> TypeAdapter[Group]:
    return TypeAdapter(Group)


def _chosen(platform: Mapping[str, Any], name: str) -> ChosenGroup | str | None:
    """The group of a name, or that there is none; None where it is wrong itself, which is told already."""
    known = _names(platform)
    if name not in known:
        return unknown(name, known)
    group = groups_in(platform).get(name)
    found = _worker_group(platform, group) if group is not None else None
    return ChosenGroup(name=name, group=found) if found is not None else None


def _names(platform: Mapping[str, Any]) -> tuple[str, ...]:
    groups = platform.get("groups")
    return tuple(sorted(map(str, groups))) if isinstance(groups, Mapping) else ()


def _worker_group(platform: Mapping[str, Any], group: Group) -> WorkerGroup | None:
    kind = platform.get("kind")
    try:
        pool = pool_of(cast("Cloud", kind), group, str(platform.get("region")), _zones(platform)) if kind in _CLOUDS else None
        return worker_group(group, pool)
    except (NoSuchMachineError, ValueError):
        return None


def _without_size(groups: Mapping[str, Group]) -> Iterator[tuple[Path, str]]:
    """Without a catalog of machines, a group of GPUs says how large a worker is."""
    keys: tuple[tuple[Literal["cpus", "memory_gib"], str], ...] = (("cpus", "cpus"), ("memory_gib", "memoryGib"))
    for name, group in groups.items():
        for field, key in keys if isinstance(group, GpuGroup) else ():
            if getattr(group, field) is None:
                yield ("groups", name, key), "is missing: what a worker may take of a node is known on `aws` and `gcp` only"


def _size(group: Group, accelerator: str) -> int:
    """How many accelerators of a type a node, or a slice, of a group has."""
    match group:
        case CpuGroup():
            return 0
        case TpuGroup():
            return tpus.chips_of(group.topology) if group.type == accelerator else 0
        case GpuGroup():
            return group.count if group.type == accelerator else 0


def _zones(platform: Mapping[str, Any]) -> Collection[str]:
    place = platform.get("network") if platform.get("kind") == "aws" else platform
    zones = place.get("zones") if isinstance(place, Mapping) else None
    return [zone for zone in zones if isinstance(zone, str)] if isinstance(zones, (list, tuple)) else []


def _quota(platform: Mapping[str, Any]) -> Mapping[str, int]:
    quota = platform.get("quota")
    if not isinstance(quota, Mapping):
        return {}
    return {
        str(name): allowed for name, allowed in quota.items() if isinstance(allowed, int) and not isinstance(allowed, bool)
    }
