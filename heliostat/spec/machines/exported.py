"""What a platform tells others of its groups."""

from __future__ import annotations

from collections.abc import Mapping

from heliostat.spec.accelerators import Group, TpuGroup
from heliostat.spec.groups import NodeMachine, WorkerGroup
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
        machine=_machine(group, pool) if pool is not None else None,
    )


def _machine(group: Group, pool: Pool) -> NodeMachine:
    """GPUs that Google puts beside a machine are those of its oldest, `n1`; the others' price has them."""
    is_beside = pool.machine.name.startswith("n1-") and pool.accelerator_type is not None
    zone = pool.zones[0]
    return NodeMachine(
        cloud=pool.cloud,
        region=zone.rpartition("-")[0] if pool.cloud == "gcp" else zone.rstrip("abcdefghijklmnopqrstuvwxyz"),
        name=pool.machine.name,
        spot=group.spot,
        beside=pool.accelerator_type if is_beside else None,
        beside_count=pool.machine.accelerators if is_beside else 0,
    )
