"""Rows as pandas frames: those of a request and of a snapshot in the names and types that a workload's code was written for.

A layout says, for each field of the rows, what the code calls its column and pandas' name of its type:
`{"mean_radius": ("mean radius", "float64")}`. `inputs` are the fields that an answer depends on; the others, such as the
label, hold placeholders in a request, so that code that drops them works.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

import pandas as pd
import pyarrow as pa

from heliostat.ml.contracts import Columns, columns_of
from heliostat.ml.datasets import Tables

__all__ = ["Layout", "frame", "frame_of", "named", "table", "tables"]

Layout = Mapping[str, tuple[str | int, str]]
"""By field: the column's name in the code, or its place, and its type."""

_TIME: Final = "datetime64"
_PLACEHOLDERS: Final[Mapping[str, Any]] = {"bool": False, "str": "", "object": ""}


def frame(columns: Columns, layout: Layout, inputs: Collection[str]) -> pd.DataFrame:
    """The rows of a request, as the code expects them."""
    rows = len(columns[next(iter(inputs))])
    return pd.DataFrame(
        {
            name: _series(columns[field], kind) if field in inputs else _placeholder(kind, rows)
            for field, (name, kind) in layout.items()
        }
    )


def frame_of(rows: pa.Table, layout: Layout, inputs: Collection[str]) -> pd.DataFrame:
    """The rows of a snapshot's table, as the code expects them."""
    return frame(columns_of(rows), layout, inputs)


def named(rows: pd.DataFrame, layout: Layout, inputs: Collection[str]) -> pd.DataFrame:
    """The inputs of rows by their fields: what a snapshot holds of them."""
    return pd.DataFrame({field: rows[layout[field][0]] for field in inputs})


def table(rows: pd.DataFrame) -> pa.Table:
    """A frame as a snapshot holds it: without its index, categories as text."""
    plain = rows.copy()
    for name in plain:
        if isinstance(plain[name].dtype, pd.CategoricalDtype) or plain[name].dtype == object:
            plain[name] = plain[name].astype("str")
    return pa.Table.from_pandas(plain, preserve_index=False).replace_schema_metadata(None)


def tables(
    train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame, label: str, notes: tuple[str, ...] = ()
) -> Tables:
    """A snapshot's tables, of three frames with the same columns."""
    first = table(train)
    return Tables(first, table(validation).cast(first.schema), table(test).cast(first.schema), label, notes)


def _series(values: Any, kind: str) -> Any:
    if kind.startswith(_TIME):
        return pd.to_datetime(pd.Series(values, dtype="float64"), unit="s").astype(cast("Any", kind))
    return pd.Series(values, dtype=cast("Any", kind or None))


def _placeholder(kind: str, rows: int) -> Any:
    return _series([_PLACEHOLDERS.get(kind, 0)] * rows, kind)
