"""Predictions out of the files of the prediction log, as far as these are whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heliostat.data.columns import reads_as_number
from heliostat.spec.tasks import Multiclass, Task

COMMON: Final = pa.schema([
    pa.field("request_id", pa.string()),
    pa.field("row", pa.int32()),
    pa.field("time", pa.timestamp("us", "UTC")),
    pa.field("version", pa.string()),
])  # fmt: skip
"""The log's own columns that monitors read (`heliostat.serving.prediction_log`)."""
_BATCH_ROWS: Final = 262_144
_MOST_SHOWN: Final = 5


@dataclass
class Reading:
    """What was read of some files, and what could not be."""

    rows: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    """Why a file, or its end, could not be read, by its key."""
    lacking: dict[str, set[str]] = field(default_factory=dict)
    """The files that have no column of a name, or one of another type: another contract wrote them."""

    @property
    def problems(self) -> tuple[str, ...]:
        """All of it in words, some files of each kind by name."""
        told = [f"{key} is left out: {why}" for key, why in list(self.unread.items())[:_MOST_SHOWN]]
        if len(self.unread) > _MOST_SHOWN:
            told.append(f"{len(self.unread) - _MOST_SHOWN} files more are left out")
        for column, keys in self.lacking.items():
            told.append(f"{len(keys)} files have no column {column} that can be read, as {min(keys)}: its rows have none")
        return tuple(told)


def read(sources: Iterable[tuple[str, Any]], columns: Sequence[tuple[str, str]], reading: Reading) -> Iterator[pa.Table]:
    """Predictions in tables of some hundred thousand rows: the common columns, and `columns` under the names asked for.

    A file that is cut off, damaged or no Parquet costs itself alone, and is told in `reading`.

    Args:
        sources: Keys, and what `pyarrow.parquet` opens: a path, bytes in a buffer, an open file.
        columns: Names in the file and in the result, as `("input_carrier", "carrier")`.
        reading: Takes what was read and what was not.
    """
    for key, source in sources:
        try:
            yield from _of_file(key, source, columns, reading)
        except (pa.ArrowException, OSError, ValueError) as error:
            reading.unread[key] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _of_file(key: str, source: Any, columns: Sequence[tuple[str, str]], reading: Reading) -> Iterator[pa.Table]:
    file = pq.ParquetFile(source)
    # Of two columns of one name none is the one that is meant.
    there = {name for name, count in Counter(file.schema_arrow.names).items() if count == 1}
    missing = [name for name in COMMON.names if name not in there]
    if missing:
        raise ValueError(f"it is no file of the prediction log: it has no column {', '.join(missing)}")
    for name, _ in columns:
        if name not in there:
            reading.lacking.setdefault(name, set()).add(key)
    wanted = [*COMMON.names, *(name for name, _ in columns if name in there)]
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
        table = pa.Table.from_batches([batch])
        arrays = [table[each.name].cast(each.type) for each in COMMON]
        arrays += [table[name] if name in there else pa.nulls(table.num_rows) for name, _ in columns]
        reading.rows += table.num_rows
        yield pa.table(dict(zip([*COMMON.names, *(name for _, name in columns)], arrays, strict=True)))


def of_version(versions: pa.ChunkedArray | pa.Array, number: str) -> NDArray[np.bool_]:
    """Which rows a version answered, by its number, and which do not say; all of them where the number is none."""
    if not number.isdigit():
        return np.ones(len(versions), dtype=bool)
    own = pc.or_(_says(versions, number), pc.equal(versions, ""))
    return np.asarray(pc.fill_null(own, True).to_numpy(zero_copy_only=False), dtype=bool)


def says_version(versions: pa.ChunkedArray | pa.Array, number: str) -> NDArray[np.bool_]:
    """Which rows say that this version answered them, by its number."""
    found = pc.fill_null(_says(versions, number), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _says(versions: pa.ChunkedArray | pa.Array, number: str) -> Any:
    return pc.or_(pc.equal(versions, number), pc.starts_with(versions, f"{number}-"))


def predictions_of(column: pa.ChunkedArray, task: Task | None) -> NDArray[np.float64]:
    """A logged field of answers as numbers, `(rows,)` or `(rows, width)`; NaN in rows that have none.

    A list of numbers is taken in the task's order, an object by the task's names, a class of Multiclass, its name or its place
    from 0, as its probability 1, a boolean as 0 and 1.
    """
    width = task.width if task is not None else None
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if width is None:
        return _numbers(column)
    kind = column.type
    if isinstance(task, Multiclass) and names_classes(column):
        return _one_hot(column, task)
    if pa.types.is_struct(kind) and task is not None:
        names = {kind.field(place).name for place in range(kind.num_fields)}
        parts = [_numbers(pc.struct_field(column, name)) if name in names else _none(len(column)) for name in task.columns]
        return np.stack(parts, axis=1) if parts else np.empty((len(column), 0))
    if pa.types.is_map(kind) and task is not None:
        return np.stack([_numbers(pc.map_lookup(column, name, "first")) for name in task.columns], axis=1)
    found = np.full((len(column), width), np.nan)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        fits = pc.equal(pc.list_value_length(column), width).fill_null(False).to_numpy(zero_copy_only=False)
        flat = _numbers(pc.list_flatten(column.filter(pa.array(fits))))
        found[fits] = flat.reshape(-1, width)
    return found


def names_classes(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether answers name a class, without how probable it is."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    kind = column.type
    if not reads_as_number(kind):
        return _none(len(column))
    if not pa.types.is_floating(kind):
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(column.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _none(rows: int) -> NDArray[np.float64]:
    return np.full(rows, np.nan)


def _one_hot(column: pa.Array, task: Multiclass) -> NDArray[np.float64]:
    if pa.types.is_integer(column.type):
        places = column.cast(pa.int64(), safe=False).fill_null(-1).to_numpy(zero_copy_only=False)
        places = np.where(places < len(task.classes), places, -1)
    else:
        texts = column.cast(pa.string())
        places = pc.index_in(texts, pa.array(task.classes, pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
    found = np.zeros((len(column), len(task.classes)))
    known = places >= 0
    found[np.flatnonzero(known), places[known]] = 1.0
    found[~known] = np.nan
    return found
