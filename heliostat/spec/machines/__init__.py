"""Which machines a group of nodes is made of on each cloud, and what a worker on one of them has. Pure."""

from heliostat.spec.machines.exported import worker_groups
from heliostat.spec.machines.model import GROUP_LABEL, Cloud, Machine, NoSuchMachineError, Pool, Taint, Toleration, WorkerShape
from heliostat.spec.machines.pools import mistakes, pool_of
from heliostat.spec.machines.shapes import taints_of, worker_shape

__all__ = [
    "GROUP_LABEL",
    "Cloud",
    "Machine",
    "NoSuchMachineError",
    "Pool",
    "Taint",
    "Toleration",
    "WorkerShape",
    "mistakes",
    "pool_of",
    "taints_of",
    "worker_groups",
    "worker_shape",
]
