"""The moments, quantiles and histogram of numbers that come in blocks: those of all at once where one block holds them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.ml.snapshots.value_counts import ValueCounts

BLOCK: Final = 1 << 20
"""Values of a block: a column that has no more is computed with at once."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count, mean and variance; `+` gives those of both (Chan, Golub and LeVeque)."""

    count: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: Numbers) -> Self:
        """Of one block."""
        with np.errstate(over="ignore", invalid="ignore"):
            return cls(values.size, float(values.mean()), float(values.var()))

    def __add__(self, other: Self) -> Moments:
        count, apart = self.count + other.count, other.mean - self.mean
        mine, others = self.count / count, other.count / count
        mean = self.mean + apart * others
        return Moments(count, mean, mine * self.variance + others * other.variance + apart * apart * mine * others)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance)


@dataclass(frozen=True)
class Distribution:
    """Numbers in order, on disk where they are many; none is NaN or infinite."""

    values: Numbers
    """Each that is there, once, ascending."""
    ends: NDArray[np.int64]
    """How many numbers are not above each."""
    mode: float
    """The most frequent, the least of those."""

    @classmethod
    def of(cls, values: Numbers) -> Self:
        """Of numbers in memory."""
        distinct, counts = np.unique(values, return_counts=True)
        return cls(distinct, counts.cumsum(), float(distinct[counts.argmax()]))

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return int(self.ends[-1])

    def not_above(self, value: float) -> int:
        """How many numbers are not above `value`."""
        return self._ends_before(np.searchsorted(self.values, value, "right"))

    def below(self, value: float) -> int:
        """How many numbers are below `value`."""
        return self._ends_before(np.searchsorted(self.values, value, "left"))

    def within(self, low: float, high: float) -> tuple[float, float]:
        """The least number from `low` on, and the greatest up to `high`."""
        first, last = np.searchsorted(self.values, low, "left"), np.searchsorted(self.values, high, "right")
        return float(self.values[first]), float(self.values[last - 1])

    def quantile(self, share: float) -> float:
        """As `numpy.quantile` of the numbers has it."""
        return _quantile(self._at, self.count, share)

    @property
    def median(self) -> float:
        """As `numpy.median` has it, which differs from the quantile in the last digit."""
        return float(np.median([self._at(rank) for rank in sorted({(self.count - 1) // 2, self.count // 2})]))

    def quantile_of_distinct(self, share: float) -> float:
        """The same of the values, each counted once."""
        return _quantile(lambda rank: float(self.values[rank]), len(self.values), share)

    def histogram(self, edges: Numbers) -> list[int]:
        """How many numbers are in each bin, as `numpy.histogram` has it; the first and the last also have what is beyond."""
        upto = [0, *(self.below(edge) for edge in edges[1:-1]), self.count]
        return [after - before for before, after in pairwise(upto)]

    def _at(self, rank: int) -> float:
        return float(self.values[np.searchsorted(self.ends, rank, "right")])

    def _ends_before(self, place: np.intp) -> int:
        return int(self.ends[place - 1]) if place else 0


def blocks(pieces: Iterable[Numbers]) -> Iterator[Numbers]:
    """The same numbers, so many at a time that statistics do not depend on how they came."""
    held: list[Numbers] = []
    count = 0
    for piece in pieces:
        while count + len(piece) > BLOCK:
            room = BLOCK - count
            yield np.concatenate([*held, piece[:room]])
            held, count, piece = [], 0, piece[room:]
        held.append(piece)
        count += len(piece)
    if count:
        yield np.concatenate(held)


def described(pieces: Iterable[Numbers], folder: Path) -> tuple[Moments, Distribution] | None:
    """The moments and the distribution of finite numbers; None where there are none.

    A column whose distinct values are many is sorted in `folder`, with 32 bytes each.
    """
    moments: Moments | None = None
    counts = ValueCounts(folder)
    for block in blocks(pieces):
        of_block = Moments.of(block)
        moments = moments + of_block if moments else of_block
        values, numbers = np.unique(block + 0.0, return_counts=True)  # -0.0 is 0.0
        counts.add(pa.array(values), pa.array(numbers))
    if moments is None:
        return None
    return moments, _collected(counts.merged(), folder)


def _collected(pieces: Iterator[pa.Table], folder: Path) -> Distribution:
    count, most, mode = 0, 0, 0.0
    with tempfile.TemporaryFile(dir=folder) as values, tempfile.TemporaryFile(dir=folder) as ends:
        for piece in pieces:
            distinct, counts = piece["value"].to_numpy(), piece["count"].to_numpy()
            if not len(distinct):
                continue
            if counts.max() > most:
                most, mode = int(counts.max()), float(distinct[counts.argmax()])
            distinct.tofile(values)
            (counts.cumsum() + count).tofile(ends)
            count += int(counts.sum())
        values.flush()
        ends.flush()
        return Distribution(np.memmap(values, np.float64, "r"), np.memmap(ends, np.int64, "r"), mode)


def _quantile(at: Callable[[int], float], count: int, share: float) -> float:
    """`numpy.quantile` by the two values that it lies between: `at(rank)` gives the value of a rank from 0 on."""
    place = (count - 1) * share
    rank = int(place)
    return float(np.quantile([at(rank), at(min(rank + 1, count - 1))], place - rank))
