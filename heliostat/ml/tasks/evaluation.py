"""Measures predictions on rows whose truth is known, as the workload's task has it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.data.codes import coded_texts
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.predictions import chosen
from heliostat.ml.tasks.base import Kind, Truth, needed, one_a_row
from heliostat.spec.metrics import Needs
from heliostat.spec.problem import CustomMetric, Problem, undeclared_of
from heliostat.spec.tasks import Task
from heliostat.spec.workload import Slice
from heliostat.systems.errors import PermanentError

__all__ = ["Evaluation"]

_KINDS: Final[Mapping[str, str]] = {
    "binary": "BinaryKind",
    "multiclass": "MulticlassKind",
    "multilabel": "MultilabelKind",
    "regression": "RegressionKind",
    "quantiles": "QuantilesKind",
    "ranking": "RankingKind",
    "forecasting": "ForecastingKind",
    "embedding": "EmbeddingKind",
    "free": "FreeKind",
}


def kind_of(task: Task) -> Kind[Any]:
    """What is computed of a task.

    By name, for a model carries the modules along that its workload imports, and is scored without these.
    """
    module = importlib.import_module(f"heliostat.ml.tasks.{task.kind}")
    kind: Kind[Any] = getattr(module, _KINDS[task.kind])(task)
    return kind


def has_two_classes(labels: NDArray[Any]) -> bool:
    """Whether labels are 0 and 1 alone."""
    return bool(np.isin(labels, (0.0, 1.0)).all())


class Evaluation:
    """Rows whose truth is known, and what models are measured by on them.

    Args:
        problem: The workload's task and its own metrics; without a task the labels decide.
        table: The rows, with their label.
        label: The label's column.

    Attributes:
        kind: What is computed.
        truth: What is true of the rows.
    """

    def __init__(self, problem: Problem, table: pa.Table, label: str) -> None:
        self._problem, self._table = problem, table
        if problem.task is not None:
            self.kind = kind_of(problem.task)
            self.truth = self.kind.truth(table, label)
        else:
            self.truth = Truth(np.asarray(table[label].to_numpy(), dtype=np.float64))
            self.kind = kind_of(undeclared_of(has_two_classes(self.truth.labels)))
        self._unmet = self.kind.unmet(self.truth)

    def checked(self, predictions: Any) -> Any:
        """The predictions in the form that metrics take.

        Raises:
            PermanentError: they are none of the task's.
        """
        rows = self._table.num_rows
        # What no task was declared of may be a margin as well as a probability, as it always was.
        return one_a_row(predictions, rows) if self._problem.task is None else self.kind.checked(predictions, rows)

    def overall(self, predictions: Any) -> dict[str, float]:
        """Every metric that is defined on these rows.

        Raises:
            PermanentError: the predictions are none of the task's, or a metric of the workload's own fails.
        """
        found = self.checked(predictions)
        names = [name for name in self.kind.task.metrics if Needs.ANY not in self._unmet and needed(name) not in self._unmet]
        figures = {name: self.kind.metric(name)(self.truth, found) for name in names}
        figures |= {metric.name: computed(metric, self.truth.labels, found) for metric in self._problem.metrics}
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def why_undefined(self, metric: str) -> str:
        """Why a metric is not among the figures of these rows."""
        if self._problem.custom(metric) is not None:
            return "the workload's own function gave no finite number"
        return self.kind.why_undefined(metric, self.truth) or f"the task {self.kind.task.kind} has no such metric"

    def by_slice(self, predictions: Any, metric: str, slices: Sequence[Slice]) -> dict[str, Any]:
        """`{column: {value: {rows, value}}}` of one metric, for the values with enough rows where it is defined.

        Raises:
            PermanentError: a slice of a column that the data lacks.
        """
        found, result = self.checked(predictions), {}
        for item in slices:
            values: dict[str, dict[str, float]] = {}
            for value, rows in rows_by_value(self._table, item.column):
                if len(rows) >= item.min_rows and (figure := self._figure(metric, found, rows)) is not None:
                    values[value] = {"rows": len(rows), "value": figure}
            result[item.column] = dict(sorted(values.items()))
        return result

    def _figure(self, metric: str, predictions: Any, rows: NDArray[np.int64]) -> float | None:
        truth, part = self.truth.rows(rows), chosen(predictions, rows)
        own = self._problem.custom(metric)
        if own is not None:
            figure = computed(own, truth.labels, part)
        else:
            if self.kind.why_undefined(metric, truth):
                return None
            figure = self.kind.metric(metric)(truth, part)
        return figure if math.isfinite(figure) else None


def require_column(table: pa.Table, column: str) -> None:
    """See that a table has a column that the gate names.

    Raises:
        PermanentError: it has not.
    """
    if column not in table.column_names:
        raise PermanentError(f"the gate names the column {column!r}; the data has {', '.join(table.column_names)}")


def rows_by_value(table: pa.Table, column: str) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each value of a column as text, and the numbers of its rows.

    Raises:
        PermanentError: the table has no such column.
    """
    require_column(table, column)
    by_value = coded_texts(table[column])
    yield from zip(by_value.values.to_pylist(), by_value.rows(), strict=True)


def computed(metric: CustomMetric, labels: Any, predictions: Any) -> float:
    """What a metric of the workload's own comes to.

    Raises:
        PermanentError: its function fails, or gives no number.
    """
    try:
        value = load_entry_point(metric.function)(labels, predictions)
    except Exception as error:
        raise PermanentError(
            f"the metric {metric.name} ({metric.function}) failed: {type(error).__name__}: {error}"
        ) from error
    try:
        return float(value)
    except (TypeError, ValueError):
        text = f"the metric {metric.name} ({metric.function}) gave a {type(value).__name__}: it must give a number"
        raise PermanentError(text) from None
