"""Splits of a data set that are read a column at a time, in pieces that memory holds: tables, and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS: Final = 65_536
"""Rows of a Parquet row group, at most: the unit that is read at once."""


class Split(Protocol):
    """Rows of one schema."""

    @property
    def schema(self) -> pa.Schema:
        """The columns, as they were given."""

    @property
    def rows(self) -> int:
        """How many there are."""

    def null_count(self, name: str) -> int:
        """How many values of a column are missing."""

    def column(self, name: str) -> Iterator[pa.ChunkedArray]:
        """The values of a column from the first row on, in pieces, at each call anew; dictionaries as what they stand for."""


@dataclass(frozen=True)
class TableSplit:
    """A table in memory."""

    table: pa.Table

    @property
    def schema(self) -> pa.Schema:  # noqa: D102 - see Split
        return self.table.schema

    @property
    def rows(self) -> int:  # noqa: D102
        return int(self.table.num_rows)

    def null_count(self, name: str) -> int:  # noqa: D102
        return int(self.table[name].null_count)

    def column(self, name: str) -> Iterator[pa.ChunkedArray]:  # noqa: D102
        column = self.table[name]
        for first in range(0, len(column), ROW_GROUP_ROWS):
            yield decoded(column.slice(first, ROW_GROUP_ROWS), column.type)


@dataclass(frozen=True)
class PartFile:
    """A Parquet file with the rows from `first` on of a split."""

    path: Path
    first: int
    rows: int


@dataclass(frozen=True)
class FileSplit:
    """Parquet files, which follow each other."""

    schema: pa.Schema
    files: tuple[PartFile, ...]
    null_counts: Mapping[str, int]

    @property
    def rows(self) -> int:  # noqa: D102
        return sum(file.rows for file in self.files)

    def null_count(self, name: str) -> int:  # noqa: D102
        return self.null_counts[name]

    def column(self, name: str) -> Iterator[pa.ChunkedArray]:  # noqa: D102
        kind = self.schema.field(name).type
        for file in self.files:
            for group in row_groups(file.path, [name]):
                yield decoded(group[name], kind)


def row_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a Parquet file, one after another."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=None if columns is None else list(columns))


def decoded(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as it was before Parquet, which knows fewer types than Arrow, and without a dictionary."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return column if column.type == plain else column.cast(plain)
