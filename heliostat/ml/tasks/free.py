"""An answer of one's own: arrays of any shape, texts, or several of these by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from heliostat.ml.predictions import rows_of
from heliostat.ml.tasks.base import Array, Kind, Truth
from heliostat.spec.metrics import Needs
from heliostat.spec.tasks import Free
from heliostat.systems.errors import PermanentError


class FreeKind(Kind[Free]):
    """Of `Free`."""

    def checked(self, predictions: Any, rows: int) -> Any:
        """The predictions as they are, of as many rows as were asked about."""
        try:
            found = rows_of(predictions)
        except ValueError as error:
            raise PermanentError(str(error)) from None
        if found != rows:
            raise PermanentError(f"the predictor answered {found} rows for {rows}: one a row is needed, rows first")
        return predictions

    def labels(self, column: pa.ChunkedArray) -> Array:  # noqa: D102
        if pa.types.is_nested(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            found = np.empty(len(column), dtype=object)
            found[:] = column.to_pylist()
            return found
        return np.asarray(column.to_numpy())

    def unmet(self, truth: Truth) -> dict[Needs, str]:
        """Nothing: its metrics are the workload's own."""
        return {}
