"""The task's metrics of predictions whose labels came, overall and by slice, each with its interval."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from heliostat.data.codes import coded, coded_texts
from heliostat.ml.tasks.base import Kind, Truth
from heliostat.ml.tasks.evaluation import computed, has_two_classes, kind_of
from heliostat.monitoring.intervals import Interval, Rows, bootstrap, normal, units
from heliostat.monitoring.sampling import Labelled, are_certain
from heliostat.monitoring.weighing import expanded
from heliostat.spec.base import Model, is_empty
from heliostat.spec.monitors import metric_of
from heliostat.spec.problem import CustomMetric, Problem, undeclared_of
from heliostat.spec.tasks import Multiclass, Ranking
from heliostat.spec.watches import QualityWatch
from heliostat.systems.errors import PermanentError

_OF_PROBABILITIES: Final = frozenset({
    "log_loss", "brier_score", "roc_auc_ovr", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted",
})  # fmt: skip
"""Metrics of several classes that a class alone says nothing for."""
_MOST_GROUPS: Final = 1_000
"""Groups of a ranking by which its interval is reckoned."""
_MOST_COPIES: Final = 100_000
"""Rows that weights are told by, where there are fewer rows than that."""
_MOST_SLICES: Final = 1_000
"""Values of a column that are looked at, those with the most rows; what is beyond is counted."""


class Figure(Model):
    """A metric of some rows."""

    rows: int
    interval: Interval | None = None
    """None where it cannot be told."""
    reason: str = Field(default="", exclude_if=is_empty)
    """Why it cannot."""
    weighed: bool = Field(default=False, exclude_if=is_empty)
    """Whether each row counts by one over the chance that it was chosen for review."""


class Quality(Model):
    """A watched metric in one window."""

    metric: str
    overall: Figure
    slices: dict[str, dict[str, Figure]] = Field(default_factory=dict)
    """By column and value, those with enough rows."""
    small: dict[str, int] = Field(default_factory=dict)
    """How many values of each column have too few rows."""


class Measure:
    """Computes a workload's metrics on some rows.

    Args:
        problem: The workload's task and metrics; where it declares no task the labels decide.
        labelled: The rows.
    """

    def __init__(self, problem: Problem, labelled: Labelled) -> None:
        self._problem, self.labelled = problem, labelled
        two = has_two_classes(labelled.labels) and _are_probabilities(labelled.predictions)
        self.kind: Kind[Any] = kind_of(problem.task or undeclared_of(two))
        labels = labelled.labels.astype(np.int64) if isinstance(self.kind.task, Multiclass) else labelled.labels
        self.truth = Truth(labels, self._groups())
        self.predictions = self.kind.checked(labelled.predictions, len(labelled)) if len(labelled) else labelled.predictions

    def _groups(self) -> NDArray[np.int64] | None:
        if not isinstance(self.kind.task, Ranking) or self.kind.task.group not in self.labelled.columns:
            return None
        return coded(self.labelled.columns[self.kind.task.group]).codes

    def _truth(self, rows: Rows | None) -> Truth:
        """What is true of some rows."""
        if rows is None:
            return self.truth
        groups = self.truth.groups
        return Truth(self.truth.labels[rows], groups[rows] if groups is not None else None)

    def why_undefined(self, metric: str, rows: Rows | None = None) -> str:
        """Why a metric says nothing of some rows; empty where it does."""
        truth = self._truth(rows)
        if not len(truth.labels):
            return "there are no labels"
        if isinstance(self.kind.task, Ranking) and truth.groups is None:
            return f"the log has no input {self.kind.task.group!r}, by which rows are ranked against each other"
        if self._problem.custom(metric) is not None:
            return ""
        if isinstance(self.kind.task, Multiclass) and metric in _OF_PROBABILITIES and are_certain(self.predictions):
            return f"each answer is of one class with certainty: {metric} needs how probable the others are"
        if metric not in self.kind.task.metrics:
            return f"labels and predictions are those of the task {self.kind.task.kind}, which has no {metric}"
        return self.kind.why_undefined(metric, truth)

    def figure(self, metric: str, rows: Rows | None = None) -> float | None:
        """A metric of all rows, or of some, which may stand there more than once; None where it is not defined."""
        if len(weights := self.labelled.weights):
            given = np.arange(len(weights)) if rows is None else rows
            rows = given[expanded(weights[given], max(len(given), _MOST_COPIES))]
        if self.why_undefined(metric, rows):
            return None
        truth = self._truth(rows)
        found = self.predictions if rows is None else self.predictions[rows]
        own = self._problem.custom(metric)
        value = _own(own, truth, found) if own is not None else self.kind.metric(metric)(truth, found)
        return value if math.isfinite(value) else None

    def interval(self, metric: str, rows: Rows | None, confidence: float) -> Interval | None:
        """The same with its interval."""
        value = self.figure(metric, rows)
        if value is None:
            return None
        own = np.arange(len(self.labelled)) if rows is None else rows
        if self.truth.groups is not None:
            return self._of_groups(metric, own, self.truth.groups[own], value, confidence)
        return bootstrap(lambda drawn: self.figure(metric, own[drawn]), self.labelled.requests[own], value, confidence)

    def _of_groups(self, metric: str, rows: Rows, groups: Rows, value: float, confidence: float) -> Interval:
        """A ranking's metric is a mean over groups, each of which has its own."""
        order, starts, sizes = units(groups.astype(np.uint64))
        chosen = np.linspace(0, len(starts) - 1, min(len(starts), _MOST_GROUPS)).astype(np.int64)
        each = [self.figure(metric, rows[order[starts[group] : starts[group] + sizes[group]]]) for group in chosen]
        figures = np.array([figure for figure in each if figure is not None])
        if len(figures) < 2:
            return Interval(value=value, rows=len(rows))
        telling = len(figures) / len(chosen) * len(starts)
        half = normal(confidence) * float(figures.std(ddof=1)) / float(np.sqrt(telling))
        return Interval(value=value, low=value - half, high=value + half, rows=len(rows))


def quality(problem: Problem, labelled: Labelled, watch: QualityWatch) -> Quality:
    """A watched metric of a window's labelled rows; where it cannot be told the reason stands in its place."""
    metric = metric_of(watch, problem)
    try:
        return _measured(Measure(problem, labelled), metric, watch)
    except PermanentError as error:  # predictions are none of the task's, or the workload's own function failed
        return Quality(metric=metric, overall=Figure(rows=len(labelled), reason=str(error)))


def _measured(measure: Measure, metric: str, watch: QualityWatch) -> Quality:
    labelled = measure.labelled
    overall = _figure(measure, metric, None, watch.min_rows, watch.confidence)
    slices: dict[str, dict[str, Figure]] = {}
    small: dict[str, int] = {}
    for column in watch.slices if not overall.reason else ():
        parts, fewer = _parts(labelled, column, watch.min_rows)
        enough = parts[:_MOST_SLICES]
        small[column] = fewer + len(parts) - len(enough)
        # The chance of one false alarm among all values is that of a single one (Bonferroni).
        confidence = 1 - (1 - watch.confidence) / max(1, len(enough))
        slices[column] = {value: _figure(measure, metric, rows, watch.min_rows, confidence) for value, rows in enough}
    return Quality(metric=metric, overall=overall, slices=slices, small=small)


def _figure(measure: Measure, metric: str, rows: Rows | None, least: int, confidence: float) -> Figure:
    count = len(measure.labelled) if rows is None else len(rows)
    if count < least:
        return Figure(rows=count, reason=f"{count} labelled rows are fewer than the {least} that it takes")
    if reason := measure.why_undefined(metric, rows):
        return Figure(rows=count, reason=reason)
    interval = measure.interval(metric, rows, confidence)
    reason = "" if interval else "it came to no finite number"
    return Figure(rows=count, interval=interval, reason=reason, weighed=len(measure.labelled.weights) > 0)


def _parts(labelled: Labelled, column: str, least: int) -> tuple[list[tuple[str, Rows]], int]:
    """The rows of each value that has so many, the value with the most first, and how many values have fewer."""
    if column not in labelled.columns or not len(labelled):
        return [], 0
    by_value = coded_texts(labelled.columns[column])
    large = np.flatnonzero(by_value.counts() >= least)
    parts = list(zip(by_value.values.take(pa.array(large)).to_pylist(), by_value.rows(large), strict=True))
    if by_value.missing >= least:
        parts.append(("(missing)", np.flatnonzero(by_value.codes < 0)))
    values = len(by_value.values) + (by_value.missing > 0)
    return sorted(parts, key=lambda part: -len(part[1])), values - len(parts)


def _own(metric: CustomMetric, truth: Truth, found: Any) -> float:
    return computed(metric, truth.labels, found)


def _are_probabilities(predictions: NDArray[np.float64]) -> bool:
    return bool(predictions.ndim == 1 and ((predictions >= 0) & (predictions <= 1)).all())
