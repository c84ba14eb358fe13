"""The figures of models that say one number a row, and which direction of each is better; other tasks have an `Evaluation`.

Labels that are 0 and 1 alone are classes, and a score is the probability of 1; other labels are numbers, and so are scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.ml.tasks.base import Truth, one_a_row
from heliostat.ml.tasks.evaluation import has_two_classes, kind_of, rows_by_value
from heliostat.spec.metrics import FORMER, Needs, canonical, higher_is_better, needs
from heliostat.spec.problem import undeclared_of
from heliostat.spec.tasks import UNDECLARED_METRICS
from heliostat.spec.workload import Slice
from heliostat.systems.errors import PermanentError

__all__ = ["METRICS", "Labels", "Metric", "Scores", "by_slice", "has_two_classes", "metric_of", "metrics_of", "overall"]

Labels = NDArray[np.float64]
"""What is true, one number a row."""
Scores = NDArray[np.float64]
"""What a model says of it, one number a row."""


@dataclass(frozen=True)
class Metric:
    """How one figure is computed from labels and scores."""

    compute: Callable[[Labels, Scores], float]
    higher_is_better: bool
    needs_unlike: bool = False
    """Undefined where all labels are alike."""


def _metric(name: str) -> Metric:
    def compute(labels: Labels, scores: Scores) -> float:
        task = undeclared_of(two_classes=True)
        kind = kind_of(task if name in task.metrics else undeclared_of(two_classes=False))
        return kind.metric(name)(Truth(labels), scores)

    return Metric(compute, higher_is_better(name), needs(name) is Needs.UNLIKE)


METRICS: Final[Mapping[str, Metric]] = {name: _metric(name) for name in UNDECLARED_METRICS}
"""By name."""


def metric_of(name: str) -> Metric:
    """The metric called `name`, or called so before.

    Raises:
        PermanentError: there is none.
    """
    if (known := canonical(name)) not in METRICS:
        raise PermanentError(f"there is no metric {name!r}; there are {', '.join(METRICS)}; formerly {', '.join(FORMER)}")
    return METRICS[known]


def metrics_of(labels: Labels) -> list[str]:
    """The metrics that are defined on these labels."""
    unlike = bool((labels != labels[0]).any())
    names = undeclared_of(has_two_classes(labels)).metrics
    return [name for name in names if unlike or not METRICS[name].needs_unlike]


def overall(labels: Labels, scores: Scores) -> dict[str, float]:
    """Every metric that is defined on these labels.

    Raises:
        PermanentError: scores that are no finite numbers, or not as many as labels.
    """
    found = one_a_row(scores, len(labels))
    return {name: METRICS[name].compute(labels, found) for name in metrics_of(labels)}


def by_slice(table: pa.Table, labels: Labels, scores: Scores, metric: str, slices: Sequence[Slice]) -> dict[str, Any]:
    """`{column: {value: {rows, value}}}` of one metric, for the values with enough rows where it is defined.

    Raises:
        PermanentError: a slice of a column that the data lacks.
    """
    found = one_a_row(scores, len(labels))
    measure, result = metric_of(metric), {}
    for item in slices:
        values: dict[str, dict[str, float]] = {}
        for value, rows in rows_by_value(table, item.column):
            if len(rows) >= item.min_rows and not (measure.needs_unlike and len(np.unique(labels[rows])) < 2):
                values[value] = {"rows": len(rows), "value": measure.compute(labels[rows], found[rows])}
        result[item.column] = dict(sorted(values.items()))
    return result
