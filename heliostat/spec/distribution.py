"""How the workers of a training work together, as a typed value. Pure.

The workload's function is the same in each: it runs in every worker, on that worker's part of the data. What differs is who
waits for whom, and what becomes of the training where a worker is lost.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model

Count = Annotated[int, Field(ge=1, le=512)]


class DataParallel(Model):
    """As many workers as `workers` says, each with its part of the data, in step: what all trainings are by default.

    Where one is lost, all start again from the last checkpoint, as often as `maxFailures` says.
    """

    kind: Literal["data-parallel"] = "data-parallel"


class Elastic(Model):
    """As many workers as there is room for, in step; `workers` is left out.

    A worker that is lost does not end the training: those that are left go on from the last checkpoint, and it grows again
    when there is room. Losses count against `maxFailures` only where no checkpoint was kept since the one before.
    """

    kind: Literal["elastic"] = "elastic"
    min_workers: Count = 1
    """With fewer it waits."""
    max_workers: Count
    """It never has more."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min_workers >= self.max_workers:
            raise ValueError(
                f"minWorkers is {self.min_workers} and maxWorkers is {self.max_workers}: maxWorkers must be more; "
                "for a fixed number leave `distribution` out and say it in `workers`"
            )
        return self


class TpuSlices(Model):
    """A worker on each host of one or several slices of TPUs, as one group of JAX: `scaling.group` is a group of TPUs."""

    kind: Literal["tpu-slices"] = "tpu-slices"


class ParameterServer(Model):
    """Workers that wait for no other: each sends gradients to an actor that holds the parameters, and takes what it has."""

    kind: Literal["parameter-server"] = "parameter-server"
    staleness: Annotated[int, Field(ge=0, le=100_000)] = 4
    """How many steps a worker may be ahead of the slowest; then it waits. 0 is in step."""


Distribution = Annotated[DataParallel | Elastic | TpuSlices | ParameterServer, Field(discriminator="kind")]
"""How the workers of a training work together."""


def is_usual(distribution: object) -> bool:
    """Whether it is left out where a scaling is written: a training from before there was a choice stays as it is."""
    return isinstance(distribution, DataParallel)


def misfitting(
    distribution: DataParallel | Elastic | TpuSlices | ParameterServer, workers: int, group: str | None
) -> str | None:
    """Why a distribution cannot have so many `workers`, on this group of nodes if on any; None where it can."""
    if isinstance(distribution, Elastic) and workers != distribution.max_workers:
        return f"workers is {workers} and distribution.maxWorkers is {distribution.max_workers}: leave `workers` out"
    if isinstance(distribution, ParameterServer) and workers < 2:
        return f"workers is {workers}: a parameter server is for 2 or more, leave `distribution` out for one"
    if isinstance(distribution, TpuSlices) and group is None:
        return "slices of TPUs are a group of the platform's nodes: name it in `group`"
    return None
