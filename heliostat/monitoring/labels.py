"""Labels as a table, column by column: what of it is a label, what is none yet, and what never will be one.

The form is that of `heliostat.ml.ground_truth`, with more columns where whoever writes it has them: `time`, when the truth
became known, by which the newest of several labels of a row is told, and clocks that are apart; and `weight`, one over the
chance with which the answer was chosen to be looked at, of all requests, of which the share `logged` is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.columns import reads_as_number

LABELS: Final = pa.schema([
    pa.field("request_id", pa.string()),
    pa.field("row", pa.int32()),
    pa.field("label", pa.float64()),
    pa.field("known", pa.timestamp("us", "UTC")),
    pa.field("weight", pa.float64()),
])  # fmt: skip
"""What `labels_in` makes of any table of labels."""
_TRUTHS: Final = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Labels:
    """The labels of a table."""

    table: pa.Table
    """Of the schema `LABELS`; `known` and `weight` are null where the table does not say them."""
    awaited: int = 0
    """Rows whose label is not known yet."""
    wrong: int = 0
    """Rows that are no labels."""
    problem: str = ""
    """Why, with an example; empty where all are."""


def labels_in(table: pa.Table, classes: tuple[str, ...] = ()) -> Labels:
    """The labels in a table with `request_id`, `label`, and with what of `LABELS` is there beside; never raises.

    A label is a number, a boolean, or one of `classes`, which becomes its place among them.
    """
    lacking = [name for name in ("request_id", "label") if name not in table.column_names]
    if lacking:
        text = f"it has no column {' and no '.join(lacking)}, but {', '.join(table.column_names) or 'none'}"
        return Labels(LABELS.empty_table(), wrong=table.num_rows, problem=text)
    table = _with_plain_texts(table)
    ids = _texts(table["request_id"])
    numbers, unreadable = _labels(table["label"], classes)
    given = table["row"] if "row" in table.column_names else None
    rows, off = _rows(given, table.num_rows)
    anonymous = np.asarray(pc.or_(pc.is_null(ids), pc.equal(ids, "").fill_null(True)).to_numpy(), dtype=bool)
    wrong = {
        "has no request_id": anonymous,
        "has a row that is no number from 0": off,
        "has a label that is no finite number" + (" and none of the classes" if classes else ""): unreadable,
    }
    bad = anonymous | off | unreadable
    awaited = np.isnan(numbers) & ~bad
    keep = pa.array(~bad & ~awaited)
    known = _times(table["time"]) if "time" in table.column_names else pa.nulls(table.num_rows, LABELS.field("known").type)
    columns = [ids, pa.array(rows, pa.int32()), pa.array(numbers), known, _weights(table)]
    found = pa.table(columns, schema=LABELS).filter(keep)
    return Labels(found, int(awaited.sum()), int(bad.sum()), _example(table, wrong))


def _with_plain_texts(table: pa.Table) -> pa.Table:
    """The same with texts of one type: Polars writes others than pandas."""
    for place, column in enumerate(table.schema):
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            table = table.set_column(place, column.name, table.column(place).cast(pa.string()))
    return table


def _example(table: pa.Table, wrong: dict[str, Any]) -> str:
    total = int(np.logical_or.reduce(list(wrong.values())).sum())
    for reason, rows in wrong.items():
        if rows.any():
            place = int(rows.argmax())
            values = {
                name: table[name][place].as_py() for name in ("request_id", "row", "label") if name in table.column_names
            }
            return f"{total} of {table.num_rows} rows are no labels, as the one at {place}, which {reason}: {values}"[:300]
    return ""


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_nested(kind):
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    return column.cast(pa.string())


def _labels(column: pa.ChunkedArray, classes: tuple[str, ...]) -> tuple[Any, Any]:
    """The labels as numbers, NaN for those that are awaited, and which are none at all."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):  # large ones out of a dictionary
        return _from_texts(column.cast(pa.string()), classes)
    if pa.types.is_nested(kind) or not (reads_as_number(kind) or pa.types.is_null(kind)):
        return np.full(len(column), np.nan), np.asarray(pc.is_valid(column).to_numpy(), dtype=bool)
    numbers = np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    return numbers, np.isinf(numbers)


def _from_texts(column: pa.ChunkedArray, classes: tuple[str, ...]) -> tuple[Any, Any]:
    encoded = column.combine_chunks().dictionary_encode()  # a label is one of few: each text is looked at once
    values = [_number(text.strip(), classes) for text in encoded.dictionary.to_pylist()]
    numbers = np.array([np.nan if value is None or np.isinf(value) else value for value in values] or [np.nan])
    wrong = np.array([value is not None and np.isinf(value) for value in values] or [False])
    places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    missing = encoded.indices.is_null().to_numpy(zero_copy_only=False)
    return np.where(missing, np.nan, numbers[places]), wrong[places] & ~missing


def _number(text: str, classes: tuple[str, ...]) -> float | None:
    """A label out of text; infinity for what is none, None for what is not known yet."""
    if text in classes:
        return float(classes.index(text))
    if not text:
        return None
    try:
        found = _TRUTHS[text.lower()] if text.lower() in _TRUTHS else float(text)
    except ValueError:
        return np.inf
    return None if np.isnan(found) else found


def _rows(column: pa.ChunkedArray | None, count: int) -> tuple[Any, Any]:
    """The rows in their requests, 0 where none is said, and which are no whole numbers from 0."""
    if column is None or pa.types.is_null(column.type):
        return np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    unsaid = pc.is_null(column, nan_is_null=True)
    if pa.types.is_string(column.type):
        unsaid = pc.or_(unsaid, pc.equal(column, "").fill_null(True))
        column = _each(column, float)
    elif not reads_as_number(column.type):
        return np.zeros(count, dtype=np.int64), np.asarray(pc.invert(unsaid).to_numpy(), dtype=bool)
    silent = np.asarray(unsaid.to_numpy(), dtype=bool)
    numbers = np.where(silent, 0.0, column.cast(pa.float64(), safe=False).to_numpy())
    fits = np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers)) & (numbers < 2**31)
    return np.where(fits, numbers, 0).astype(np.int64), ~fits


def _weights(table: pa.Table) -> pa.Array:
    """One over the chance of each row among those that are logged; null where it says none that can be one."""
    weight = _floats(table, "weight")
    share = _floats(table, "logged")
    weight *= np.where((share > 0) & (share <= 1), share, 1.0)
    usable = np.isfinite(weight) & (weight > 0)
    return pa.array(np.where(usable, weight, 0.0), pa.float64(), mask=~usable)


def _floats(table: pa.Table, name: str) -> Any:
    """A column as numbers, NaN for what is none."""
    column = table[name] if name in table.column_names else None
    if column is not None and pa.types.is_string(column.type):
        column = _each(column, float)
    if column is None or not reads_as_number(column.type):
        return np.full(table.num_rows, np.nan)
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times in UTC; null where there is none that can be read."""
    wanted = LABELS.field("known").type
    try:
        if pa.types.is_string(column.type):
            return pa.chunked_array([[_time(text) for text in column.to_pylist()]], wanted)
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):  # seconds since 1970, as scripts write them
            column = pc.multiply(column.cast(pa.float64()), 1e6).cast(pa.int64(), safe=False)
        return column.cast(wanted, safe=False)
    except (pa.ArrowException, ValueError):
        return pa.chunked_array([pa.nulls(len(column), wanted)])


def _time(text: str | None) -> datetime | None:
    """A time as ISO 8601 writes it, UTC where it has no zone."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter of a moment that the calendar has in its own zone alone
        return None


def _each(column: pa.ChunkedArray, convert: Callable[[str], float]) -> pa.ChunkedArray:
    """Texts one by one as numbers, NaN for what is none."""

    def number(text: str | None) -> float:
        try:
            return convert(text or "nan")
        except ValueError:
            return float("inf")

    return pa.chunked_array([[number(text) for text in column.to_pylist()]], pa.float64())
