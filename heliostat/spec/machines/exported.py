"""What a platform tells others of its groups."""

from __future__ import annotations

from collections.abc import Mapping

from heliostat.spec.accelerators import Group, TpuGroup
from heliostat.spec.groups import WorkerGroup
from heliostat.spec.machines.model import Pool
from heliostat.spec.machines.shapes import accelerator_type, worker_shape


def worker_groups(groups: Mapping[str, Group], pools: Mapping[str, Pool | None]) -> dict[str, WorkerGroup]:
    """The groups as trainings and applications find them, by name."""
    return {name: worker_group(group, pools.get(name)) for name, group in groups.items()}


def worker_group(group: Group, pool: Pool | None) -> WorkerGroup:
    """One of them.

    Raises:
        ValueError: it does not say how large a worker is, and has no pool.
    """
    shape = worker_shape(group, pool)
    return WorkerGroup(
        kind=group.kind,
        cpus=shape.cpus,
        memory_gib=shape.memory_gib,
        accelerator=accelerator_type(group),
        accelerators=shape.resource_count,
        topology=group.topology if isinstance(group, TpuGroup) else None,
        hosts=shape.hosts,
        max=group.max,
    )
