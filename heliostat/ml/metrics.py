"""The figures by which models are judged, and which direction of each is better.

Labels that are 0 and 1 alone are classes, and a score is the probability of 1; other labels are numbers, and so are scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.spec.analysis import metrics_for
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


def _sklearn(name: str) -> Callable[[Labels, Scores], float]:
    def compute(labels: Labels, scores: Scores) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(labels, scores))

    return compute


def _log_loss(labels: Labels, scores: Scores) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(labels, np.clip(scores, 1e-15, 1 - 1e-15), labels=[0, 1]))


def _at_half(name: str) -> Callable[[Labels, Scores], float]:
    def compute(labels: Labels, scores: Scores) -> float:
        from sklearn import metrics

        arguments = {} if name == "accuracy_score" else {"zero_division": 0}
        return float(getattr(metrics, name)(labels, scores >= 0.5, **arguments))

    return compute


METRICS: Final[Mapping[str, Metric]] = {
    "roc_auc": Metric(_sklearn("roc_auc_score"), True, True),
    "pr_auc": Metric(_sklearn("average_precision_score"), True, True),
    "log_loss": Metric(_log_loss, False),
    "brier": Metric(lambda labels, scores: float(np.mean((scores - labels) ** 2)), False),
    "accuracy": Metric(_at_half("accuracy_score"), True),
    "precision": Metric(_at_half("precision_score"), True),
    "recall": Metric(_at_half("recall_score"), True),
    "f1": Metric(_at_half("f1_score"), True),
    "mean_bias": Metric(lambda labels, scores: float(abs(scores.mean() - labels.mean())), False),
    "rmse": Metric(lambda labels, scores: float(np.sqrt(np.mean((scores - labels) ** 2))), False),
    "mae": Metric(lambda labels, scores: float(np.mean(np.abs(scores - labels))), False),
    "r2": Metric(_sklearn("r2_score"), True, True),
}
"""By name."""


def metric_of(name: str) -> Metric:
    """The metric called `name`.

    Raises:
        PermanentError: there is none.
    """
    if name not in METRICS:
        raise PermanentError(f"there is no metric {name!r}; there are {', '.join(METRICS)}")
    return METRICS[name]


def metrics_of(labels: Labels) -> list[str]:
    """The metrics that are defined on these labels."""
    unlike = bool((labels != labels[0]).any())
    names = metrics_for(two_classes=has_two_classes(labels))
    return [name for name in names if unlike or not METRICS[name].needs_unlike]


def has_two_classes(labels: Labels) -> bool:
    """Whether labels are 0 and 1 alone."""
    return bool(np.isin(labels, (0.0, 1.0)).all())


def overall(labels: Labels, scores: Scores) -> dict[str, float]:
    """Every metric that is defined on these labels.

    Raises:
        PermanentError: scores that are no finite numbers, or not as many as labels.
    """
    _check(labels, scores)
    return {name: METRICS[name].compute(labels, scores) for name in metrics_of(labels)}


def by_slice(table: pa.Table, labels: Labels, scores: Scores, metric: str, slices: Sequence[Slice]) -> dict[str, Any]:
    """`{column: {value: {rows, value}}}` of one metric, for the values with enough rows where it is defined.

    Raises:
        PermanentError: a slice of a column that the data lacks.
    """
    _check(labels, scores)
    chosen, result = metric_of(metric), {}
    for item in slices:
        if item.column not in table.column_names:
            raise PermanentError(f"a slice names the column {item.column!r}; the data has {', '.join(table.column_names)}")
        encoded = table[item.column].cast(pa.string()).combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        found: dict[str, dict[str, float]] = {}
        for code, value in enumerate(encoded.dictionary.to_pylist()):
            rows = codes == code
            if rows.sum() >= item.min_rows and not (chosen.needs_unlike and len(np.unique(labels[rows])) < 2):
                found[str(value)] = {"rows": int(rows.sum()), "value": chosen.compute(labels[rows], scores[rows])}
        result[item.column] = dict(sorted(found.items()))
    return result


def _check(labels: Labels, scores: Scores) -> None:
    if labels.shape != scores.shape:
        raise PermanentError(f"there are {scores.shape} scores for {labels.shape} labels: one score a row is needed")
    if not np.isfinite(scores).all():
        raise PermanentError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are no finite number")
