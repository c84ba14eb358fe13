"""Whether the cluster that a platform on one machine declares could ever hold a workload, with nothing else on it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from heliostat.spec.mistakes import Path
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.workload import Workload

_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class _Demand:
    """What has to run at once."""

    path: Path
    """Where that is said, below the workload."""
    what: str
    count: int
    cpus: float
    """Of each."""


def too_large(platform: LocalPlatform, workload: Workload) -> Iterator[tuple[Path, str]]:
    """What of a workload the nodes could not hold, each with its path below the workload."""
    ray = platform.ray
    nodes = [ray.head.cpus, *[ray.workers.cpus] * ray.workers.count]
    cluster = f"the cluster's nodes have {', '.join(map(str, nodes))} CPUs"
    served = list(_served(workload))
    alone = [(each, fits) for each in (*served, *_trained(workload)) if (fits := _fits(nodes, each)) < each.count]
    for each, fits in alone:
        text = f"{each.count} {each.what} of {each.cpus:g} CPUs need more than there is: {cluster}, room for {fits}"
        yield each.path, f"{text}; declare fewer, or more below platform.ray"
    if not any(each in served for each, _ in alone) and not _hold(nodes, served):
        said = " and ".join(f"{each.count} {each.what} of {each.cpus:g} CPUs" for each in served)
        text = f"{said} do not fit beside each other: {cluster}"
        yield served[-1].path, f"{text}; declare fewer of either, or more below platform.ray"


def _served(workload: Workload) -> Iterator[_Demand]:
    """What answers: replicas, and the workers of their tasks, as many as there may be."""
    serving = workload.serving
    yield _Demand(("serving", "replicas"), "replicas", serving.replicas, serving.cpus_per_replica)
    if serving.queue is not None:
        workers = serving.queue.workers
        said = ("replicas",) if workers.scaling is None else ("scaling", "maxReplicas")
        path = ("serving", "queue", "workers", *said)
        yield _Demand(path, "replicas of workers of tasks", workers.most, workers.cpus_per_replica)


def _trained(workload: Workload) -> Iterator[_Demand]:
    scaling = workload.training.scaling
    if workload.model is None and workload.mlflow is None and workload.federated is None:
        said = ("workers",) if scaling.fewest == scaling.workers else ("distribution", "minWorkers")
        yield _Demand(("training", "scaling", *said), "workers", scaling.fewest, scaling.cpus_per_worker)


def _fits(nodes: Sequence[float], demand: _Demand) -> int:
    if not demand.cpus:
        return demand.count
    return sum(math.floor(cpus / demand.cpus + _ROUNDING) for cpus in nodes)


def _hold(nodes: Sequence[float], demands: Sequence[_Demand]) -> bool:
    """Whether all fit beside each other, the largest first."""
    left = list(nodes)
    for demand in sorted(demands, key=lambda each: -each.cpus):
        missing = demand.count
        for number, cpus in enumerate(left):
            taken = min(missing, _fits([cpus], demand))
            left[number] -= taken * demand.cpus
            missing -= taken
        if missing:
            return False
    return True
