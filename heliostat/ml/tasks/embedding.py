"""A vector: labels and predictions are lists of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.ml.tasks.base import Array, Kind, Truth, rows_with, several_a_row
from heliostat.spec.metrics import Needs
from heliostat.spec.tasks import Embedding


def _cosine(truth: Truth, found: Array) -> float:
    lengths = np.linalg.norm(truth.labels, axis=1) * np.linalg.norm(found, axis=1)
    products = (truth.labels * found).sum(axis=1)
    return float(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean())


class EmbeddingKind(Kind[Embedding]):
    """Of `Embedding`."""

    compute: ClassVar[dict[str, Callable[..., float]]] = {
        "cosine_similarity": _cosine,
        "mean_squared_error": lambda truth, found: float(np.mean((found - truth.labels) ** 2)),
    }

    def checked(self, predictions: Any, rows: int) -> Array:  # noqa: D102
        return several_a_row(predictions, rows, self.task.columns, f"a vector of {self.task.dimensions} numbers")

    def labels(self, column: pa.ChunkedArray) -> Array:
        """`(rows, dimensions)`."""
        values = pc.list_flatten(column).cast(pa.float64()).to_numpy()
        return np.asarray(values, dtype=np.float64).reshape(len(column), self.task.dimensions)

    def wrong_values(self, column: pa.ChunkedArray) -> dict[str, int]:  # noqa: D102
        wrong = int(pc.sum(pc.not_equal(pc.list_value_length(column), self.task.dimensions)).as_py() or 0)
        missing = rows_with(column, pc.is_null(pc.list_flatten(column)))
        return {f"is no list of {self.task.dimensions} numbers": wrong, "holds missing numbers": missing}

    def unmet(self, truth: Truth) -> dict[Needs, str]:
        """Nothing: its metrics are defined on any vectors."""
        return {}

    def statistics(self, truth: Truth) -> dict[str, Any]:  # noqa: D102
        return {"meanLength": float(np.linalg.norm(truth.labels, axis=1).mean()) if len(truth.labels) else None}
