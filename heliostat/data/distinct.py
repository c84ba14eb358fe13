"""How many different values there are, from the least of their hashes: merges exactly, whatever the parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SIZE: Final = 1024
ERROR: Final = (SIZE - 2) ** -0.5
"""The estimate's relative standard error: 3.1 %."""
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Distinct:
    """The least hashes of values, ascending and each once (Bar-Yossef and others 2002)."""

    hashes: Hashes

    @classmethod
    def of(cls, hashes: Hashes, known: Distinct | None = None) -> Distinct:
        """Of values by their hashes, and of what is known already."""
        if known is not None and len(known.hashes) == SIZE:
            hashes = hashes[hashes < known.hashes[-1]]
            if not len(hashes):
                return known
        return cls(_least(hashes if known is None else np.concatenate((known.hashes, hashes))))

    @classmethod
    def merged(cls, parts: Sequence[Distinct]) -> Distinct:
        """Of the values of all parts."""
        return cls(_least(np.concatenate([each.hashes for each in parts])))

    @property
    def estimate(self) -> int:
        """How many values there are; exact while all their hashes are kept."""
        if len(self.hashes) < SIZE:
            return len(self.hashes)
        return round((SIZE - 1) / (float(self.hashes[-1]) / 2**64))

    @property
    def error(self) -> float:
        """The estimate's relative standard error; 0 where it is exact."""
        return 0.0 if len(self.hashes) < SIZE else ERROR


def _least(hashes: Hashes) -> Hashes:
    """The least, each once: mostly found without sorting all."""
    if len(hashes) > 16 * SIZE:
        least = _once(np.partition(hashes, 8 * SIZE)[: 8 * SIZE])
        if len(least) >= SIZE:
            return least[:SIZE]
    return _once(hashes)[:SIZE]


def _once(hashes: Hashes) -> Hashes:
    """Ascending, each once. Numpy's `unique` takes a hash table for integers: three times as long."""
    ordered = np.sort(hashes)
    is_first = np.concatenate((np.ones(min(len(ordered), 1), np.bool_), ordered[1:] != ordered[:-1]))
    once: Hashes = ordered[is_first]
    return once


def hashed_numbers(values: NDArray[np.float64]) -> Hashes:
    """A hash of each number (splitmix64 of its bits)."""
    bits = (values + 0.0).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def hashed_texts(values: pa.Array) -> Hashes:
    """A hash of each text (SipHash, by pandas); the same in every process."""
    from pandas.util import hash_array

    return hash_array(values.to_numpy(zero_copy_only=False), categorize=False)
