"""A workload's own transformation, called by name: from the columns of a predictor to those that its model is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from heliostat.ml.contracts import Columns, load_entry_point
from heliostat.spec.base import EntryPoint
from heliostat.systems.errors import PermanentError


class TransformationError(PermanentError):
    """A transformation that cannot be had, fails on these rows, or returns something else than their columns."""


def transformed(by: EntryPoint, columns: Columns, rows: int) -> pa.Table:
    """What the function makes of the columns of so many rows.

    Raises:
        TransformationError: it does not, and why.
    """
    try:
        function = load_entry_point(by)
    except (ImportError, ValueError) as error:
        raise TransformationError(f"the transformation {by} cannot be loaded: {error}") from error
    try:
        found = function(columns)
    except Exception as error:
        raise TransformationError(f"{by} fails on {rows:,} rows: {type(error).__name__}: {error}") from error
    if isinstance(found, pa.Table):
        table = found
    elif isinstance(found, Mapping):
        try:
            table = pa.table({name: _column(values) for name, values in found.items()})
        except (pa.ArrowException, TypeError) as error:
            raise TransformationError(f"{by} returned columns that are none: {error}") from error
    else:
        raise TransformationError(f"{by} returned {type(found).__name__}: it must return columns by name, or a pyarrow.Table")
    if table.num_rows != rows:
        raise TransformationError(f"{by} made {table.num_rows:,} rows of {rows:,}: it must keep each")
    return table


def _column(values: Any) -> Any:
    """A column for Arrow; of an array with rows first and more behind them a list for each row."""
    return list(values) if isinstance(values, np.ndarray) and values.ndim > 1 else values
