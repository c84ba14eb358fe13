"""Columns of tables that a contract marks as personal, as the prediction log has them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pydantic_core import to_json

from heliostat.serving.prediction_log.columns import Column, Shape
from heliostat.serving.prediction_log.masking import Masking


def treated(values: pa.ChunkedArray, column: Column, masking: Masking) -> pa.Array:
    """What is written in the place of a column's values: numbers where they are rounded, else texts."""
    kind = pa.float64() if column.kind.shape is Shape.NUMBER else pa.string()
    values = values.combine_chunks()
    try:
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    except pa.ArrowNotImplementedError:  # of what is nested, of extensions, and of some more
        rows = values.to_pylist(maps_as_pydicts="lossy")  # as a request has them, for the same to be the same
        return pa.array([_treated(value, column, masking) for value in rows], kind)
    each_once = pa.array([_treated(value, column, masking) for value in encoded.dictionary.to_pylist()], kind)
    return each_once.take(encoded.indices)


def _treated(value: Any, column: Column, masking: Masking) -> Any:
    found = masking.row({column.name: value})[column.name]
    if column.kind.shape is Shape.NUMBER:
        return found if isinstance(found, int | float) else None  # what cannot be rounded is nothing, as in the log
    return found if found is None or isinstance(found, str) else to_json(found).decode()
