"""Whether the nodes of a cluster have room for what always runs in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from heliostat.platforms.kubernetes import redis
from heliostat.spec.machines.allocatable import cpus_for_pods, gib_for_pods
from heliostat.spec.machines.catalog import catalog
from heliostat.spec.machines.model import Cloud
from heliostat.spec.platforms.cluster import ClusterServices, Compute


@dataclass(frozen=True)
class Room:
    """CPUs and GiB that a pod asks for, or that a node has for pods."""

    cpus: float
    gib: float

    def holds(self, *pods: Room) -> bool:
        """Whether there is room for all of them together."""
        return sum(each.cpus for each in pods) <= self.cpus and sum(each.gib for each in pods) <= self.gib

    def __str__(self) -> str:
        return f"{self.cpus:.3g} CPUs and {self.gib:.3g} GiB"


def too_little(cloud: Cloud, machine: str, nodes: int, spec: ClusterServices) -> list[str]:
    """Why not all of what always runs has its place on so many nodes of a machine; nothing of one that is not known.

    The traffic plane's pods come last, each to a node of its own: that has to work wherever the scheduler put the others.
    """
    of_machine = [each.machine for each in catalog(cloud).offers if each.machine.name == machine]
    if not of_machine:
        return []
    node = Room(cpus_for_pods(cloud, of_machine[0]), gib_for_pods(cloud, of_machine[0]))
    parts = _parts(spec)
    wrong = [*_too_large(node, machine, {**parts, "traffic": _room(spec.traffic)})]
    return wrong or [*_not_apart(node, machine, nodes, spec)]


def _too_large(node: Room, machine: str, parts: Mapping[str, Room]) -> Iterator[str]:
    for name, part in parts.items():
        if not node.holds(part):
            yield f"{name}: its pod asks for {part}, and a node of {machine} has {node}: ask for less, or have a larger one"


def _not_apart(node: Room, machine: str, nodes: int, spec: ClusterServices) -> Iterator[str]:
    wanted, free = spec.traffic.pods, free_nodes(node, nodes, [*_parts(spec).values()], _room(spec.traffic))
    if free < wanted:
        yield (
            f"traffic.pods: {wanted} of them are to be on nodes of their own, and beside the other parts {nodes} nodes of "
            f"{machine} may have room for {free}: have more nodes for the system, or larger ones"
        )


def free_nodes(node: Room, nodes: int, others: Sequence[Room], pod: Room) -> int:
    """On how many of `nodes` there is room for a pod at the least, however the others are spread; 0 where those do not fit."""
    used = min(nodes, len(others))
    free = []
    for places in product(range(used), repeat=len(others)):
        on = [[each for each, place in zip(others, places, strict=True) if place == number] for number in range(used)]
        if all(node.holds(*there) for there in on):
            free.append(nodes - used + sum(node.holds(*there, pod) for there in on))
    return min(free, default=0)


def _parts(spec: ClusterServices) -> dict[str, Room]:
    """What always runs and is no daemon, but for the traffic plane, by its section of the config."""
    found = {"ray": _room(spec.ray, spec.ray.autoscaler), "mlflow": _room(spec.mlflow), "controller": _room(spec.controller)}
    return found if spec.redis.address is not None else {**found, "redis": _room(redis.COMPUTE)}


def _room(*containers: Compute) -> Room:
    return Room(sum(each.cpus for each in containers), sum(each.memory_gib for each in containers))
