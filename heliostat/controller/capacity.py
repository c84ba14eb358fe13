"""What the cluster's nodes have left for replicas, as far as that is known."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from heliostat.controller.observing import serve_name
from heliostat.rollout.capacity import Held, Node
from heliostat.rollout.model import Colour
from heliostat.spec.addresses import RayAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_capacity import NodeTotals, read_nodes
from heliostat.systems.ray_serve import Holding, ServeClient

_log = logging.getLogger(__name__)
_SECONDS = 5.0

Room = tuple[tuple[Node, ...], tuple[Held, ...]]


async def room_for(name: str, address: RayAddress, serve: ServeClient) -> Room | None:
    """The nodes with what no replica holds, and what this application's replicas hold; None where the cluster does not say."""
    try:
        async with asyncio.timeout(_SECONDS):
            nodes, instance = await asyncio.gather(read_nodes(address), serve.read())
    except (RetryableError, PermanentError, TimeoutError) as error:
        _log.info("whether the cluster holds %s is not known: %s", name, str(error) or f"no answer within {_SECONDS:g} s")
        return None
    return free(nodes, instance.holdings), held(name, nodes, instance.holdings)


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
    colours = {serve_name(name, colour): colour for colour in Colour}
    counts = Counter((each.application, each.node_id) for each in holdings if each.application in colours)
    return tuple(
        Held(colours[application], names[node], count) for (application, node), count in counts.items() if node in names
    )


def names_of(nodes: tuple[NodeTotals, ...]) -> dict[str, str]:
    """What people call each node, by its id; the id's beginning tells those apart that share a name."""
    often = Counter(node.name for node in nodes)
    return {node.node_id: node.name if often[node.name] == 1 else f"{node.name}/{node.node_id[:8]}" for node in nodes}
