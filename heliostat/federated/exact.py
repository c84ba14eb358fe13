"""Exact sums of doubles: fixed-point numbers of 128 bits, 64 of them behind the point.

A sum of doubles depends on their order, and masks vanish only where nothing is rounded. These do neither: whoever comes
first, however many, masked or not, the sum is the same to the last bit. A number is two words of 64 bits, `[low, high]`, in
two's complement; arrays of them have the shape `(n, 2)` and the type uint64.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""Fixed-point numbers, `(n, 2)`."""

LARGEST: Final = 2.0**55
"""The largest number that may be summed: 128 of them stay below 2**62."""
_UNIT: Final = 2.0**64


def encode(values: NDArray[np.float64]) -> Words:
    """Write doubles as fixed-point numbers; what is smaller than 2**-64 is cut off.

    Raises:
        ValueError: one of them is not finite, or larger than LARGEST.
    """
    if not np.all(np.isfinite(values)):
        raise ValueError("a value is not finite")
    if values.size and float(np.max(np.abs(values))) > LARGEST:
        raise ValueError(f"a value is larger than {LARGEST:g}")
    # By their amounts: what lies behind the point of a negative number would be rounded where it is counted from below.
    part, whole = np.modf(np.abs(values))
    words = np.empty((values.size, 2), np.uint64)
    words[:, 0] = (part * _UNIT).astype(np.uint64)
    words[:, 1] = whole.astype(np.uint64)
    return np.where((values < 0)[:, None], negated(words), words)


def decode(words: Words) -> NDArray[np.float64]:
    """Read fixed-point numbers as the nearest doubles."""
    high = np.ascontiguousarray(words[:, 1]).view(np.int64)
    # A negative number is read by its amount, or what is small beside its whole part would be lost.
    negative = high < 0
    amount = np.where(negative[:, None], negated(words), words)
    value = amount[:, 1].astype(np.float64) + amount[:, 0].astype(np.float64) / _UNIT
    return np.where(negative, -value, value)


def add(left: Words, right: Words) -> Words:
    """Sum two arrays of numbers, modulo 2**128."""
    total = left + right
    total[:, 1] += (total[:, 0] < left[:, 0]).astype(np.uint64)
    return total


def negated(words: Words) -> Words:
    """The numbers with the other sign."""
    flipped = ~words
    flipped[:, 0] += np.uint64(1)
    flipped[:, 1] += (flipped[:, 0] == 0).astype(np.uint64)
    return flipped


def total(vectors: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum vectors of doubles of the same length, exactly, and round once.

    Raises:
        ValueError: there is none, or a value is not finite or too large.
    """
    found: Words | None = None
    for vector in vectors:
        found = encode(vector) if found is None else add(found, encode(vector))
    if found is None:
        raise ValueError("there is nothing to sum")
    return decode(found)
