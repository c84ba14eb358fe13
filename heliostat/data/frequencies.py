"""How often each text of a column is there: exactly while there are few, and the frequent ones where there are many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.data.distinct import Distinct, hashed_texts

LIMIT: Final = 4096
"""Texts that are counted, at most."""
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frequencies:
    """Texts with their counts, the most frequent first and alike ones in the order of the alphabet."""

    values: pa.Array
    counts: Integers
    count: int
    """How many texts there are, those that are not counted included."""
    error: int = 0
    """A text may be there so many times more than its count says; one without a count at most so often. At most
    1 ÷ `LIMIT` of all (Misra and Gries 1982; Agarwal and others 2012 for merging)."""
    distinct: Distinct | None = None
    """Of how many different texts; None where each has its count."""

    @classmethod
    def of(cls, values: pa.Array, counts: Integers) -> Frequencies:
        """Of texts, of which some may come several times, none is missing, and none has a count of 0."""
        return cls.merged([cls(values, counts, int(counts.sum()))])

    @classmethod
    def merged(cls, parts: Sequence[Frequencies]) -> Frequencies:
        """Of the texts of all parts: exactly, as long as these are few; else within the error."""
        values, counts = _summed(parts)
        total, error = sum(each.count for each in parts), sum(each.error for each in parts)
        distinct = _distinct(values, parts)
        if len(values) > LIMIT:
            least = int(-np.partition(-counts, LIMIT)[LIMIT])
            kept = np.flatnonzero(counts > least)
            values, counts, error = values.take(pa.array(kept)), counts[kept] - least, error + least
        order = pc.sort_indices(
            pa.table({"count": counts, "value": values}), sort_keys=[("count", "descending"), ("value", "ascending")]
        )
        return cls(values.take(order), counts[order.to_numpy()], total, error, distinct)

    @property
    def estimated_distinct(self) -> int:
        """How many different texts there are."""
        return len(self.values) if self.distinct is None else self.distinct.estimate

    @property
    def distinct_error(self) -> float:
        """The relative standard error of that estimate; 0 where it is exact."""
        return 0.0 if self.distinct is None else self.distinct.error


def _summed(parts: Sequence[Frequencies]) -> tuple[pa.Array, Integers]:
    """Each text once, with the sum of its counts. Arrow's `group_by` hashes the same texts in twice the time."""
    together = pa.chunked_array([each.values for each in parts], pa.string())
    if not len(together):
        return pa.array([], pa.string()), np.empty(0, np.int64)
    encoded = together.combine_chunks().dictionary_encode()
    places, counts = encoded.indices.to_numpy(), np.concatenate([each.counts for each in parts])
    # Counts are whole numbers, and doubles are exact up to 2**53.
    summed = np.bincount(places, weights=counts, minlength=len(encoded.dictionary)).astype(np.int64)
    return encoded.dictionary, summed


def _distinct(values: pa.Array, parts: Sequence[Frequencies]) -> Distinct | None:
    estimates = [each.distinct for each in parts if each.distinct is not None]
    if len(values) <= LIMIT and not estimates:
        return None
    return Distinct.merged([*estimates, Distinct.of(hashed_texts(values))])
