"""What the cluster's nodes have left for replicas, and what its autoscaler may still bring. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from heliostat.rollout.capacity import Ask, Held, Node, awaited
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import backend_name
from heliostat.spec.groups import Placement, WorkerGroup
from heliostat.systems.ray_capacity import NodeTotals
from heliostat.systems.ray_serve import Holding, ServeApplication, ServeInstance, ServeStatus

Groups = Mapping[str, WorkerGroup]
"""The groups of workers that an autoscaler brings, by name; empty where there is none."""


def free(nodes: tuple[NodeTotals, ...], holdings: tuple[Holding, ...], groups: Groups) -> tuple[Node, ...]:
    """The nodes, with what no replica holds, and those that may still come."""
    names = names_of(nodes)

    def left(node: NodeTotals) -> Node:
        taken = [each for each in holdings if each.node_id == node.node_id]
        return Node(
            names[node.node_id],
            max(0.0, node.cpus - sum(each.cpus for each in taken)),
            max(0.0, node.gpus - sum(each.gpus for each in taken)),
            max(0.0, node.tpus - sum(each.tpus for each in taken)),
            node.group if groups else None,
        )

    return (*map(left, nodes), *_to_come(nodes, groups))


def _to_come(nodes: tuple[NodeTotals, ...], groups: Groups) -> tuple[Node, ...]:
    there = Counter(node.group for node in nodes)
    left = {name: group.most - there[name] for name, group in groups.items()}
    return tuple(_new_node(name, groups[name], count) for name, count in left.items() if count > 0)


def _new_node(name: str, group: WorkerGroup, count: int) -> Node:
    gpus, tpus = (float(group.accelerators) if group.kind == kind else 0.0 for kind in ("gpu", "tpu"))
    return Node(f"a node of {name}", float(group.cpus), gpus, tpus, name, count)


def waits_for(found: ServeApplication, nodes: tuple[NodeTotals, ...], instance: ServeInstance, groups: Groups) -> str:
    """The groups of which an application that starts needs nodes that are not there, in words; empty where it needs none."""
    if found.status not in (ServeStatus.DEPLOYING, ServeStatus.UNHEALTHY):
        return ""
    ask = ask_in(found.arguments)
    placed = sum(each.application == found.name for each in instance.holdings)
    missing = sum(found.deployments.values()) - placed
    if ask is None or missing <= 0:
        return ""
    return ", ".join(awaited(free(nodes, instance.holdings, groups), ask, missing))


def ask_in(arguments: Mapping[str, object]) -> Ask | None:
    """What each replica asks for that was deployed with `arguments`; None where that was not by a controller."""
    cpus, gpus, where = (arguments.get(key) for key in ("cpusPerReplica", "gpusPerReplica", "placement"))
    if not isinstance(cpus, (int, float)):
        return None
    placement = Placement.model_validate(where) if isinstance(where, dict) else None
    return Ask.of(cpus, gpus if isinstance(gpus, (int, float)) else 0.0, placement)


def held(name: str, nodes: tuple[NodeTotals, ...], holdings: tuple[Holding, ...]) -> tuple[Held, ...]:
    """Where this application's replicas are."""
    names = names_of(nodes)
    colours = {backend_name(name, colour): colour for colour in Colour}
    counts = Counter((each.application, each.node_id) for each in holdings if each.answers and each.application in colours)
    return tuple(
        Held(colours[application], names[node], count) for (application, node), count in counts.items() if node in names
    )


def names_of(nodes: tuple[NodeTotals, ...]) -> dict[str, str]:
    """What people call each node, by its id; the id's beginning tells those apart that share a name."""
    often = Counter(node.name for node in nodes)
    return {node.node_id: node.name if often[node.name] == 1 else f"{node.name}/{node.node_id[:8]}" for node in nodes}
