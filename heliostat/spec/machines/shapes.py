"""From a group of nodes to what a worker of the Ray cluster has of one of them."""

from __future__ import annotations

from heliostat.spec.accelerators import Group
from heliostat.spec.machines.model import Pool, Taint, WorkerShape


def worker_shape(group: Group, pool: Pool | None, name: str | None = None) -> WorkerShape:
    """A worker of a group: as large as Kubernetes lets a pod be on a node of the pool, or as the group says.

    Args:
        group: The group.
        pool: Its machines; None in a cluster that somebody else made.
        name: The group's name, whose label the pool's nodes have.
    """
    raise NotImplementedError


def taints_of(name: str, group: Group, pool: Pool) -> tuple[Taint, ...]:
    """The taints that whoever makes the pool has to put on its nodes; GKE puts its own on those with accelerators."""
    raise NotImplementedError
