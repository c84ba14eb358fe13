"""Yes or no: labels are 0 and 1, predictions probabilities of 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.ml.tasks.base import Array, Compute, Kind, Truth, one_a_row, probabilities, sklearn
from heliostat.spec.tasks import Binary


def _log_loss(truth: Truth, scores: Array) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(truth.labels, np.clip(scores, 1e-15, 1 - 1e-15), labels=[0, 1]))


def _at_half(name: str, **arguments: Any) -> Compute:
    compute = sklearn(name, **arguments)
    return lambda truth, scores: compute(truth, scores >= 0.5)


def mean_bias(truth: Truth, scores: Array) -> float:
    """How far the mean prediction is from the mean label."""
    return float(abs(scores.mean() - truth.labels.mean()))


def _balanced_accuracy(truth: Truth, scores: Array) -> float:
    told = scores >= 0.5
    recalls = [float((told[truth.labels == label] == bool(label)).mean()) for label in (0, 1) if (truth.labels == label).any()]
    return float(np.mean(recalls))


class BinaryKind(Kind[Binary]):
    """Of `Binary`."""

    compute: ClassVar[dict[str, Callable[..., float]]] = {
        "roc_auc": sklearn("roc_auc_score"),
        "average_precision": sklearn("average_precision_score"),
        "log_loss": _log_loss,
        "brier_score": lambda truth, scores: float(np.mean((scores - truth.labels) ** 2)),
        "accuracy": _at_half("accuracy_score"),
        "balanced_accuracy": _balanced_accuracy,
        "f1": _at_half("f1_score", zero_division=0),
        "precision": _at_half("precision_score", zero_division=0),
        "recall": _at_half("recall_score", zero_division=0),
        "matthews_corrcoef": _at_half("matthews_corrcoef"),
        "mean_bias": mean_bias,
    }

    def checked(self, predictions: Any, rows: int) -> Array:  # noqa: D102
        return probabilities(one_a_row(predictions, rows))

    def wrong_values(self, column: pa.ChunkedArray) -> dict[str, int]:  # noqa: D102
        if pa.types.is_boolean(column.type):
            return {}
        others = pc.filter(column, pc.invert(pc.is_in(column, value_set=pa.array([0, 1]).cast(column.type))))
        if not len(others):
            return {}
        return {f"is {others[0].as_py()}, neither 0 nor 1 (declare Multiclass or Regression, or mend it)": len(others)}

    def statistics(self, truth: Truth) -> dict[str, Any]:  # noqa: D102
        return {"share": float(truth.labels.mean()) if len(truth.labels) else None}
