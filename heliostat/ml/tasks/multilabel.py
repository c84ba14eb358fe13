"""Any of several labels at once: labels are rows of 0 and 1, predictions a probability for each."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.ml.tasks.base import Array, Compute, Kind, Truth, probabilities, rows_with, several_a_row
from heliostat.spec.metrics import Needs
from heliostat.spec.tasks import Multilabel

_MOST_SHOWN: Final = 5


class MultilabelKind(Kind[Multilabel]):
    """Of `Multilabel`."""

    def checked(self, predictions: Any, rows: int) -> Array:  # noqa: D102
        what = f"a probability for each of {len(self.task.labels)} labels"
        return probabilities(several_a_row(predictions, rows, self.task.labels, what))

    def labels(self, column: pa.ChunkedArray) -> Array:
        """`(rows, labels)` of 0 and 1."""
        rows, width = len(column), len(self.task.labels)
        values = pc.list_flatten(column)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_dictionary(values.type):
            found = np.zeros((rows, width), dtype=np.int64)
            places = pc.index_in(values.cast(pa.string()), value_set=pa.array(self.task.labels, pa.string()))
            found[pc.list_parent_indices(column).to_numpy(), places.to_numpy()] = 1
            return found
        return np.asarray(values.cast(pa.int64()).to_numpy(), dtype=np.int64).reshape(rows, width)

    def wrong_values(self, column: pa.ChunkedArray) -> dict[str, int]:  # noqa: D102
        values, width = pc.list_flatten(column), len(self.task.labels)
        found = {"holds missing values": rows_with(column, pc.is_null(values))}
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_dictionary(values.type):
            text, known = values.cast(pa.string()), pa.array(self.task.labels, pa.string())
            others = pc.and_(pc.invert(pc.is_in(text, value_set=known)), pc.is_valid(text))
            shown = ", ".join(map(repr, pc.unique(pc.filter(text, others)).to_pylist()[:_MOST_SHOWN]))
            reason = f"holds {shown}, none of the task's labels (declare them or leave them out)"
            return found | {reason: rows_with(column, others)}
        short = int(pc.sum(pc.not_equal(pc.list_value_length(column), width)).as_py() or 0)
        flags = pc.is_in(values.cast(pa.float64()), value_set=pa.array([0.0, 1.0]))
        return found | {
            f"is no list of {width}, a 0 or 1 for each of the task's labels,": short,
            "holds what is neither 0 nor 1": rows_with(column, pc.and_(pc.invert(flags), pc.is_valid(values))),
        }

    def unmet(self, truth: Truth) -> dict[Needs, str]:  # noqa: D102
        alike = [name for name, each in zip(self.task.labels, truth.labels.T, strict=True) if each.min() == each.max()]
        if not alike:
            return {}
        return {Needs.UNLIKE: f"the label {', '.join(alike[:_MOST_SHOWN])} is true of all {len(truth.labels)} rows or of none"}

    def statistics(self, truth: Truth) -> dict[str, Any]:  # noqa: D102
        counts = truth.labels.sum(axis=0)
        per_row = float(truth.labels.sum(axis=1).mean()) if len(truth.labels) else None
        return {
            "counts": {name: int(count) for name, count in zip(self.task.labels, counts, strict=True)},
            "perRow": per_row,
        }

    def metric(self, name: str) -> Compute:  # noqa: D102
        if name in ("roc_auc", "average_precision"):
            return lambda truth, found: _area(name, truth.labels, found)
        return lambda truth, found: _of_the_labels(name, truth.labels, found >= 0.5)


def _area(name: str, labels: Array, found: Array) -> float:
    from sklearn import metrics

    return float(getattr(metrics, f"{name}_score")(labels, found, average="macro"))


def _of_the_labels(name: str, labels: Array, told: Array) -> float:
    from sklearn import metrics

    if name == "accuracy":
        return float((labels == told).all(axis=1).mean())
    if name == "hamming_loss":
        return float((labels != told).mean())
    figure, _, average = name.partition("_")
    return float(getattr(metrics, f"{figure}_score")(labels, told, average=average, zero_division=0))
