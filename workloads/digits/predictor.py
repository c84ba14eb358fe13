"""How the digits model answers: with NumPy alone, so that a replica does without JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.arrays import ArrayModel
from heliostat.ml.contracts import Columns
from workloads.digits.model import SIZE, probabilities

IMAGE = "image"


def images_of(columns: Columns) -> NDArray[np.float32]:
    """The images as one array, `(rows, 8, 8)`, whatever they came in: lists of a request, or a table's column."""
    column: Any = columns[IMAGE]
    if not (isinstance(column, np.ndarray) and column.dtype != object):
        column = np.array([[list(row) for row in image] for image in column], dtype=np.float32)
    return np.asarray(column, dtype=np.float32).reshape(-1, SIZE, SIZE)


class Model(ArrayModel):
    """The network's weights, by layer."""

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """The probability of each digit: `(rows, 10)`."""
        weights = {name: array.astype(np.float64) for name, array in self.arrays.items()}
        return np.asarray(probabilities(np, weights, images_of(columns)), dtype=np.float64)
