"""Histograms of numbers that merge exactly: whatever the parts and their order, the same numbers give the same histogram.

A double's 64 bits are in the order of its value, so what remains without its last `shift` bits is a bin. Bins of one shift are
halves of those of the next, as in OpenTelemetry's exponential histograms. A histogram has the finest bins of which at most
`LIMIT` are filled: no choice depends on what came first. Where numbers have few different values, each is a bin of its own and
all is exact. Else a bin is 2**-digits of its value wide, with `digits` from 5 up for numbers over many magnitudes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = 4096
"""Filled bins of a histogram, at most."""
MANTISSA: Final = 52
"""Binary digits of a double behind its point."""
_DENSE: Final = 1 << 15
"""Bins that are counted in an array; over a wider span, which costs more than the numbers, these are sorted."""
_HALF: Final = 32
_FIRST_HALF: Final = int(sys.byteorder == "little")
_SIGN: Final = np.uint64(1 << 63)

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many numbers lie in each bin that has any."""

    shift: int
    """Bits that a bin leaves off."""
    is_exact: bool
    """Whether each bin has one value."""
    codes: Integers
    """The bins, ascending: the bits of a positive number without the last, their complement for a negative one."""
    counts: Integers

    @classmethod
    def of(cls, values: Numbers, at_least: int = 0) -> Self:
        """Of finite numbers, one or more; `at_least` is a shift that is known to be needed."""
        bits = values.view(np.uint64)
        shift, is_exact = at_least, False
        if not at_least:
            shift, is_exact = _trailing_zeros(int(np.bitwise_or.reduce(bits))), True
        codes, counts = (_counted_halves if shift >= _HALF else _counted)(bits, shift)
        return cls(*_limited(shift, is_exact, codes, counts))

    @classmethod
    def merged(cls, histograms: Sequence[Histogram]) -> Self:
        """Of all their numbers."""
        coarse = [each.shift for each in histograms if not each.is_exact]
        shift = max(coarse) if coarse else min(each.shift for each in histograms)
        at_shift = [each.at(shift) for each in histograms]
        codes, counts = _summed([(each.codes, each.counts) for each in at_shift])
        return cls(*_limited(shift, not coarse, codes, counts))

    def at(self, shift: int) -> Histogram:
        """The same with bins of another shift: a finer one only where this one is exact."""
        if shift >= self.shift:
            return (
                self
                if shift == self.shift
                else Histogram(shift, False, *_coarser(self.codes, self.counts, shift - self.shift))
            )
        if not self.is_exact:
            raise ValueError(f"a histogram of shift {self.shift} has no bins of shift {shift}: its numbers are not known")
        finer = shift - self.shift
        codes = np.where(self.codes < 0, ~(~self.codes << -finer), self.codes << -finer)
        return Histogram(shift, True, codes, self.counts)

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return int(self.counts.sum())

    @property
    def digits(self) -> int:
        """Binary digits behind the point of a value that its bin knows: the bin's width is 2**-digits of it."""
        return MANTISSA - self.shift

    @property
    def values(self) -> Numbers:
        """A value for each bin: its own where there is one, else its middle."""
        lows, highs = self.bounds
        return lows if self.is_exact else lows + (highs - lows) / 2

    @property
    def bounds(self) -> tuple[Numbers, Numbers]:
        """The least and the greatest end of each bin; both the value where it has one."""
        negative = self.codes < 0
        magnitudes = np.where(negative, ~self.codes, self.codes)
        near = _value(magnitudes << self.shift)
        if self.is_exact:
            value = np.where(negative, -near, near)
            return value, value
        far = _value(np.minimum((magnitudes + 1) << self.shift, np.int64(0x7FEFFFFFFFFFFFFF)))
        lows = np.where(negative, -far, near)
        return np.where(self.codes == 0, -far, lows), np.where(negative, -near, far)

    def quantile(self, share: float) -> float:
        """As `numpy.quantile` has it where the histogram is exact; else within the bin where that lies."""
        place = (self.count - 1) * share
        ends = self.counts.cumsum()
        if self.is_exact:
            low, high = (self._at(ends, min(rank, self.count - 1)) for rank in (int(place), int(place) + 1))
            return float(np.quantile([low, high], place - int(place)))
        bin_ = int(np.searchsorted(ends, place, "right"))
        lows, highs = (each[bin_] for each in self.bounds)
        before = float(ends[bin_] - self.counts[bin_])
        return float(lows + (highs - lows) * ((place - before + 0.5) / float(self.counts[bin_])))

    def _at(self, ends: Integers, rank: int) -> float:
        return float(self.values[np.searchsorted(ends, rank, "right")])


def _limited(shift: int, is_exact: bool, codes: Integers, counts: Integers) -> tuple[int, bool, Integers, Integers]:
    """The finest bins of which no more than the limit are filled."""
    if len(codes) <= LIMIT:
        return shift, is_exact, codes, counts
    low, high = 1, 63 - shift
    while low < high:
        middle = (low + high) // 2
        if _filled(codes, middle) <= LIMIT:
            high = middle
        else:
            low = middle + 1
    return shift + low, False, *_coarser(codes, counts, low)


def _filled(codes: Integers, more: int) -> int:
    shifted = codes >> more
    both_zeros = bool(np.any(shifted == -1) and np.any(shifted == 0))
    return 1 + int(np.count_nonzero(shifted[1:] != shifted[:-1])) - both_zeros


def _coarser(codes: Integers, counts: Integers, more: int) -> tuple[Integers, Integers]:
    shifted = codes >> more
    shifted[shifted == -1] = 0  # what is too near to nothing to have a sign
    starts = np.concatenate(([0], np.flatnonzero(shifted[1:] != shifted[:-1]) + 1))
    return shifted[starts], np.add.reduceat(counts, starts)


def _counted_halves(bits: NDArray[np.uint64], shift: int) -> tuple[Integers, Integers]:
    """The same where the first half of the bits says it: half as much to compute with.

    Signs go to the end, so that numbers of both lie in as few bins as those of one.
    """
    first_half = np.ascontiguousarray(bits.view(np.uint32)[_FIRST_HALF::2])
    codes = (first_half << np.uint32(1)) >> np.uint32(shift - _HALF + 1)
    least = codes.min()
    if int(codes.max()) - int(least) >= _DENSE:
        return _counted(bits, shift)  # as where some are 0, which is far from all others
    codes -= least
    codes <<= np.uint32(1)
    codes |= first_half >> np.uint32(31)
    dense = np.bincount(codes)
    filled = np.flatnonzero(dense)
    magnitudes = (filled >> 1) + int(least)
    is_negative = (filled & 1).astype(np.bool_)
    found = np.concatenate((~magnitudes[is_negative][::-1], magnitudes[~is_negative]))
    return _coarser(found, np.concatenate((dense[filled[is_negative]][::-1], dense[filled[~is_negative]])), 0)


def _counted(bits: NDArray[np.uint64], shift: int) -> tuple[Integers, Integers]:
    """The bins of numbers by their bits, ascending; and how often each is there."""
    raw, counts = _ascending(bits >> np.uint64(shift))
    first_negative = int(np.searchsorted(raw, _SIGN >> np.uint64(shift)))
    positive = raw[:first_negative].view(np.int64)
    if first_negative == len(raw):
        return positive, counts
    negative = ~(raw[first_negative:] - (_SIGN >> np.uint64(shift))).view(np.int64)
    codes, counts = (
        np.concatenate((negative[::-1], positive)),
        np.concatenate((counts[first_negative:][::-1], counts[:first_negative])),
    )
    return _coarser(codes, counts, 0)  # -0.0 is 0.0


def _ascending(raw: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], Integers]:
    least = raw.min()
    span = int(raw.max()) - int(least)
    offsets = raw - least
    if span <= max(_DENSE, len(raw) // 4):
        dense = np.bincount(offsets.view(np.int64))
        filled = np.flatnonzero(dense)
        return filled.astype(np.uint64) + least, dense[filled]
    # Sorting half as many bits takes half the time.
    ordered = np.sort(offsets.astype(np.uint32)) if span < 1 << 32 else np.sort(offsets)
    starts = np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
    return ordered[starts].astype(np.uint64) + least, np.diff(starts, append=len(ordered))


def _summed(parts: Sequence[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """Each code once, ascending, with the sum of its counts; in each part codes are so already."""
    least, greatest = min(int(codes[0]) for codes, _ in parts), max(int(codes[-1]) for codes, _ in parts)
    if greatest - least < 4 * sum(len(codes) for codes, _ in parts):
        dense = np.zeros(greatest - least + 1, np.int64)
        for codes, counts in parts:
            places = codes - least
            dense[places] = dense.take(places) + counts  # a quarter faster than `dense[places] += counts`
        filled = np.flatnonzero(dense)
        return filled + least, dense[filled]
    codes, counts = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(codes, kind="stable")
    return _coarser(codes[order], counts[order], 0)


def _trailing_zeros(bits: int) -> int:
    magnitude = bits & ((1 << 63) - 1)
    return min((magnitude & -magnitude).bit_length() - 1, MANTISSA) if magnitude else MANTISSA


def _value(bits: Integers) -> Numbers:
    return bits.view(np.float64)
