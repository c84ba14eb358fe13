"""What the cluster's nodes have left for replicas, and what its autoscaler may still bring. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from heliostat.rollout.capacity import Ask, Held, Node, awaited
from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import backend_name
from heliostat.spec.groups import Placement, WorkerGroup
from heliostat.spec.task_queue import WORKERS, TaskWorkers
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
    asks = asks_in(found.arguments)
    placed = Counter(each.answers for each in instance.holdings if each.application == found.name)
    asked = {False: found.deployments.get(WORKERS, 0)}
    asked[True] = sum(found.deployments.values()) - asked[False]
    missing = [(ask, asked[answers] - placed[answers]) for answers, ask in asks.items() if asked[answers] > placed[answers]]
    return ", ".join(awaited(free(nodes, instance.holdings, groups), missing)) if missing else ""


def asks_in(arguments: Mapping[str, Any]) -> dict[bool, Ask]:
    """What each replica asks for that was deployed with `arguments`, by whether clients reach it: it does, or it is one of
    workers of tasks. Empty where that was not by a controller."""
    cpus, where = arguments.get("cpusPerReplica"), arguments.get("placement")
    if not isinstance(cpus, (int, float)):
        return {}
    placement = Placement.model_validate(where) if isinstance(where, dict) else None
    asks = {True: Ask.of(cpus, float(arguments.get("gpusPerReplica") or 0.0), placement)}
    queue = (arguments.get("version") or {}).get("queue")
    if queue is not None:
        # What is as ever was left out as it was deployed.
        workers = TaskWorkers.model_validate(queue.get("workers") or {})
        asks[False] = Ask.of(workers.cpus_per_replica, workers.gpus_per_replica, placement)
    return asks


def held(name: str, nodes: tuple[NodeTotals, ...], holdings: tuple[Holding, ...]) -> tuple[Held, ...]:
    """Where this application's replicas are."""
    names = names_of(nodes)
    colours = {backend_name(name, colour): colour for colour in Colour}
    own = [each for each in holdings if each.application in colours and each.node_id in names]
    counts = Counter((each.application, each.node_id, each.answers) for each in own)
    return tuple(
        Held(colours[application], names[node], counts[application, node, True], counts[application, node, False])
        for application, node in dict.fromkeys((each.application, each.node_id) for each in own)
    )


def names_of(nodes: tuple[NodeTotals, ...]) -> dict[str, str]:
    """What people call each node, by its id; the id's beginning tells those apart that share a name."""
    often = Counter(node.name for node in nodes)
    return {node.node_id: node.name if often[node.name] == 1 else f"{node.name}/{node.node_id[:8]}" for node in nodes}
