"""What a gate asks of a snapshot, held against the snapshot itself before anything is trained or measured on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

from heliostat.provider import ray_work
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.judging import judged_by
from heliostat.spec.metrics import Needs, needs
from heliostat.spec.problem import Problem, undeclared_of
from heliostat.spec.tasks import Binary, Task
from heliostat.spec.training_resources import DatasetAddress
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, open_store

_CLASSES: Final = frozenset({"0", "1", "0.0", "1.0", "false", "true"})


async def require_judgeable(gate: Gate, problem: Problem | None, dataset: DatasetAddress, store: StoreAddress) -> None:
    """See that models of a snapshot can be judged by a gate, as the problem has it.

    Raises:
        PermanentError: they cannot, with every reason.
    """
    if reasons := await asyncio.to_thread(_reasons, gate, problem or Problem(), dataset, store):
        raise PermanentError("\n  ".join([f"the gate does not fit the data at {dataset.uri}:", *reasons]))


def _reasons(gate: Gate, problem: Problem, dataset: DatasetAddress, store: StoreAddress) -> list[str]:
    key = ray_work.key_of(dataset.uri, store)
    opened = open_store(store)
    try:
        manifest = json.loads(opened.get(f"{key}/manifest.json"))
        statistics = json.loads(opened.get(f"{key}/statistics.json"))
    except ObjectMissingError:
        return []  # whoever reads the data tells that it is gone
    found = [*_slices(gate, manifest), *_fairness(gate, manifest)]
    return [*found, *_metric(gate, problem, manifest["label"], statistics["test"])]


def _slices(gate: Gate, manifest: dict[str, Any]) -> Iterator[str]:
    columns = [name for name in manifest["columns"] if name != manifest["label"]]
    for number, item in enumerate(gate.slices):
        if item.column not in columns:
            text = f"the data has no column {item.column!r} to slice by"
            if item.column == manifest["label"]:
                text = f"{item.column!r} is the label, and all rows of a slice by it are alike"
            yield f"gate.slices[{number}].column: {text}; it has {', '.join(columns)}"


def _fairness(gate: Gate, manifest: dict[str, Any]) -> Iterator[str]:
    columns = [name for name in manifest["columns"] if name != manifest["label"]]
    for number, item in enumerate(gate.fairness):
        if item.column not in columns:
            yield f"gate.fairness[{number}].column: the data has no column {item.column!r}; it has {', '.join(columns)}"


def _metric(gate: Gate, problem: Problem, label: str, test: dict[str, Any]) -> list[str]:
    """That the metric is not defined on the labels of the test split, as far as the snapshot tells of them."""
    metric, told = judged_by(gate, problem), test.get("label")
    if metric is None or problem.custom(metric) is not None:
        return []
    if problem.task is not None and told is not None and told["kind"] == problem.task.kind:
        unmet: dict[str, str] = told["unmet"]
        reason, task = unmet.get(needs(metric)) or unmet.get(Needs.ANY), problem.task
        defined = [name for name in task.metrics if needs(name) not in unmet] if Needs.ANY not in unmet else []
    else:
        reason, task = _by_values(problem.task, metric, test.get("classBalance"))
        alike = test.get("classBalance") is not None and len(test["classBalance"]) == 1
        defined = [name for name in task.metrics if not (alike and needs(name) is Needs.UNLIKE)]
    there = f"; there are {', '.join(defined)}" if defined else ""
    return [f"gate.metric: {metric} is not defined on {label!r}, for {reason}{there}"] if reason else []


def _by_values(task: Task | None, metric: str, values: dict[str, int] | None) -> tuple[str, Task]:
    """Why a metric is not defined on labels of which only some values are known, and what they are judged as."""
    two_classes = values is not None and values.keys() <= _CLASSES
    judged_as = task or undeclared_of(two_classes)
    if isinstance(task, Binary) and values is not None and not two_classes:
        other = next(iter(values.keys() - _CLASSES))
        return f"a label of the test split is {other}, and the task binary has 0 and 1", judged_as
    if metric not in judged_as.metrics:
        return "its labels are 0 and 1" if two_classes else "its labels are numbers, not 0 and 1 alone", judged_as
    alike = values is not None and len(values) == 1 and needs(metric) is Needs.UNLIKE
    return "all labels of the test split are alike" if alike else "", judged_as
