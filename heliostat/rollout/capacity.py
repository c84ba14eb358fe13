"""Whether a cluster holds what a rollout needs on top. Pure; `heliostat.controller` says what nodes there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from heliostat.rollout.observed import Colour
from heliostat.spec.formatting import counted, joined
from heliostat.spec.groups import TPU, Placement, group_in
from heliostat.spec.rollouts import Desired

_ROUNDING = 1e-6
NO_GROUP: Final = ""


@dataclass(frozen=True)
class Node:
    """A node that is alive, with what its applications' replicas leave; a training that runs gives its share back."""

    name: str
    cpus: float
    """Logical CPUs that no replica of an application holds."""
    gpus: float = 0.0
    tpus: float = 0.0
    """Chips."""
    group: str | None = None
    """The group of nodes that it is of, or `NO_GROUP`; None where the controller knows of no groups."""
    to_come: int = 0
    """Of nodes that an autoscaler may still bring: how many alike. 0: it is there."""


@dataclass(frozen=True)
class Held:
    """Replicas of the application on a node."""

    colour: Colour
    node: str
    replicas: int


@dataclass(frozen=True)
class Ask:
    """What each replica of a kind asks of the node that it is on."""

    cpus: float
    gpus: float = 0.0
    tpus: float = 0.0
    group: str = NO_GROUP
    """The group that it has to run on; `NO_GROUP` where any will do."""

    @classmethod
    def of(cls, cpus: float, gpus: float, placement: Placement | None) -> Ask:
        """The same of what a declaration, or Serve's config, says."""
        resources = placement.resources if placement is not None else {}
        return cls(cpus, gpus, resources.get(TPU, 0.0), group_in(resources))


@dataclass(frozen=True)
class Need:
    """Replicas that have to fit beside what stays."""

    replicas: int
    desired: Desired

    @property
    def ask(self) -> Ask:
        """What each of them asks for."""
        return Ask.of(self.desired.cpus_per_replica, self.desired.gpus_per_replica, self.desired.placement)


def room(nodes: tuple[Node, ...], ask: Ask, most: int) -> int:
    """How many replicas fit, each on one node, of `most` that are looked for."""
    return sum(_fit(node, ask, most) * max(1, node.to_come) for node in nodes if _takes(node, ask))


def freed(nodes: tuple[Node, ...], held: tuple[Held, ...], colour: Colour, desired: Desired) -> tuple[Node, ...]:
    """The nodes once the replicas of `desired` in `colour` are gone."""
    ask = Need(0, desired).ask

    def gone(node: Node) -> int:
        return sum(each.replicas for each in held if each.colour is colour and each.node == node.name)

    return tuple(
        replace(
            node,
            cpus=node.cpus + gone(node) * ask.cpus,
            gpus=node.gpus + gone(node) * ask.gpus,
            tpus=node.tpus + gone(node) * ask.tpus,
        )
        for node in nodes
    )


def awaited(nodes: tuple[Node, ...], ask: Ask, replicas: int) -> tuple[str, ...]:
    """The groups of which nodes have to come before `replicas` more have a place; none where those that are there have
    room, or where none that could come would do."""
    there = tuple(node for node in nodes if not node.to_come)
    if room(there, ask, replicas) >= replicas:
        return ()
    coming = (node for node in nodes if node.to_come and _takes(node, ask) and _fit(node, ask, replicas))
    return tuple(sorted({node.group for node in coming if node.group}))


def shortage(nodes: tuple[Node, ...], need: Need, way_out: str) -> str | None:
    """Why the need does not fit, and what to do (`way_out`, without the nodes that would help); None where it fits."""
    ask = need.ask
    fits = room(nodes, ask, need.replicas)
    if fits >= need.replicas:
        return None
    each = " and ".join(
        counted(count, unit)
        for count, unit in ((ask.cpus, "CPU"), (ask.gpus, "GPU"), (ask.tpus, "TPU chip"))
        if count or unit == "CPU"
    )
    where = f"the group {ask.group}" if ask.group and _are_grouped(nodes) else "the cluster"
    free = ", ".join(f"{_name(node)}: {_free(node)}" for node in nodes if _takes(node, ask)) or "it has no node"
    return (
        f"{counted(need.replicas, 'replica')} of {need.desired.version.label} with {each} each must fit beside what runs, and "
        f"{where} has room for {fits} (free: {free}): {_more(nodes, ask)}{way_out}"
    )


def awaits(groups: tuple[str, ...]) -> str:
    """What a version waits for, in words."""
    return f"waits for a node of group {joined(groups)}: the autoscaler brings it"


def _more(nodes: tuple[Node, ...], ask: Ask) -> str:
    if not _are_grouped(nodes):
        return "give the cluster another node, "
    return f"raise `max` of the group {ask.group}, " if ask.group else "raise `max` of a group, "


def _are_grouped(nodes: tuple[Node, ...]) -> bool:
    return any(node.group is not None for node in nodes)


def _takes(node: Node, ask: Ask) -> bool:
    return node.group is None or ask.group in (NO_GROUP, node.group)


def _fit(node: Node, ask: Ask, most: int) -> int:
    pairs = ((node.cpus, ask.cpus), (node.gpus, ask.gpus), (node.tpus, ask.tpus if node.group is not None else 0.0))
    return max(0, min([most, *(int((left + _ROUNDING) / each) for left, each in pairs if each > 0)]))


def _name(node: Node) -> str:
    return f"{counted(node.to_come, 'more node')} of group {node.group}, each" if node.to_come else node.name


def _free(node: Node) -> str:
    more = ((node.gpus, "GPU"), (node.tpus, "TPU chip"))
    parts = [counted(round(left, 2), unit) for left, unit in more if left]
    return ", ".join([counted(round(max(node.cpus, 0.0), 2), "CPU"), *parts])
