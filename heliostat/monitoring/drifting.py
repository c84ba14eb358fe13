"""Drift in a window: its inputs and predictions by column beside those of the reference. Pure.

What is compared are profiles (`heliostat.data`), so that a window costs one pass and memory for a piece of it at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from heliostat.data.drift import ColumnDrift, DriftReport, Limit, Limits, compare
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, ProfileBuilder
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.logged import names_classes, predictions_of
from heliostat.spec.base import Model, is_none
from heliostat.spec.drift_watches import ByColumn, DriftWatch
from heliostat.spec.findings import Aspect, Finding
from heliostat.spec.monitors import Monitor
from heliostat.spec.tasks import Multiclass, Task

PREDICTION: Final = "prediction"
"""What a prediction of one number is called in its report; one of several is `prediction[1]` and so on, from 0."""
CLASS: Final = "class"
"""The most probable class, where a prediction is one of several."""
_MOST_WIDTH: Final = 64
"""Numbers of a prediction that are looked at."""


class ColumnReport(Model):
    """A column beside its reference."""

    name: str
    status: str
    text: str
    distances: dict[str, float] = Field(default_factory=dict)
    adjusted_p: float | None = Field(default=None, exclude_if=is_none)
    """How likely such a difference is by chance, among all columns."""
    limit: float | None = Field(default=None, exclude_if=is_none)


class Drift(Model):
    """All columns of a window."""

    reference_rows: int
    rows: int
    columns: tuple[ColumnReport, ...] = ()


def limits_of(watch: ByColumn, learned: Mapping[str, float] | None = None) -> Limits:
    """The limits that a watch declares, a column's no less than what was learned of it."""
    numbers, texts = (Limit(each.distance.value, each.least) for each in (watch.numbers, watch.texts))
    declared = watch.limits if isinstance(watch, DriftWatch) else {}
    columns = {name: Limit(each.distance.value, each.least) for name, each in declared.items()}
    limits = Limits(watch.alpha, watch.correction.value, numbers, texts, columns)
    return limits if not learned else _raised(limits, learned)


def _raised(limits: Limits, learned: Mapping[str, float]) -> Limits:
    return Limits(limits.alpha, limits.correction, limits.numbers, limits.texts, limits.columns, learned)


def predictions_table(column: pa.ChunkedArray | pa.Array, task: Task | None) -> pa.Table:
    """Predictions as a table, for a profile of them: numbers, and of several classes which one is the most probable."""
    found = predictions_of(column, task)
    if found.ndim == 1:
        return pa.table({PREDICTION: found})
    classes = {CLASS: _classes(found, task)} if isinstance(task, Multiclass) else {}
    if classes and names_classes(column):  # probabilities are 0 and 1 then, which say nothing beside
        return pa.table(classes)
    width = min(found.shape[1], _MOST_WIDTH)
    numbers = {f"{PREDICTION}[{place}]": np.ascontiguousarray(found[:, place]) for place in range(width)}
    return pa.table(classes | numbers)


def _classes(found: NDArray[np.float64], task: Multiclass) -> pa.Array:
    """The most probable class of each row; none of rows without a prediction."""
    known = np.isfinite(found).all(axis=1)
    places = pa.array(np.where(known, found.argmax(axis=1), 0), pa.int32(), mask=~known)
    return pa.DictionaryArray.from_arrays(places, pa.array(task.classes, pa.string())).cast(pa.string())


@dataclass
class _WindowProfiles:
    """What came of a window so far; closed by `profiles`."""

    inputs: ProfileBuilder = field(default_factory=lambda: ProfileBuilder(DRIFT))
    predictions: ProfileBuilder = field(default_factory=lambda: ProfileBuilder(DRIFT))


class Distributions:
    """Takes the rows of windows in parts, and holds each window against the reference.

    Args:
        monitor: What is declared.
        inputs: The reference's inputs; None where none are watched.
        predictions: The reference's predictions; None where they are not watched.
        learned: How far each input is from its reference in one season or another.
        task: The workload's.
    """

    def __init__(
        self,
        monitor: Monitor,
        inputs: Profile | None,
        predictions: Profile | None,
        learned: Mapping[str, float],
        task: Task | None,
    ) -> None:
        self._monitor, self._inputs, self._predictions, self._learned, self._task = (
            monitor, inputs, predictions, learned, task,
        )  # fmt: skip
        self._windows: dict[int, _WindowProfiles] = {}

    def add(self, number: int, rows: pa.Table) -> None:
        """Take rows of a window: `prediction`, and the inputs that are watched as far as they are there."""
        window = self._windows.setdefault(number, _WindowProfiles())
        if self._inputs is not None:
            there = [name for name in self._inputs.columns if name in rows.column_names]
            window.inputs.add(rows.select(there))
        if self._predictions is not None:
            window.predictions.add(predictions_table(rows["prediction"], self._task))

    def forget(self, number: int) -> None:
        """Let go of a window that has its report."""
        self._windows.pop(number, None)

    def report(self, number: int, judge: Judge) -> tuple[Drift | None, Drift | None, list[Finding]]:
        """The inputs and the predictions of a window, and their findings."""
        window, findings = self._windows.get(number), list[Finding]()
        inputs = predictions = None
        if self._inputs is not None and (watch := self._monitor.drift) is not None:
            limits = limits_of(watch, self._learned)
            inputs, found = _held(Aspect.DRIFT, self._inputs, window.inputs if window else None, watch, limits, judge)
            findings += found
        if self._predictions is not None and (told := self._monitor.prediction_drift) is not None:
            of = window.predictions if window is not None else None
            predictions, found = _held(Aspect.PREDICTION_DRIFT, self._predictions, of, told, limits_of(told), judge)
            findings += found
        return inputs, predictions, findings


def _held(
    aspect: Aspect, reference: Profile, builder: ProfileBuilder | None, watch: ByColumn, limits: Limits, judge: Judge
) -> tuple[Drift, list[Finding]]:
    window = builder.profile() if builder is not None else Profile(0, {})
    if window.rows < watch.min_rows:
        text = f"{window.rows} rows are fewer than the {watch.min_rows} that it takes"
        found = [judge.unknown(aspect, name, text) for name in reference.columns]
        return Drift(reference_rows=reference.rows, rows=window.rows), found
    # A column that no file had is as good as gone: it is told by the log's own finding, and here by its own.
    report = compare(reference, window, limits, list(reference.columns))
    return summary(report), [judge.drift(aspect, column, watch) for column in report.columns]


def summary(report: DriftReport) -> Drift:
    """A report as it is kept."""
    return Drift(
        reference_rows=report.reference_rows,
        rows=report.window_rows,
        columns=tuple(map(_column, report.columns)),
    )


def _column(column: ColumnDrift) -> ColumnReport:
    return ColumnReport(
        name=column.name,
        status=column.status,
        text="; ".join([column.text, *column.notes]),
        # Numbers that are too large are infinitely far, which JSON does not say.
        distances={name: value for name, value in column.distances.items() if isfinite(value)},
        adjusted_p=column.adjusted_p,
        limit=None if column.limit is None else column.limit.least,
    )
