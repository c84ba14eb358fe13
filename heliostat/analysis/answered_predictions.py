"""Predictions of a task as they stand in a field of an answer's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from heliostat.analysis.answers import MISSING, no_number, number_of, shown, value_of
from heliostat.spec.tasks import Multiclass, Multilabel, Task

_OF_PROBABILITIES: Final = ("log_loss", "brier_score", "roc_auc", "average_precision")

Numbers = tuple[float, ...]


def prediction_of(task: Task | None, metric: str, answer: Any, field: str) -> Numbers | None:
    """The numbers of a row's prediction, as many as the task has; None where there are none.

    Of a class alone, or of labels that are told alone, the metrics that need no more than that make probabilities of 1.
    """
    value = value_of(answer, field)
    width = task.width if task is not None else None
    if width is None:
        number = number_of(value)
        return None if number is None else (number,)
    if isinstance(task, Multiclass) and isinstance(value, str) and not needs_probabilities(metric):
        return tuple(float(name == value) for name in task.classes) if value in task.classes else None
    if isinstance(task, Multilabel) and _names_labels(value) and not needs_probabilities(metric):
        return tuple(float(name in value) for name in task.labels) if set(value) <= set(task.labels) else None
    if isinstance(value, Mapping) and task is not None:
        value = [value.get(name, MISSING) for name in task.columns]
    if not isinstance(value, list) or len(value) != width:
        return None
    numbers = [number_of(each) for each in value]
    return None if None in numbers else tuple(each for each in numbers if each is not None)


def _names_labels(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def needs_probabilities(metric: str) -> bool:
    """Whether a metric of classes says something only of probabilities."""
    return metric.startswith(_OF_PROBABILITIES)


def why_none(task: Task | None, metric: str, answer: Any, field: str) -> str:
    """Why there is no prediction in an answer's field."""
    if task is None or task.width is None or value_of(answer, field) is MISSING:
        return no_number(field, answer)
    needed = f"a list of {task.width} finite numbers, or an object with one for each of {', '.join(task.columns[:5])}"
    if isinstance(task, Multiclass) and not needs_probabilities(metric):
        needed += ", or one of the classes"
    if isinstance(task, Multilabel) and not needs_probabilities(metric):
        needed += ", or a list of those labels that are told"
    return f"the field {field!r} is {shown(value_of(answer, field))} in an answer: {needed} is needed"
