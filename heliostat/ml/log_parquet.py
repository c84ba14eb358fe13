"""Predictions as an Arrow table, and back to what was asked. pyarrow is imported at the first use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from heliostat.ml.log_cells import Cells, row_of
from heliostat.ml.log_columns import Columns, Kind, Shape

_KEY: Final = b"heliostat.columns"
"""Of the schema's metadata: the Columns as JSON."""


@dataclass(frozen=True)
class Row:
    """One prediction."""

    request_id: str
    row: int
    """In the request, from 0."""
    time: dt.datetime
    version: str
    latency_ms: float
    asked: Any
    """As it was sent."""
    answered: Any
    input: Cells
    prediction: Cells

    @property
    def misfit(self) -> str | None:
        """Why cells are empty although there was something; None where there is none such."""
        misfits = {**self.input.misfits, **self.prediction.misfits}
        return "; ".join(f"{name}: {reason}" for name, reason in misfits.items()) or None


def schema_of(columns: Columns) -> Any:
    """The Arrow schema of every file of a contract."""
    import pyarrow as pa

    common = [
        pa.field("request_id", pa.string()),
        pa.field("row", pa.int32()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("version", pa.string()),
        pa.field("latency_ms", pa.float64()),
    ]
    own = [
        pa.field(f"{prefix}_{column.name}", _type(column.kind))
        for prefix, side in (("input", columns.input), ("prediction", columns.prediction))
        for column in side
    ]
    last = [pa.field(name, pa.string()) for name in ("input", "prediction", "misfit")]
    return pa.schema([*common, *own, *last], {_KEY: columns.model_dump_json(exclude_defaults=True)})


def batch_of(rows: Sequence[Row], columns: Columns, schema: Any) -> Any:
    """Predictions as a record batch. What Arrow takes none of is added to their misfits."""
    import pyarrow as pa

    arrays = [pa.array([getattr(row, name) for row in rows], schema.field(name).type) for name in schema.names[:5]]
    for side, count in (("input", len(columns.input)), ("prediction", len(columns.prediction))):
        cells = [getattr(row, side) for row in rows]
        arrays += [_column(cells, place, schema.field(len(arrays) + place)) for place in range(count)]
    arrays += [
        pa.array([None if row.input.whole else to_json(row.asked).decode() for row in rows], pa.string()),
        pa.array([None if row.prediction.whole else to_json(row.answered).decode() for row in rows], pa.string()),
        pa.array([row.misfit for row in rows], pa.string()),
    ]
    return pa.record_batch(arrays, schema)


def asked_in(table: Any) -> Iterator[tuple[str, int, Any]] | None:
    """Request id, row and what was sent, of each prediction; None of a table that says nothing of its columns."""
    try:
        columns = Columns.model_validate_json((table.schema.metadata or {})[_KEY])
    except (KeyError, ValidationError):
        return None
    names = [f"input_{column.name}" for column in columns.input]
    return _asked_in(table.select(["request_id", "row", "input", *names]), columns)


def _asked_in(table: Any, columns: Columns) -> Iterator[tuple[str, int, Any]]:
    for batch in table.to_batches():
        cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        for request_id, row, text, *values in cells:
            yield request_id, row, row_of(values, columns.input) if text is None else from_json(text)


def _type(kind: Kind) -> Any:
    import pyarrow as pa

    if kind.shape is Shape.STRUCT:
        return pa.struct([pa.field(column.name, _type(column.kind)) for column in kind.fields])
    if kind.items is not None:
        entry = _type(kind.items)  # named as Parquet names it, or a file would read back with another schema
        return pa.list_(pa.field("element", entry)) if kind.shape is Shape.LIST else pa.map_(pa.string(), entry)
    plain = {
        Shape.BOOLEAN: pa.bool_(), Shape.INTEGER: pa.int64(), Shape.NUMBER: pa.float64(), Shape.TIME: pa.timestamp("us"),
        Shape.INSTANT: pa.timestamp("us", "UTC"), Shape.DATE: pa.date32(), Shape.CLOCK: pa.time64("us"),
    }  # fmt: skip
    return plain.get(kind.shape, pa.string())


def _column(cells: Sequence[Cells], place: int, field: Any) -> Any:
    import pyarrow as pa

    values = [each.values[place] for each in cells]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):  # one of them: find which, and go on with the rest
        for number, each in enumerate(cells):
            try:
                pa.array([values[number]], field.type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                values[number], each.whole, each.misfits[field.name] = None, False, str(error)
        return pa.array(values, field.type)
