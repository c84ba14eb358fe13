"""Digest and statistics as they were computed when every snapshot was in memory: what those in parts are held to.

Frozen: a digest is the name of a snapshot for good, and statistics of data that fit into memory stay as they are, to the last
digit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.ml.datasets import Tables

BINS = 20
TOP = 50
DOMAIN = 1_000
"""A text column with more distinct values than this has no domain: it names things instead of sorting them."""


def statistics_of(tables: Any) -> dict[str, Any]:
    """The statistics of each split, and how its label is spread. Histograms share the train split's edges, to compare them."""
    edges: dict[str, NDArray[np.float64]] = {}
    result: dict[str, Any] = {}
    for split, table in tables:
        columns = {name: _column(name, table[name], edges) for name in table.column_names}
        result[split] = {"rows": table.num_rows, "columns": columns, **_balance(table[tables.label])}
    return result


def _balance(label: pa.ChunkedArray) -> dict[str, Any]:
    """How often each class is there; nothing where a label has too many values to be one."""
    counts = pc.value_counts(label)
    if len(counts) > DOMAIN:
        return {}
    balance = {_text(item["values"]): item["counts"] for item in counts.to_pylist()}
    return {"classBalance": dict(sorted(balance.items()))}


def schema_of(table: pa.Table, label: str) -> dict[str, Any]:
    """Type, presence and domain of each column, as the train split has them."""
    columns: dict[str, Any] = {}
    for field in table.schema:
        column = table[field.name]
        entry: dict[str, Any] = {"type": str(field.type), "required": column.null_count == 0, "role": "input"}
        if field.name == label:
            entry["role"] = "label"
        if _is_text(field.type):
            values = sorted(value for value in column.unique().to_pylist() if value is not None)
            if len(values) <= DOMAIN:
                entry["values"] = values
        elif not pa.types.is_boolean(field.type) and column.null_count < len(column):
            bounds = pc.min_max(_numeric(column)).as_py()
            entry["min"], entry["max"] = _number(bounds["min"]), _number(bounds["max"])
        columns[field.name] = entry
    return {"label": label, "columns": columns}


def _column(name: str, column: pa.ChunkedArray, edges: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    common = {"type": str(column.type), "count": len(column) - column.null_count, "missing": column.null_count}
    present = column.drop_null()
    if not len(present):
        return common
    if _is_text(column.type) or pa.types.is_boolean(column.type):
        return {**common, **_categories(present)}
    numbers = _numeric(present).to_numpy().astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return {**common, "notFinite": int(numbers.size)}
    return {**common, "notFinite": int(numbers.size - finite.size), **_numbers(name, finite, edges)}


def _categories(present: pa.ChunkedArray) -> dict[str, Any]:
    counts = sorted(
        ((_text(item["values"]), item["counts"]) for item in pc.value_counts(present).to_pylist()),
        key=lambda item: (-item[1], item[0]),
    )
    return {"distinct": len(counts), "mode": counts[0][0], "top": dict(counts[:TOP])}


def _numbers(name: str, values: NDArray[np.float64], edges: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    distinct, counts = np.unique(values, return_counts=True)
    if name not in edges:
        edges[name] = _edges(values)
    histogram, _ = np.histogram(np.clip(values, edges[name][0], edges[name][-1]), edges[name])
    return {
        "mean": _number(values.mean()),
        "std": _number(values.std()),
        "min": _number(values.min()),
        "max": _number(values.max()),
        "median": _number(np.median(values)),
        "mode": _number(distinct[counts.argmax()]),
        "distinct": int(distinct.size),
        "zeros": int((values == 0).sum()),
        "histogram": {"edges": _all(edges[name]), "counts": [int(count) for count in histogram]},
    }


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of bins of equal width over all that is not far out: beyond three times the distance of the quartiles, as Tukey has it.

    What is far out shares the first or the last bin: one such value would put all others into one bin otherwise.
    """
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.linspace(low, low + 1.0, BINS + 1)
    inner = values
    for numbers in (values, np.unique(values)):  # where most are the same, what is far is told from the others
        first, third = np.quantile(numbers, (0.25, 0.75))
        if third > first:
            with np.errstate(over="ignore"):
                reach = 3 * (third - first)
            inner = values[(values >= first - reach) & (values <= third + reach)]
            break
    inner_low, inner_high = float(inner.min()), float(inner.max())
    below, above = [low] * (inner_low > low), [high] * (inner_high < high)
    return np.concatenate((below, np.linspace(inner_low, inner_high, BINS + 1 - len(below) - len(above)), above))


def _numeric(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as whole units since 1970, so that they have a mean and a histogram too; Arrow knows no least half float."""
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    if pa.types.is_temporal(column.type):
        return column.cast(pa.int64() if column.type.bit_width == 64 else pa.int32())
    return column


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> float | int | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _all(values: Iterable[Any]) -> list[float | int | None]:
    return [_number(value) for value in values]


def content_digest(tables: Tables) -> str:
    """SHA-256 of the values themselves: the same on every machine and for every way of chunking or compressing them."""
    digest = hashlib.sha256(f"label {tables.label}\n".encode())
    for split, table in tables:
        digest.update(f"split {split} {table.num_rows}\n".encode())
        for name in table.column_names:
            _hash_column(digest, name, table[name])
    return digest.hexdigest()


def storable(tables: Tables) -> Tables:
    """With the types that Parquet gives back as they were: it has no time of whole seconds."""
    schema = pa.schema(
        field.with_type(pa.timestamp("ms", field.type.tz)) if str(field.type).startswith("timestamp[s") else field
        for field in tables.train.schema
    )
    return replace(tables, **{split: table.cast(schema) for split, table in tables})


def _hash_column(digest: hashlib._Hash, name: str, column: pa.ChunkedArray) -> None:
    kind = column.type
    digest.update(f"column {name} {kind} {column.null_count}\n".encode())
    if column.null_count:
        digest.update(pc.is_valid(column).to_numpy().astype("u1").tobytes())
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = [value.encode() if value is not None else b"" for value in column.to_pylist()]
        digest.update(pa.array(map(len, text), pa.int64()).to_numpy().astype("<i8").tobytes())
        digest.update(b"".join(text))
        return
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.int64() if column.type.bit_width == 64 else pa.int32())
    values = pc.fill_null(column, 0) if column.null_count else column
    array = values.to_numpy()
    digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
