"""Whether a cluster holds what a rollout needs on top. Pure; `heliostat.controller` says what nodes there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
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
    workers: int = 0
    """Replicas of workers of tasks."""


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
    workers: int = 0
    """Replicas of workers of tasks, beside them."""

    @property
    def ask(self) -> Ask:
        """What each of them asks for."""
        return Ask.of(self.desired.cpus_per_replica, self.desired.gpus_per_replica, self.desired.placement)

    @property
    def worker_ask(self) -> Ask:
        """What each replica of workers asks for; nothing where the version takes no tasks."""
        queue = self.desired.version.queue
        if queue is None:
            return Ask(0.0)
        return Ask.of(queue.workers.cpus_per_replica, queue.workers.gpus_per_replica, self.desired.placement)

    @property
    def asks(self) -> tuple[tuple[Ask, int], ...]:
        """What is asked for, and how often."""
        return tuple((ask, count) for ask, count in ((self.ask, self.replicas), (self.worker_ask, self.workers)) if count > 0)


def room(nodes: tuple[Node, ...], ask: Ask, most: int) -> int:
    """How many replicas fit, each on one node, of `most` that are looked for."""
    return sum(_fit(node, ask, most) * max(1, node.to_come) for node in nodes if _takes(node, ask))


def freed(nodes: tuple[Node, ...], held: tuple[Held, ...], colour: Colour, desired: Desired) -> tuple[Node, ...]:
    """The nodes once the replicas of `desired` in `colour` are gone."""
    need = Need(0, desired)

    def without(node: Node) -> Node:
        gone = [each for each in held if each.colour is colour and each.node == node.name]
        left = _less(node, need.ask, -sum(each.replicas for each in gone))
        return _less(left, need.worker_ask, -sum(each.workers for each in gone))

    return tuple(map(without, nodes))


def holds(nodes: tuple[Node, ...], asks: Sequence[tuple[Ask, int]]) -> bool:
    """Whether all of several kinds have a place, each so often: whichever of them chooses first."""
    return any(all(not missing for missing in _placed(nodes, order)[1]) for order in permutations(asks))


def awaited(nodes: tuple[Node, ...], asks: Sequence[tuple[Ask, int]]) -> tuple[str, ...]:
    """The groups of which nodes have to come before all has a place; none where those that are there have room, or where
    none that could come would do."""
    there = tuple(node for node in nodes if not node.to_come)
    if holds(there, asks):
        return ()
    missing = _placed(there, asks)[1]
    wanting = [ask for (ask, _), count in zip(asks, missing, strict=True) if count]
    coming = (node for node in nodes if node.to_come and any(_takes(node, ask) and _fit(node, ask, 1) for ask in wanting))
    return tuple(sorted({node.group for node in coming if node.group}))


def shortage(nodes: tuple[Node, ...], need: Need, way_out: str) -> str | None:
    """Why the need does not fit, and what to do (`way_out`, without the nodes that would help); None where it fits."""
    ask, label = need.ask, need.desired.version.label
    fits = room(nodes, ask, need.replicas)
    if fits < need.replicas:
        what = f"{counted(need.replicas, 'replica')} of {label} with {_each(ask)} each must fit beside what runs"
        return f"{what}, and {_has_room(nodes, ask, fits)}{way_out}"
    if need.workers <= 0 or holds(nodes, need.asks):
        return None
    left, _ = _placed(nodes, need.asks[:-1])
    fits = room(left, need.worker_ask, need.workers)
    beside = f" and {counted(need.replicas, 'new replica')}" if need.replicas > 0 else ""
    many = counted(need.workers, "replica")
    what = f"{many} of workers of tasks of {label} with {_each(need.worker_ask)} each must fit beside what runs{beside}"
    return f"{what}, and {_has_room(left, need.worker_ask, fits)}or ask for fewer or smaller ones below serving.queue.workers"


def _has_room(nodes: tuple[Node, ...], ask: Ask, fits: int) -> str:
    where = f"the group {ask.group}" if ask.group and _are_grouped(nodes) else "the cluster"
    free = ", ".join(f"{_name(node)}: {_free(node)}" for node in nodes if _takes(node, ask)) or "it has no node"
    return f"{where} has room for {fits} (free: {free}): {_more(nodes, ask)}"


def _each(ask: Ask) -> str:
    parts = ((ask.cpus, "CPU"), (ask.gpus, "GPU"), (ask.tpus, "TPU chip"))
    return " and ".join(counted(count, unit) for count, unit in parts if count or unit == "CPU")


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


def _placed(nodes: tuple[Node, ...], asks: Sequence[tuple[Ask, int]]) -> tuple[tuple[Node, ...], list[int]]:
    """The nodes once each kind in turn has taken what it finds, and how many of each found nothing."""
    left, missing = list(nodes), []
    for ask, count in asks:
        taken = list[Node]()
        for node in left:
            for one in _singly(node) if count else (node,):
                fit = _fit(one, ask, count) if _takes(one, ask) else 0
                count -= fit
                taken.append(_less(one, ask, fit))
        left = taken
        missing.append(count)
    return _together(left), missing


def _together(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The same with nodes that may come, and are left alike, as one."""
    counts = Counter(nodes)
    return tuple(replace(node, to_come=node.to_come * counts[node]) for node in dict.fromkeys(nodes))


def _singly(node: Node) -> tuple[Node, ...]:
    """Nodes that may come, each by itself: what takes a place on one takes none on the others."""
    return (replace(node, to_come=1),) * node.to_come if node.to_come else (node,)


def _less(node: Node, ask: Ask, count: int) -> Node:
    cpus, gpus, tpus = node.cpus - count * ask.cpus, node.gpus - count * ask.gpus, node.tpus - count * ask.tpus
    return replace(node, cpus=cpus, gpus=gpus, tpus=tpus)


def _name(node: Node) -> str:
    return f"{counted(node.to_come, 'more node')} of group {node.group}, each" if node.to_come else node.name


def _free(node: Node) -> str:
    more = ((node.gpus, "GPU"), (node.tpus, "TPU chip"))
    parts = [counted(round(left, 2), unit) for left, unit in more if left]
    return ", ".join([counted(round(max(node.cpus, 0.0), 2), "CPU"), *parts])
