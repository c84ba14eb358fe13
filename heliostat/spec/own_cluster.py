"""The Ray cluster of a training's own: where it is asked for, and what stands against it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import model_validator

from heliostat.spec.addresses import RayClusterAddress
from heliostat.spec.base import Model

NOWHERE: Final = (
    "a cluster of a training's own is made in Kubernetes, and the platform has none: leave `cluster` out, or take a platform "
    "of the kinds `kubernetes`, `aws` or `gcp`"
)


class OwnCluster(Model):
    """That a training runs on a cluster of its own."""

    pattern: RayClusterAddress | None = None
    """The platform's, as which it is made: image, settings, head, and nodes of one group. None where that has none."""

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if self.pattern is None:
            raise ValueError(NOWHERE)
        return self


def own_cluster(pattern: Mapping[str, Any] | None) -> dict[str, Any]:
    """An `OwnCluster` as a property, of a platform's exported Ray cluster; none is refused by who reads it."""
    return {"pattern": dict(pattern)} if pattern else {}


def groupless(known: tuple[str, ...]) -> str:
    """That a cluster of its own needs a group."""
    there = f" (there are: {', '.join(known)})" if known else ""
    return f"a cluster of a training's own has the nodes of one group: name it in training.scaling.group{there}"
