"""Whether a machine has the memory, the shared memory and the disk that a stack's config asks for; pure.

The figures are those of an idle stack: what a training or a model needs on top, nobody knows beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliostat.cli.operators.doctor.facts import Facts, Machine, Stack
from heliostat.cli.operators.doctor.level import Finding, Level
from heliostat.cli.tables import gib
from heliostat.spec.formatting import counted
from heliostat.spec.platforms.local import LocalPlatform

MIB = 1 << 20
_BASE_MIB = 900
"""HAProxy, the controller, MLflow and Ray's head: of the 1,469 MiB that an idle stack takes (README), less the two below."""
_NODE_MIB = 200
"""A further Ray node, without its object store."""
_REPLICA_MIB = 180
"""A replica with a small model."""
_DISK_MIB = 2048
"""Logs of Ray and of services (32 MiB each before they are rotated), a snapshot, some models."""
_LEAST_DISK_MIB = 256
_REFUSED_ON_DISK = 10**10
"""Bytes of an object store that Ray starts without room in /dev/shm (its REQUIRE_SHM_SIZE_THRESHOLD)."""


def findings(facts: Facts) -> Iterator[Finding]:
    """Compare disk and memory with the config; memory only where that declares a cluster of this machine."""
    yield from _disk(facts.machine)
    platform = facts.stack.platform
    if isinstance(platform, LocalPlatform):
        yield from _memory(facts.machine, facts.stack, platform)
        yield from _shared_memory(facts.machine, facts.stack, platform)


def nodes(platform: LocalPlatform) -> int:
    """Ray nodes, the head included."""
    return 1 + platform.ray.workers.count


def least_mib(platform: LocalPlatform, replicas: int) -> int:
    """Memory of the idle stack while nothing is in its object stores."""
    return _BASE_MIB + platform.ray.workers.count * _NODE_MIB + replicas * _REPLICA_MIB


def _memory(machine: Machine, stack: Stack, platform: LocalPlatform) -> Iterator[Finding]:
    total, available = machine.memory_total, machine.memory_available
    if total is None or available is None:
        return
    least, store = least_mib(platform, stack.replicas) * MIB, platform.ray.object_store_mib * MIB
    full = least + nodes(platform) * store
    asked = f"a head, {counted(platform.ray.workers.count, 'worker')}, {counted(stack.replicas, 'replica')} and "
    asked += f"{counted(nodes(platform), 'object store')} of {platform.ray.object_store_mib} MiB"
    fix = "declare fewer workers or replicas or a smaller objectStoreMib, or use a machine with more memory"
    if store > total:
        found = f"{gib(total)} in all, and an object store of {gib(store)}, which Ray refuses"
        yield Finding("memory", Level.ERROR, found, fix)
    elif total < least:
        yield Finding("memory", Level.ERROR, f"{gib(total)} in all; an idle stack takes about {gib(least)} ({asked})", fix)
    elif available < full and not stack.runs:
        found = f"{gib(available)} available; up to {gib(full)} are asked for ({asked})"
        yield Finding("memory", Level.WARNING, found, f"stop what takes memory, or {fix}")
    else:
        yield Finding("memory", Level.OK, f"{gib(available)} available, up to {gib(full)} asked for")


def _shared_memory(machine: Machine, stack: Stack, platform: LocalPlatform) -> Iterator[Finding]:
    free = machine.shared_memory_free
    if free is None:
        return
    each, told = platform.ray.object_store_mib * MIB, f"{gib(free)} free in /dev/shm"
    if free >= nodes(platform) * each or stack.runs:
        yield Finding("shared memory", Level.OK, told)
        return
    found = f"{told}; {counted(nodes(platform), 'object store')} of {platform.ray.object_store_mib} MiB ask for more"
    fix = "enlarge it (a container: --shm-size), or declare a smaller objectStoreMib"
    if free < each and each > _REFUSED_ON_DISK:
        yield Finding("shared memory", Level.ERROR, f"{found}, and Ray puts none of over 10 GB on disk", fix)
    else:
        yield Finding("shared memory", Level.WARNING, f"{found}, and Ray uses the disk instead, which is slow", fix)


def _disk(machine: Machine) -> Iterator[Finding]:
    if machine.disk_free is None:
        return
    told = f"{gib(machine.disk_free)} free at {machine.disk_folder}"
    if machine.disk_free < _LEAST_DISK_MIB * MIB:
        yield Finding("disk", Level.ERROR, f"{told}; {_LEAST_DISK_MIB} MiB are the least to begin with", "free some space")
    elif machine.disk_free < _DISK_MIB * MIB:
        yield Finding("disk", Level.WARNING, f"{told}; logs, data and models soon take 2 GiB", "free some space")
    else:
        yield Finding("disk", Level.OK, told)
