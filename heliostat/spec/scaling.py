"""How wide a training runs on a group of nodes: what does not fit, and what Ray Train is asked for. Pure."""

from __future__ import annotations

import math
from typing import Any

from heliostat.spec.distribution import Elastic, TpuSlices
from heliostat.spec.groups import SHARE, ChosenGroup, WorkerGroup, resource_of
from heliostat.spec.workload import Scaling, workers_that_fit


def misfit(scaling: Scaling, chosen: ChosenGroup) -> str | None:
    """Why a training does not fit on its group even when nothing else runs there; None where it does."""
    group = chosen.group
    if group is None:
        return None
    if scaling.cpus_per_worker > group.cpus:
        return f"a worker of {scaling.cpus_per_worker:g} CPUs fits on no node of {chosen.name}: each leaves {group.cpus}"
    if group.kind == "tpu":
        return _slices_misfit(scaling, chosen.name, group)
    if isinstance(scaling.distribution, TpuSlices):
        return f"the group {chosen.name} has no TPUs: name one that has, or leave `distribution` out"
    if group.kind == "cpu" and scaling.gpus_per_worker:
        return f"the nodes of the group {chosen.name} have no accelerators: gpusPerWorker is {scaling.gpus_per_worker:g}"
    gpus = _accelerators(scaling, group)
    if gpus > group.accelerators:
        return f"a worker of {gpus:g} GPUs fits on no node of the group {chosen.name}: each has {group.accelerators}"
    fits = workers_that_fit(scaling.model_copy(update={"gpus_per_worker": gpus}), group.cpus, group.accelerators)
    if scaling.workers <= fits * group.max:
        return None
    each = f"{scaling.cpus_per_worker:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
    return (
        f"{scaling.workers} workers of {each} need more than the group {chosen.name} ever has: {group.max} nodes with room "
        f"for {fits} each; ask for {fits * group.max} or fewer, or raise the group's `max`"
    )


def nodes_needed(scaling: Scaling, chosen: ChosenGroup) -> int:
    """How many nodes of its group a training fills, with nothing else on them; of TPUs how many slices.

    Raises:
        ValueError: it does not fit on the group.
    """
    if chosen.group is None or (problem := misfit(scaling, chosen)):
        raise ValueError(problem if chosen.group is not None else f"the group {chosen.name} is not known")
    group = chosen.group
    if group.kind == "tpu":
        return scaling.workers // group.hosts
    holds = scaling.model_copy(update={"gpus_per_worker": _accelerators(scaling, group)})
    return math.ceil(scaling.workers / workers_that_fit(holds, group.cpus, group.accelerators))


def scaling_arguments(scaling: Scaling, chosen: ChosenGroup | None) -> dict[str, Any]:
    """The arguments of Ray Train's ScalingConfig."""
    if chosen is None or chosen.group is None:
        gpus = {"GPU": scaling.gpus_per_worker} if scaling.gpus_per_worker else {}
        return {
            "num_workers": _workers(scaling),
            "use_gpu": scaling.gpus_per_worker > 0,
            "resources_per_worker": {"CPU": scaling.cpus_per_worker, **gpus},
        }
    group = chosen.group
    resources = {"CPU": scaling.cpus_per_worker, resource_of(chosen.name): SHARE}
    arguments: dict[str, Any] = {"num_workers": _workers(scaling), "resources_per_worker": resources}
    if group.kind == "cpu":
        return arguments
    resources["GPU" if group.kind == "gpu" else "TPU"] = _accelerators(scaling, group)
    slices = {"topology": group.topology} if group.kind == "tpu" else {}
    return arguments | {f"use_{group.kind}": True, "accelerator_type": group.accelerator, **slices}


def _workers(scaling: Scaling) -> int | tuple[int, int]:
    """As Ray Train takes them: a range where it is elastic."""
    return (scaling.fewest, scaling.workers) if isinstance(scaling.distribution, Elastic) else scaling.workers


def _accelerators(scaling: Scaling, group: WorkerGroup) -> float:
    """What a worker holds: of a TPU all of its host's chips, of GPUs one where nothing is said."""
    if group.kind == "tpu":
        return group.accelerators
    return scaling.gpus_per_worker or (1.0 if group.kind == "gpu" else 0.0)


def _slices_misfit(scaling: Scaling, name: str, group: WorkerGroup) -> str | None:
    if scaling.gpus_per_worker not in (0, group.accelerators):
        return (
            f"a worker holds all {group.accelerators} chips of its host of the group {name}, "
            f"not {scaling.gpus_per_worker:g}: leave gpusPerWorker out"
        )
    for workers in dict.fromkeys((scaling.fewest, scaling.workers)):
        if workers % group.hosts:
            whole = max(1, round(workers / group.hosts)) * group.hosts
            return (
                f"a slice of the group {name} ({group.topology}) is {group.hosts} hosts with a worker each, and slices are "
                f"whole: {workers} workers are no multiple of {group.hosts}; ask for {whole}"
            )
    if scaling.workers > group.max * group.hosts:
        return (
            f"{scaling.workers} workers need {scaling.workers // group.hosts} slices of the group {name}, which has "
            f"{group.max} at most: ask for {group.max * group.hosts} or fewer, or raise the group's `max`"
        )
    return None
