"""Codes for the values of a column, by which rows are counted and taken in one pass, however many values there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coded:
    """A column by its values."""

    values: pa.Array
    """Each once, as they came."""
    codes: NDArray[np.int64]
    """Of each row the place of its value; -1 of one without."""

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int((self.codes < 0).sum())

    def counts(self, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """How many rows each value has, among some."""
        counted = self.codes >= 0 if among is None else (self.codes >= 0) & among
        return np.bincount(self.codes[counted], minlength=len(self.values))

    def rows(self, places: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.int64]]:
        """The numbers of each value's rows, in their order; of all values, or of those in some places."""
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(len(self.values) + 1))
        for place in range(len(self.values)) if places is None else places.tolist():
            yield order[starts[place] : starts[place + 1]]


def coded(column: pa.Array | pa.ChunkedArray) -> Coded:
    """A column of plain values by these.

    Raises:
        pa.ArrowNotImplementedError: Arrow does not tell values of this type apart: lists, say.
    """
    if pa.types.is_dictionary(column.type):  # whoever wrote it may have a value twice
        column = column.cast(column.type.value_type)
    encoded = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # of texts beyond 2 GiB
        encoded = encoded.unify_dictionaries().combine_chunks()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return Coded(encoded.dictionary, codes)


def coded_texts(column: pa.Array | pa.ChunkedArray) -> Coded:
    """The same by the texts of values: 1 and "1" are one."""
    return coded(as_texts(column))


def as_texts(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column of any type as texts: as Arrow writes them, or as Python does what Arrow has no text for, as lists and bytes.

    A time that no calendar has is missing.
    """
    try:
        return column.cast(pa.string())
    except pa.ArrowException:  # of the type, as of lists, or of a single value, as of bytes that are no UTF-8
        return pa.array([_text(value) for value in column], pa.string())


def _text(value: pa.Scalar) -> str | None:
    try:
        found = value.as_py()
    except (ValueError, OverflowError):
        return None
    return None if found is None else str(found)
