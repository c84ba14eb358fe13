"""A share of a data set's rows: the same rows each time, on every machine, and fewer of the same where less is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def is_taken(first: int, rows: int, share: float) -> NDArray[np.bool_]:
    """Which of `rows` rows from row `first` of their split on are in a sample.

    A row's number decides, by SplitMix64: so rows that are appended change none before them, a larger sample has all of a
    smaller one, and no period of the data, such as seven days, falls together with one of the sample.
    """
    with np.errstate(over="ignore"):
        mixed = (np.arange(first + 1, first + rows + 1, dtype=np.uint64)) * _STEP
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share)


def sampled(pieces: Iterable[pa.Table], share: float) -> Iterator[pa.Table]:
    """The taken rows of a split's pieces, which come in their order."""
    first = 0
    for piece in pieces:
        yield piece.filter(pa.array(is_taken(first, piece.num_rows, share)))
        first += piece.num_rows
