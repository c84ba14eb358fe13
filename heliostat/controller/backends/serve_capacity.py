"""What the cluster's nodes have left for replicas. Pure."""

from __future__ import annotations

from collections import Counter

from heliostat.rollout.capacity import Held, Node
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import backend_name
from heliostat.systems.ray_capacity import NodeTotals
from heliostat.systems.ray_serve import Holding


def free(nodes: tuple[NodeTotals, ...], holdings: tuple[Holding, ...]) -> tuple[Node, ...]:
    """The nodes, with what no replica holds."""
    names = names_of(nodes)

    def left(node: NodeTotals) -> Node:
        taken = [each for each in holdings if each.node_id == node.node_id]
        cpus = node.cpus - sum(each.cpus for each in taken)
        return Node(names[node.node_id], max(0.0, cpus), max(0.0, node.gpus - sum(each.gpus for each in taken)))

    return tuple(left(node) for node in nodes)


def held(name: str, nodes: tuple[NodeTotals, ...], holdings: tuple[Holding, ...]) -> tuple[Held, ...]:
    """Where this application's replicas are."""
    names = names_of(nodes)
    colours = {backend_name(name, colour): colour for colour in Colour}
    counts = Counter((each.application, each.node_id) for each in holdings if each.application in colours)
    return tuple(
        Held(colours[application], names[node], count) for (application, node), count in counts.items() if node in names
    )


def names_of(nodes: tuple[NodeTotals, ...]) -> dict[str, str]:
    """What people call each node, by its id; the id's beginning tells those apart that share a name."""
    often = Counter(node.name for node in nodes)
    return {node.node_id: node.name if often[node.name] == 1 else f"{node.name}/{node.node_id[:8]}" for node in nodes}
