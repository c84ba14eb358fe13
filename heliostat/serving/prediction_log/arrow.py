"""Predictions as an Arrow table, and back to what was asked. pyarrow is imported at the first use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from heliostat.serving.prediction_log.cells import Cells, cells_of, row_of
from heliostat.serving.prediction_log.columns import Column, Columns, Kind, Shape

_KEY: Final = b"heliostat.columns"
"""Of the schema's metadata: the Columns as JSON."""
_COMMON: Final = 5
"""The first columns, which do not come from the contract."""
_CHANGE: Final = ("step", "version", "outcome", "reason", "removed")
"""What one step did to one answer."""


@dataclass
class Batch:
    """Predictions, column by column."""

    request_id: list[str] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    """In the request, from 0."""
    time: list[int] = field(default_factory=list)
    """Unix time in microseconds."""
    version: list[str] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    """Rows as they were sent."""
    answered: list[Any] = field(default_factory=list)
    model_answered: list[Any] = field(default_factory=list)
    """What the model answered, before the steps behind it."""
    changes: list[list[dict[str, Any]]] = field(default_factory=list)
    """What steps did to each answer; see `heliostat.serving.postprocessing.Change`."""

    def __len__(self) -> int:
        return len(self.row)


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
    sides = _sides(columns)
    own = [pa.field(f"{side}_{column.name}", _type(column.kind)) for side, those in sides.items() for column in those]
    last = [pa.field(name, pa.string()) for name in (*sides, "misfit")]
    change = pa.struct([pa.field(name, pa.int64() if name == "removed" else pa.string()) for name in _CHANGE])
    changes = [pa.field("changes", pa.list_(pa.field("element", change)))] if columns.postprocessed else []
    return pa.schema([*common, *own, *last, *changes], {_KEY: columns.model_dump_json(exclude_defaults=True)})


def _sides(columns: Columns) -> dict[str, tuple[Column, ...]]:
    """The contract's columns, by what their names begin with."""
    before = {"model_prediction": columns.prediction} if columns.postprocessed else {}
    return {"input": columns.input, "prediction": columns.prediction, **before}


def record_batch(batch: Batch, columns: Columns, schema: Any) -> tuple[Any, dict[str, str]]:
    """Predictions as an Arrow record batch, and an example of what does not fit, by column."""
    import pyarrow as pa

    names = schema.names
    arrays = [pa.array(getattr(batch, name), schema.field(name).type) for name in names[:_COMMON]]
    whole = []
    misfits: dict[int, dict[str, str]] = {}
    given = {"input": batch.asked, "prediction": batch.answered, "model_prediction": batch.model_answered}
    for name, side in _sides(columns).items():
        rows = given[name]
        own = names[len(arrays) : len(arrays) + len(side)]
        cells = cells_of(rows, side, own)
        arrays += [_array(values, schema.field(name), cells) for values, name in zip(cells.columns, own, strict=True)]
        whole.append([None if fits else to_json(row).decode() for fits, row in zip(cells.whole, rows, strict=True)])
        for row, found in cells.misfits.items():
            misfits.setdefault(row, {}).update(found)
    told = [
        "; ".join(f"{name}: {why}" for name, why in misfits[row].items()) if row in misfits else None
        for row in range(len(batch))
    ]
    arrays += [pa.array(texts, pa.string()) for texts in (*whole, told)]
    if columns.postprocessed:
        arrays.append(pa.array(batch.changes, schema.field("changes").type))
    examples = {name: why for found in reversed(misfits.values()) for name, why in found.items()}
    return pa.record_batch(arrays, schema), examples


def asked_in(table: Any) -> Iterator[tuple[str, int, Any]] | None:
    """Request id, row and what was sent, of each prediction; None of a table that says nothing of its columns."""
    columns = columns_in(table.schema)
    if columns is None:
        return None
    names = [f"input_{column.name}" for column in columns.input]
    return _asked_in(table.select(["request_id", "row", "input", *names]), columns)


def columns_in(schema: Any) -> Columns | None:
    """What the Arrow schema of a file says of its columns; None where it says nothing."""
    try:
        return Columns.model_validate_json((schema.metadata or {})[_KEY])
    except (KeyError, ValidationError):
        return None


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


def _array(values: list[Any], field: Any, cells: Cells) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):  # one of them: find which, and go on with the rest
        for row, value in enumerate(values):
            try:
                pa.array([value], field.type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                values[row] = None
                cells.miss(row, field.name, str(error))
        return pa.array(values, field.type)
