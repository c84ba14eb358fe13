"""How differently a model of two classes treats groups of people, measured by fairlearn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.ml.extras import require
from heliostat.ml.tasks.evaluation import has_two_classes, rows_by_value
from heliostat.spec.fairness import Fairness, FairnessMetric
from heliostat.systems.errors import PermanentError


def measured(
    table: pa.Table, labels: NDArray[Any], scores: NDArray[np.float64], checks: Sequence[Fairness]
) -> list[dict[str, Any]]:
    """Every check's value, with the rates of each group, and the groups that are too small to be compared.

    Raises:
        PermanentError: the labels are not 0 and 1, the data has no such column, or fairlearn is not installed.
    """
    if not checks:
        return []
    try:
        require("fairlearn", "fairness")
    except ModuleNotFoundError as error:
        raise PermanentError(f"the gate asks for fairness by group, and {error}, where jobs run") from None
    if not has_two_classes(labels):
        raise PermanentError("the gate asks for fairness by group, and the labels are not 0 and 1 alone")
    return [_measured(table, labels, scores, check) for check in checks]


def _measured(table: pa.Table, labels: NDArray[Any], scores: NDArray[np.float64], check: Fairness) -> dict[str, Any]:
    from fairlearn.metrics import MetricFrame, count, false_positive_rate, selection_rate, true_positive_rate

    groups = np.full(len(labels), "", dtype=object)
    small: dict[str, int] = {}
    for group, rows in rows_by_value(table, check.column):
        if rows.sum() >= check.min_rows:
            groups[rows] = group
        else:
            small[group] = int(rows.sum())
    kept = groups != ""
    told = {"column": check.column, "metric": check.metric.value, "limit": check.limit, "leftOut": small}
    if len(set(groups[kept])) < 2:
        return {**told, "value": None, "groups": {}}
    truth, selected = labels[kept], (scores[kept] >= check.threshold).astype(float)
    rates = {"rows": count, "selectionRate": selection_rate, "truePositiveRate": true_positive_rate,
             "falsePositiveRate": false_positive_rate}  # fmt: skip
    frame = MetricFrame(metrics=rates, y_true=truth, y_pred=selected, sensitive_features=groups[kept])
    found = {
        str(name): {rate: _finite(value) for rate, value in row.items()}
        for name, row in frame.by_group.to_dict(orient="index").items()
    }
    value = _finite(_METRICS[check.metric](truth, selected, groups[kept]))
    return {**told, "value": value, "groups": found}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _of(name: str) -> Any:
    def compute(truth: Any, selected: Any, groups: Any) -> float:
        import fairlearn.metrics

        return float(getattr(fairlearn.metrics, name)(truth, selected, sensitive_features=groups))

    return compute


_METRICS = {metric: _of(metric.value) for metric in FairnessMetric}
