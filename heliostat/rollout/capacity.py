"""Whether a cluster holds what a rollout needs on top. Pure; `heliostat.controller` says what nodes there are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A node that is alive, with what its applications' replicas leave; a training that runs gives its share back."""

    name: str
    cpus: float
    """Logical CPUs that no replica of an application holds."""
    gpus: float = 0.0
