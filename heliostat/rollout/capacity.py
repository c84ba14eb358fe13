"""Whether a cluster holds what a rollout needs on top. Pure; `heliostat.controller` says what nodes there are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from heliostat.rollout.observed import Colour
from heliostat.spec.formatting import counted
from heliostat.spec.rollouts import Desired

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Node:
    """A node that is alive, with what its applications' replicas leave; a training that runs gives its share back."""

    name: str
    cpus: float
    """Logical CPUs that no replica of an application holds."""
    gpus: float = 0.0


@dataclass(frozen=True)
class Held:
    """Replicas of the application on a node."""

    colour: Colour
    node: str
    replicas: int


@dataclass(frozen=True)
class Need:
    """Replicas that have to fit beside what stays."""

    replicas: int
    desired: Desired


def room(nodes: tuple[Node, ...], need: Need) -> int:
    """How many replicas of the kind that is needed fit, each on one node."""
    cpus, gpus = need.desired.cpus_per_replica, need.desired.gpus_per_replica
    return sum(_fit(node, cpus, gpus, need.replicas) for node in nodes)


def freed(nodes: tuple[Node, ...], held: tuple[Held, ...], colour: Colour, desired: Desired) -> tuple[Node, ...]:
    """The nodes once the replicas of `desired` in `colour` are gone."""

    def gone(node: Node) -> int:
        return sum(each.replicas for each in held if each.colour is colour and each.node == node.name)

    return tuple(
        replace(
            node,
            cpus=node.cpus + gone(node) * desired.cpus_per_replica,
            gpus=node.gpus + gone(node) * desired.gpus_per_replica,
        )
        for node in nodes
    )


def shortage(nodes: tuple[Node, ...], need: Need, way_out: str) -> str | None:
    """Why the need does not fit, and what to do; None where it fits."""
    fits = room(nodes, need)
    if fits >= need.replicas:
        return None
    desired = need.desired
    each = " and ".join(
        counted(count, unit)
        for count, unit in ((desired.cpus_per_replica, "CPU"), (desired.gpus_per_replica, "GPU"))
        if count or unit == "CPU"
    )
    free = ", ".join(f"{node.name}: {_free(node)}" for node in nodes) or "it has no node"
    return (
        f"{counted(need.replicas, 'replica')} of {desired.version.label} with {each} each must fit beside what runs, and "
        f"the cluster has room for {fits} (free: {free}): {way_out}"
    )


def _fit(node: Node, cpus: float, gpus: float, most: int) -> int:
    by_cpus = int((node.cpus + _ROUNDING) / cpus) if cpus > 0 else most
    by_gpus = int((node.gpus + _ROUNDING) / gpus) if gpus > 0 else most
    return max(0, min(most, by_cpus, by_gpus))


def _free(node: Node) -> str:
    gpus = f", {counted(round(node.gpus, 2), 'GPU')}" if node.gpus else ""
    return f"{counted(round(max(node.cpus, 0.0), 2), 'CPU')}{gpus}"
