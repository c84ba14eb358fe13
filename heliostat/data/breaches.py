"""The rows of a piece of a table that break an expectation of their column, and the sum of these over all pieces. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.columns import Mask, as_numbers, is_list, is_number, is_text, mask
from heliostat.data.distinct import Hashes, hashed_texts
from heliostat.data.schema import ColumnExpectations

EXAMPLES: Final = 10
"""Rows that a finding names."""
KEYS: Final = ("maxMissing", "maxInfinite", "minimum", "maximum", "values", "length", "unique")
"""The expectations that rows break, in the order in which they are told."""
_TEXTS: Final = 1_000
"""Unexpected texts that are told apart; of more it is said that there are more."""


@dataclass
class Breach:
    """The rows that break one expectation of a column, over all pieces so far."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    """The first ones, counted from 0 over all pieces."""
    least: float = np.inf
    """Of the values (of lists: of their lengths) in these rows."""
    greatest: float = -np.inf
    texts: dict[str, None] = field(default_factory=dict)
    """The unexpected ones, in the order in which they came."""

    def add(self, before: int, broken: Mask, values: Any = None) -> None:
        """Take in the rows of a piece that begins after `before` others; `values` are those of all its rows."""
        places = np.flatnonzero(broken)
        self.count += len(places)
        self.rows += [before + int(place) for place in places[: EXAMPLES - len(self.rows)]]
        if values is not None and len(places):
            self.least = min(self.least, float(values[broken].min()))
            self.greatest = max(self.greatest, float(values[broken].max()))


@dataclass(frozen=True)
class Broken:
    """The rows of one piece that break an expectation."""

    key: str
    rows: Mask
    values: Any = None
    """A number for each row of the piece, where there is one to be told."""
    texts: tuple[str, ...] = ()

    def into(self, breach: Breach, before: int) -> None:
        """Add them to what is known of earlier pieces."""
        breach.add(before, self.rows, self.values)
        for text in self.texts:
            if len(breach.texts) < _TEXTS:
                breach.texts[text] = None


def broken_by(expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Broken]:
    """What of a piece of a column, of the expected type and without a dictionary, breaks what is expected of single rows."""
    kind = column.type
    yield Broken("maxMissing", mask(pc.is_null(column, nan_is_null=pa.types.is_floating(kind))))
    if is_number(kind):
        yield from _numbers(expected, column)
    elif is_text(kind):
        yield from _texts(expected, column)
    elif is_list(kind):
        yield from _lengths(expected, column)


def _numbers(expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Broken]:
    values = np.asarray(as_numbers(column).fill_null(np.nan).to_numpy(), np.float64)
    yield Broken("maxInfinite", np.isinf(values))
    finite = np.isfinite(values)
    if expected.minimum is not None:
        yield Broken("minimum", finite & np.less(values, expected.minimum), values)
    if expected.maximum is not None:
        yield Broken("maximum", finite & np.greater(values, expected.maximum), values)


def _texts(expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Broken]:
    if expected.values is None:
        return
    texts = column.cast(pa.string())
    unknown = ~mask(pc.is_in(texts, pa.array(expected.values, pa.string()))) & mask(texts.is_valid())
    if unknown.any():
        yield Broken("values", unknown, texts=tuple(texts.filter(pa.array(unknown)).unique()[:_TEXTS].to_pylist()))


def _lengths(expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Broken]:
    if expected.length is None:
        return
    lengths = pc.list_value_length(column).fill_null(expected.length.minimum).to_numpy()
    most = np.inf if expected.length.maximum is None else expected.length.maximum
    yield Broken("length", (lengths < expected.length.minimum) | (lengths > most), lengths)


@dataclass
class Repeated:
    """Finds the rows whose value an earlier row has: 16 bytes for each row that has one. Missing values are not the same."""

    hashes: list[Hashes] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    def add(self, before: int, column: pa.ChunkedArray) -> None:
        """Take in a piece that begins after `before` rows."""
        missing = mask(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))
        self.rows.append(np.flatnonzero(~missing) + before)
        self.hashes.append(hashed_texts(column.filter(pa.array(~missing)).cast(pa.string()).combine_chunks()))

    def breach(self) -> Breach:
        """The rows that have a value again."""
        found = Breach()
        hashes, rows = np.concatenate(self.hashes), np.concatenate(self.rows)
        _, first = np.unique(hashes, return_index=True)
        again = np.ones(len(rows), np.bool_)
        again[first] = False
        found.count, found.rows = int(again.sum()), rows[again][:EXAMPLES].tolist()
        return found
