"""The profile of one column, made of its values piece by piece."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.data.distinct import Distinct, hashed_numbers
from heliostat.data.frequencies import Frequencies
from heliostat.data.histograms import Histogram
from heliostat.data.moments import Moments
from heliostat.data.profiles import ColumnProfile, FiniteNumbers, Numbers

Mask = NDArray[np.bool_]
_PARTS: Final = 4
"""Pieces of numbers that are held before they are merged."""
_PENDING: Final = 1 << 16
"""Texts with counts that are held before they are merged."""


def doubles_of(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """A column as doubles, NaN where a value is missing; None where it is not of numbers or times."""
    if not is_number(column.type):
        return None
    values = as_numbers(column)
    if values.null_count:
        values = values.fill_null(np.nan)
    return np.asarray(values.to_numpy(), np.float64)


def mask(found: pa.ChunkedArray) -> Mask:
    """A column of booleans; missing counts as false."""
    return np.asarray(found.fill_null(False).to_numpy(), np.bool_)


class ColumnBuilder:
    """Takes the values of a column in; pieces may differ in type."""

    def __init__(self, distinct: bool) -> None:
        self._wants_distinct = distinct
        self._types: set[str] = set()
        self._rows = self._missing = 0
        self._numbers = _Numbers(distinct)
        self._lengths = _Numbers(distinct)
        self._texts: list[Frequencies] = []
        self._pending = 0

    def add(self, column: pa.ChunkedArray) -> None:
        """Take a piece in."""
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        self._types.add(type_name(kind))
        self._rows += len(column)
        self._missing += column.null_count
        if is_number(kind):
            plain = column.cast(kind) if pa.types.is_dictionary(column.type) else column
            self._numbers.add(as_numbers(plain))
        elif is_text(kind):
            for chunk in column.chunks:
                self._add_texts(chunk)
        elif is_list(kind):
            self._lengths.add(pc.list_value_length(column).cast(pa.float64()))

    def profile(self) -> ColumnProfile:
        """Of all pieces."""
        return ColumnProfile(
            tuple(sorted(self._types - {"null"} or self._types)),
            self._rows,
            self._missing,
            self._numbers.merged(),
            Frequencies.merged(self._texts) if self._texts else None,
            self._lengths.merged(),
        )

    def _add_texts(self, chunk: pa.Array) -> None:
        values, counts = counted(chunk)
        if not len(values) and self._texts:
            return
        self._texts.append(Frequencies(values, counts, int(counts.sum())))
        self._pending += len(values)
        if self._pending > _PENDING or len(self._texts) > 1024:
            self._texts = [Frequencies.merged(self._texts)]
            self._pending = len(self._texts[0].values)


class _Numbers:
    """What is known of numbers, piece by piece."""

    def __init__(self, distinct: bool) -> None:
        self._wants_distinct = distinct
        self._parts: list[Numbers] = []
        self._shift = 0
        """Bits that any histogram of all pieces leaves off."""

    def add(self, column: pa.ChunkedArray) -> None:
        """Take doubles in, of which some may be missing."""
        values = (column.drop_null() if column.null_count else column).to_numpy()
        self._parts.append(self._described(np.asarray(values, np.float64)))
        if len(self._parts) > _PARTS:
            self._parts = [Numbers.merged(self._parts)]

    def merged(self) -> Numbers | None:
        """Of all pieces; None where there was none."""
        if not self._parts:
            return None
        found = Numbers.merged(self._parts)
        if self._wants_distinct or found.finite is None:
            return found
        return replace(found, finite=replace(found.finite, distinct=None))

    def _described(self, values: NDArray[np.float64]) -> Numbers:
        nan = positive = negative = 0
        with np.errstate(all="ignore"):
            suspicious = not np.isfinite(values.sum())  # finite numbers may add up to infinity
        if suspicious:
            finite = np.isfinite(values)
            nan, positive, negative = (int(each.sum()) for each in (np.isnan(values), values == np.inf, values == -np.inf))
            values = values[finite]
        if not len(values):
            return Numbers(nan, positive, negative, None)
        histogram = Histogram.of(values, self._shift)
        distinct = None
        if not histogram.is_exact:
            self._shift = histogram.shift
        if self._wants_distinct and not histogram.is_exact:
            distinct = Distinct.of(hashed_numbers(values))
        least, greatest = float(values.min()), float(values.max())
        return Numbers(nan, positive, negative, FiniteNumbers(least, greatest, Moments.of(values), histogram, distinct))


def counted(chunk: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The texts of a piece that are there, and how often; a text may come twice where a dictionary has it so."""
    if pa.types.is_dictionary(chunk.type):
        indices = chunk.indices.drop_null() if chunk.indices.null_count else chunk.indices
        counts = np.bincount(indices.to_numpy(), minlength=len(chunk.dictionary))
        there = np.flatnonzero(counts)
        values = named(chunk.dictionary.take(pa.array(there)))
        counts = counts[there]
        if values.null_count:
            counts, values = counts[values.is_valid().to_numpy(zero_copy_only=False)], values.drop_null()
        return values, counts
    values, found = pc.value_counts(chunk.drop_null()).flatten()
    return named(values), found.to_numpy()


def named(values: pa.Array) -> pa.Array:
    """Texts and booleans as texts."""
    return values if values.type == pa.string() else values.cast(pa.string())


def as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of numbers or times as doubles: times in microseconds, dates in days."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    elif pa.types.is_time(kind):
        column = column.cast(pa.time64("us"), safe=False).cast(pa.int64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.date32(), safe=False).cast(pa.int32())
    return column if column.type == pa.float64() else column.cast(pa.float64(), safe=False)


def type_name(kind: pa.DataType) -> str:
    """Arrow's name of a type; one for texts however long, and for lists whatever their items are called."""
    if is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    return "string" if pa.types.is_large_string(kind) or is_view(kind) else str(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are numbers or times."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind)
    ) and not pa.types.is_interval(kind)


def reads_as_number(kind: pa.DataType) -> bool:
    """Whether values of a type are read as numbers: booleans are, times are not."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are texts or booleans."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind) or is_view(kind))


def is_view(kind: pa.DataType) -> bool:
    """Whether a type is of texts by reference, as Polars has them."""
    return bool(pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether values of a type are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
