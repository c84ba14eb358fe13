"""What a split holds, in figures and as a schema: plain JSON that people read and monitors compare with.

Every figure is exact, whatever the number of rows: a column is read once, in pieces, and the values of one column at a time
are sorted on disk where memory does not hold them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.ml.snapshots import distributions
from heliostat.ml.snapshots.distributions import Distribution, Moments
from heliostat.ml.snapshots.splits import Split
from heliostat.ml.snapshots.value_counts import ValueCounts, counted
from heliostat.ml.tasks.base import is_list
from heliostat.ml.tasks.evaluation import kind_of
from heliostat.spec.tasks import DeclaredTask, Task

BINS = 20
TOP = 50
_NOBODYS = ("type", "count", "missing", "notFinite", "distinct", "mean", "std", "lengths")
"""Figures that are no single row's value."""
_VALUES = ("values", "min", "max")
"""What a schema has of them."""
DOMAIN = 1_000
"""A text column with more distinct values than this has no domain: it names things instead of sorting them."""


def of(
    splits: Mapping[str, Split], label: str, folder: Path, task: DeclaredTask = None, personal: Collection[str] = ()
) -> dict[str, Any]:
    """The statistics of each split, and how its label is spread. Histograms share the train split's edges, to compare them.

    With a task, each split has a `label`: what the task tells of its own label, and which metrics are not defined on it.

    Of `personal` columns values are counted, and none is told.

    `folder` takes what memory does not hold: 32 bytes for each distinct value of a column of numbers.
    """
    edges: dict[str, NDArray[np.float64]] = {}
    result: dict[str, Any] = {}
    for name, split in splits.items():
        columns = {column: _column(column, split, edges, folder) for column in split.schema.names}
        result[name] = {"rows": split.rows, "columns": columns, **_balance(split.column(label))}
        if task is not None:
            result[name]["label"] = label_of(split, label, task)
    return without_values(result, personal)


def without_values(statistics: Mapping[str, Any], personal: Collection[str]) -> dict[str, Any]:
    """Statistics that tell no value of `personal` columns, which were counted."""

    def counted(columns: Mapping[str, Any]) -> dict[str, Any]:
        nobodys = {name: {key: columns[name][key] for key in columns[name] if key in _NOBODYS} for name in columns}
        return {name: nobodys[name] if name in personal else columns[name] for name in columns}

    return {split: {**found, "columns": counted(found["columns"])} for split, found in statistics.items()}


def columns_for(task: Task, label: str, split: Split) -> pa.Table:
    """The label, and the columns that a task names, as far as they are there."""
    names = [name for name in dict.fromkeys((label, *task.columns_needed)) if name in split.schema.names]
    pieces = {name: [chunk for piece in split.column(name) for chunk in piece.chunks] for name in names}
    return pa.table({name: pa.chunked_array(chunks) if chunks else pa.array([]) for name, chunks in pieces.items()})


def label_of(split: Split, label: str, task: Task) -> dict[str, Any]:
    """What a task tells of a label, as JSON: its statistics, and what metrics may need of labels that these do not have."""
    kind = kind_of(task)
    truth = kind.truth(columns_for(task, label, split), label)
    unmet = {str(need): reason for need, reason in kind.unmet(truth).items()}
    return {"kind": task.kind, "unmet": unmet, **kind.statistics(truth)}


def _balance(label: Iterable[pa.ChunkedArray]) -> dict[str, Any]:
    """How often each class is there; nothing where a label has too many values to be one, or several in a row."""
    counts: Counter[Any] = Counter()
    for piece in label:
        if is_list(piece.type):
            return {}
        counts.update({item["values"]: item["counts"] for item in pc.value_counts(piece).to_pylist()})
        if len(counts) > DOMAIN:
            return {}
    balance = {_text(value): count for value, count in counts.items()}
    return {"classBalance": dict(sorted(balance.items()))}


def schema_of(split: Split, label: str, personal: Collection[str] = ()) -> dict[str, Any]:
    """Type, presence and domain of each column, as the train split has them; no domain and no bounds of `personal` ones."""
    columns: dict[str, Any] = {}
    for field in split.schema:
        missing = split.null_count(field.name)
        entry: dict[str, Any] = {"type": str(field.type), "required": missing == 0, "role": "input"}
        if field.name == label:
            entry["role"] = "label"
        if field.name in personal:
            pass  # nor is it looked for
        elif _is_text(field.type):
            values = _domain(split.column(field.name))
            if len(values) <= DOMAIN:
                entry["values"] = sorted(values)
        elif not (pa.types.is_boolean(field.type) or is_list(field.type)) and missing < split.rows:
            entry["min"], entry["max"] = _bounds(split.column(field.name))
        columns[field.name] = entry
    return {"label": label, "columns": columns}


def without_domains(schema: Mapping[str, Any], personal: Collection[str]) -> dict[str, Any]:
    """A schema that has no domain and no bounds of `personal` columns."""
    columns: Mapping[str, Any] = schema["columns"]
    told = {
        name: {key: value for key, value in entry.items() if name not in personal or key not in _VALUES}
        for name, entry in columns.items()
    }
    return {**schema, "columns": told}


def _domain(pieces: Iterable[pa.ChunkedArray]) -> set[Any]:
    """The values that are there; no more are looked for once there are too many."""
    found: set[Any] = set()
    for piece in pieces:
        values = (value for value in piece.unique().to_pylist() if value is not None)
        found.update(value if isinstance(value, str | int | float) else _text(value) for value in values)
        if len(found) > DOMAIN:
            break
    return found


def _bounds(pieces: Iterable[pa.ChunkedArray]) -> list[float | int | None]:
    """The least and the greatest value that is a number."""
    found = [pc.min_max(_numeric(piece)).as_py() for piece in pieces if piece.null_count < len(piece)]
    least, greatest = (pa.array([float(bounds[end]) for bounds in found]) for end in ("min", "max"))
    return _all([pc.min(least).as_py(), pc.max(greatest).as_py()])


def _column(name: str, split: Split, edges: dict[str, NDArray[np.float64]], folder: Path) -> dict[str, Any]:
    kind, missing = split.schema.field(name).type, split.null_count(name)
    present = split.rows - missing
    common = {"type": str(kind), "count": present, "missing": missing}
    if not present:
        return common
    if is_list(kind):
        return {**common, "lengths": _lengths(split.column(name))}
    if _is_text(kind) or pa.types.is_boolean(kind):
        return {**common, **_categories(split.column(name), folder)}
    found = distributions.described(map(_finite, split.column(name)), folder)
    if found is None:
        return {**common, "notFinite": present}
    moments, distribution = found
    if name not in edges:
        edges[name] = _edges(distribution)
    return {**common, "notFinite": present - moments.count, **_numbers(moments, distribution, edges[name])}


def _lengths(pieces: Iterable[pa.ChunkedArray]) -> dict[str, int]:
    found = [pc.min_max(pc.list_value_length(piece)).as_py() for piece in pieces if piece.null_count < len(piece)]
    return {"min": min(each["min"] for each in found), "max": max(each["max"] for each in found)}


def _categories(pieces: Iterable[pa.ChunkedArray], folder: Path) -> dict[str, Any]:
    counts = ValueCounts(folder)
    for piece in pieces:
        values, numbers = counted(piece)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            counts.add(values.cast(pa.large_string()), numbers)
        else:
            counts.add(pa.array(map(_text, values.to_pylist()), pa.large_string()), numbers)
    distinct, top = 0, None
    for table in counts.merged():
        distinct += table.num_rows
        best = pa.concat_tables([top, table]) if top else table
        order = pc.select_k_unstable(best, TOP, sort_keys=[("count", "descending"), ("value", "ascending")])
        top = best.take(order)
    most = {item["value"]: item["count"] for item in top.to_pylist()} if top else {}
    return {"distinct": distinct, "mode": next(iter(most), None), "top": most}


def _finite(piece: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = _numeric(piece.drop_null()).to_numpy().astype(np.float64)
    return numbers[np.isfinite(numbers)]


def _numbers(moments: Moments, distribution: Distribution, edges: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "mean": _number(moments.mean),
        "std": _number(moments.deviation),
        "min": _number(distribution.values[0]),
        "max": _number(distribution.values[-1]),
        "median": _number(distribution.median),
        "mode": _number(distribution.mode),
        "distinct": len(distribution.values),
        "zeros": distribution.not_above(0) - distribution.below(0),
        "histogram": {"edges": _all(edges), "counts": distribution.histogram(edges)},
    }


def _edges(distribution: Distribution) -> NDArray[np.float64]:
    """Of bins of equal width over all that is not far out: beyond three times the distance of the quartiles, as Tukey has it.

    What is far out shares the first or the last bin: one such value would put all others into one bin otherwise.
    """
    low, high = float(distribution.values[0]), float(distribution.values[-1])
    if high <= low:
        return np.linspace(low, low + 1.0, BINS + 1)
    inner_low, inner_high = low, high
    # Where most are the same, what is far is told from the others.
    for quantile in (distribution.quantile, distribution.quantile_of_distinct):
        first, third = quantile(0.25), quantile(0.75)
        if third > first:
            reach = 3 * (third - first)
            inner_low, inner_high = distribution.within(first - reach, third + reach)
            break
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
