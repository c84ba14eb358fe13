"""What a platform tells of its groups of nodes, and what a training or an application that names one may ask of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model, Name, is_none
from heliostat.spec.task_queue import TaskWorkers

SHARE: Final = 0.001
"""What each process holds of its group's resource: it says where it runs, and counts nothing."""

NODE_TIMEOUT_SECONDS: Final = 1800.0
"""How long nodes may take to come: those with accelerators are bought first."""
TPU: Final = "TPU"
"""Ray's resource for chips of TPUs."""


class NodeMachine(Model):
    """The machine that the nodes of a group are, for their price."""

    cloud: Literal["aws", "gcp"]
    region: str
    name: str
    """As the cloud calls it."""
    spot: bool = False
    beside: str | None = Field(default=None, exclude_if=is_none)
    """GPUs that are put beside it, as the cloud calls them; None where its own price has them."""
    beside_count: int = 0


class WorkerGroup(Model):
    """Workers of a Ray cluster that are alike, as the platform exports them."""

    kind: Literal["cpu", "gpu", "tpu"]
    cpus: Annotated[int, Field(ge=1)]
    """Of a worker."""
    memory_gib: Annotated[float, Field(gt=0)]
    """Of a worker."""
    accelerator: str | None = None
    """Its accelerators' type, as Ray calls it."""
    accelerators: Annotated[int, Field(ge=0)] = 0
    """GPUs, or chips, of a worker."""
    topology: str | None = None
    """Chips of a slice by dimension."""
    hosts: Annotated[int, Field(ge=1)] = 1
    """Workers of a slice."""
    max: Annotated[int, Field(ge=1)]
    """How many workers there are at most; of slices where these are TPUs."""
    machine: NodeMachine | None = Field(default=None, exclude_if=is_none)
    """What its nodes are; None in a cluster that somebody else made."""

    @property
    def most(self) -> int:
        """How many workers there are at most."""
        return self.max * self.hosts


class ChosenGroup(Model):
    """The group that something is to run on, as the platform tells it."""

    name: Name
    group: WorkerGroup | None = None
    """None where the platform has none of that name."""
    known: tuple[Name, ...] = ()
    """Those that it has, where it has not this one."""

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if self.group is None:
            raise ValueError(unknown(self.name, self.known))
        return self


class Placement(Model):
    """Where the replicas of an application run, in the words of Ray's actors."""

    accelerator_type: str | None = None
    resources: dict[str, float] = {}
    """Custom resources that each replica holds."""


def unknown(name: str, known: tuple[str, ...]) -> str:
    """That a platform has no group of a name."""
    if not known:
        return f"the platform has no groups of nodes: {name!r} can be named on `kubernetes`, `aws` and `gcp` only"
    return f"the platform has no group {name!r}; there are: {', '.join(known)}"


def chosen(groups: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """A `ChosenGroup` as a property, of a platform's exported groups; one that is not there is refused by who reads it."""
    found = (groups or {}).get(name)
    return {"name": name, "group": found} if found is not None else {"name": name, "known": sorted(groups or ())}


def resource_of(name: str) -> str:
    """The custom resource of Ray that the workers of a group have."""
    return f"heliostat-group:{name}"


def group_in(resources: Mapping[str, float]) -> str:
    """The group that custom resources are of, of a node or of what is to run on one; empty where they are of none."""
    prefix = resource_of("")
    return next((name.removeprefix(prefix) for name in resources if name.startswith(prefix)), "")


def placement(chosen_group: ChosenGroup) -> Placement:
    """What each replica of an application on a group asks of Ray."""
    group = _required(chosen_group)
    resources: dict[str, float] = {resource_of(chosen_group.name): SHARE}
    if group.kind == "tpu":
        resources[TPU] = float(group.accelerators)
    return Placement(accelerator_type=group.accelerator, resources=resources)


def replicas_misfit(cpus: float, gpus: float, chosen_group: ChosenGroup) -> str | None:
    """Why a replica of so many CPUs and GPUs runs on no worker of a group; None where it does."""
    group, name = _required(chosen_group), chosen_group.name
    if cpus > group.cpus:
        return f"a replica of {cpus:g} CPUs fits on no worker of {name}: each has {group.cpus}"
    if group.kind == "gpu" and not 0 < gpus <= group.accelerators:
        return f"a replica on {name} holds more than 0 and up to {group.accelerators} GPUs: gpusPerReplica is {gpus:g}"
    if group.kind != "gpu" and gpus:
        has = "TPUs, which a replica holds all of" if group.kind == "tpu" else "no accelerators"
        return f"a replica on {name} cannot hold {gpus:g} GPUs, its workers have {has}: leave gpusPerReplica out"
    if group.hosts > 1:
        return f"a slice of {name} is {group.hosts} hosts and a replica runs on one: name a group whose slices are one host"
    return None


def workers_misfit(workers: TaskWorkers, chosen_group: ChosenGroup) -> str | None:
    """Why a replica of workers of tasks runs on no worker of its application's group; None where it does."""
    problem = replicas_misfit(workers.cpus_per_replica, workers.gpus_per_replica, chosen_group)
    return f"workers of tasks run on the application's group, and {problem}" if problem is not None else None


def _required(chosen_group: ChosenGroup) -> WorkerGroup:
    assert chosen_group.group is not None  # noqa: S101 - its validator saw to it
    return chosen_group.group
