"""One description of nodes and their accelerators, from which node pools, worker groups, trainings, quota and price follow."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model, Name

LabelKey = Annotated[
    str, Field(max_length=317, pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$")]


class NodeGroup(Model):
    """Nodes that are alike, as many as are needed between a minimum and a maximum."""

    spot: bool = False
    """Whether they are bought at the spot price, and can be taken away at any time."""
    min: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many stay when nothing needs them; of slices where these are TPUs."""
    max: Annotated[int, Field(ge=1, le=1000)]
    """How many there are at most; of slices where these are TPUs."""
    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels of the group's nodes, in a cluster that somebody else made. Those of a cloud's platform have the group's own."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max is {self.max}: min may be max at most")
        return self


class CpuGroup(NodeGroup):
    """Nodes without accelerators."""

    kind: Literal["cpu"]
    cpus: Annotated[int, Field(ge=1, le=448)]
    """CPUs of a worker; a node has more, which Kubernetes and what runs on each node keep."""
    memory_gib: Annotated[float, Field(gt=0, le=24_576)]
    """Memory of a worker, in GiB; a node has more."""


class GpuGroup(NodeGroup):
    """Nodes with NVIDIA GPUs."""

    kind: Literal["gpu"]
    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
    """The GPU, as Ray calls it: `T4`, `L4`, `A10G`, `A100-40G`, `A100-80G`, `H100`, ..."""
    count: Annotated[int, Field(ge=1, le=16)] = 1
    """GPUs of a node."""
    cpus: Annotated[int, Field(ge=1, le=448)] | None = None
    """CPUs of a worker; by default what a node of the machine has beside what Kubernetes keeps. Needed without a cloud."""
    memory_gib: Annotated[float, Field(gt=0, le=24_576)] | None = None
    """Memory of a worker, in GiB; by default alike."""


class TpuGroup(NodeGroup):
    """Slices of TPUs: the hosts of a slice come and go together."""

    kind: Literal["tpu"]
    type: Literal["v4", "v5e", "v5p", "v6e"]
    """The TPU's generation."""
    topology: Annotated[str, Field(pattern=r"^[1-9][0-9]*x[1-9][0-9]*(x[1-9][0-9]*)?$")]
    """Chips of a slice by dimension, as `2x4`, `4x4` or `2x2x4`. How many hosts that is follows from the type."""


Group = Annotated[CpuGroup | GpuGroup | TpuGroup, Field(discriminator="kind")]
"""Nodes of one kind."""

Groups = dict[Name, Group]
"""By the group's name, which a training names to run there."""
