"""Profiles of tables, of parts that come one after another, and of Parquet files. One pass; memory holds a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.columns import ColumnBuilder, doubles_of
from heliostat.data.correlations import Correlations
from heliostat.data.profiles import ColumnProfile, Profile, too_many_classes

PIECE_ROWS: Final = 131_072
"""Rows that are computed with at once: a column of them is a mebibyte, which the processor's cache holds."""
CORRELATED: Final = 200
"""Columns of numbers that are correlated with each other, at most."""


@dataclass(frozen=True)
class Measures:
    """What a profile tells beside what every one has."""

    label: str | None = None
    """The column whose classes get a profile each."""
    correlations: bool = True
    distinct: bool = True
    """How many different values a column of more than 4,096 has."""
    threads: int = 2


DRIFT: Final = Measures(correlations=False, distinct=False)
"""What a comparison of two profiles needs: half the time."""


def profile(
    data: pa.Table | pa.RecordBatch | Iterable[pa.Table | pa.RecordBatch], measures: Measures | None = None
) -> Profile:
    """The profile of a table, or of all the parts of one.

    Raises:
        ValueError: there is no part at all, or the label is no column.
    """
    parts = [data] if isinstance(data, pa.Table | pa.RecordBatch) else data
    builder = ProfileBuilder(measures or Measures())
    with builder:
        for part in parts:
            builder.add(part if isinstance(part, pa.Table) else pa.Table.from_batches([part]))
    return builder.profile()


class ProfileBuilder:
    """Takes the rows of a table part by part. A context: its threads end with it."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._rows = 0
        self._columns: dict[str, ColumnBuilder] = {}
        self._correlations: list[Correlations] = []
        self._classes: dict[str, ProfileBuilder] = {}
        self._notes: dict[str, None] = {}
        self._is_correlated = measures.correlations
        self._is_by_class = measures.label is not None
        self._has_parts = False
        self._threads: Executor | None = None

    def __enter__(self) -> ProfileBuilder:
        if self._measures.threads > 1:
            self._threads = ThreadPoolExecutor(self._measures.threads)
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def add(self, table: pa.Table) -> None:
        """Take rows in. Parts may have other columns, or others' types: the profile says so.

        Raises:
            ValueError: a column is there twice, or the label is none.
        """
        if len(set(table.column_names)) != table.num_columns:
            twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
            raise ValueError(f"columns are there twice: {', '.join(map(repr, twice))}; give each a name of its own")
        label = self._measures.label
        if label is not None and label not in table.column_names:
            raise ValueError(f"the label {label!r} is not among the {table.num_columns} columns")
        self._has_parts = True
        if not table.num_rows:
            self._add_columns(table)
        for first in range(0, table.num_rows, PIECE_ROWS):
            piece = table.slice(first, PIECE_ROWS)
            self._rows += piece.num_rows
            self._add_columns(piece)
            self._add_correlations(piece)
            if self._is_by_class:
                self._add_classes(piece)

    def profile(self) -> Profile:
        """Of all rows that were taken in.

        Raises:
            ValueError: no part was, so not even the columns are known.
        """
        if not self._has_parts:
            raise ValueError("there is no part to make a profile of: give a table at least, which may have no rows")
        found = with_columns(self._rows, self._columns)
        return replace(
            found,
            correlations=Correlations.merged(self._correlations) if self._correlations else None,
            label=self._measures.label,
            by_class={name: builder.profile() for name, builder in sorted(self._classes.items())},
            notes=(*self._notes, *found.notes),
        )

    def _add_columns(self, piece: pa.Table) -> None:
        for name in piece.column_names:
            if name not in self._columns:
                self._columns[name] = ColumnBuilder(self._measures.distinct)
        work = ((self._columns[name], piece[name]) for name in piece.column_names)
        if self._threads is None:
            for builder, column in work:
                builder.add(column)
        else:
            list(self._threads.map(lambda each: each[0].add(each[1]), work))

    def _add_correlations(self, piece: pa.Table) -> None:
        if not self._is_correlated:
            return
        numbers = {name: doubles_of(piece[name]) for name in piece.column_names}
        found = {name: values for name, values in numbers.items() if values is not None}
        if len(found) > CORRELATED:
            self._note(f"no correlations: there are {len(found)} columns of numbers, and at most {CORRELATED} are correlated")
            self._is_correlated, self._correlations = False, []
        elif len(found) > 1:
            self._correlations.append(Correlations.of([*found], [*found.values()]))
            if len(self._correlations) > 16:
                self._correlations = [Correlations.merged(self._correlations)]

    def _add_classes(self, piece: pa.Table) -> None:
        """Rows whose label is missing are of no class."""
        label = self._measures.label or ""
        names = pc.cast(_plain(piece[label]), pa.string())
        for value in sorted(names.drop_null().unique().to_pylist()):
            if value not in self._classes:
                inner = Measures(correlations=False, distinct=False, threads=1)
                self._classes[value] = ProfileBuilder(inner)
        if len(self._classes) > Profile.CLASSES:
            self._note(too_many_classes(label, len(self._classes)).replace("has", "has more than", 1))
            self._is_by_class, self._classes = False, {}
            return
        for value, builder in self._classes.items():
            rows = piece.filter(pc.equal(names, value))
            if rows.num_rows:
                builder.add(rows)

    def _note(self, text: str) -> None:
        self._notes[text] = None


def with_columns(rows: int, builders: Mapping[str, ColumnBuilder]) -> Profile:
    """The profile of columns that were taken in."""
    columns = {name: builder.profile() for name, builder in builders.items()}
    return Profile(rows, columns, notes=tuple(_unsupported(columns)))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _unsupported(columns: Mapping[str, ColumnProfile]) -> Iterator[str]:
    for name, column in columns.items():
        if column.kind == "unsupported" and column.lengths is None:
            yield f"the column {name!r} is of type {column.type}: only its missing values are counted"
