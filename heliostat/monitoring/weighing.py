"""Rows that were chosen with different chances, so that they stand for all: as copies of rows, or as fewer of them. Pure.

A metric is any function of labels and predictions, a workload's own among them, so weights are given to it as copies of rows
(a weighted bootstrap's finite population). A stream in the order of time is thinned instead: copies would be a change of it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.monitoring.intervals import Rows

_LEAST: Final = 10_000
"""Copies that are made at least, so that weights that are no whole numbers are kept."""
TOLD: Final = "each counts by one over the chance that it was chosen for review"
"""What a finding says of such labels."""


def expanded(weights: NDArray[np.float64], most: int) -> Rows:
    """Rows, each as often as its weight says beside the smallest one; about `most` at most."""
    if not len(weights):
        return np.zeros(0, dtype=np.int64)
    shares = weights / weights.min()
    if (shares == 1).all():
        return np.arange(len(weights))
    total = float(shares.sum())
    times = most / total if total > most else float(np.ceil(_LEAST / total))
    order = np.random.default_rng(0).permutation(len(weights))  # or rows that come by turns would be passed over for good
    ends = np.floor(np.cumsum(shares[order] * times) + 0.5).astype(np.int64)
    return np.repeat(order, np.diff(ends, prepend=0))


def thinned(weights: NDArray[np.float64], units: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows to keep so that each row there ever was had the same chance: those that were sure to be chosen lose most.

    Args:
        weights: One over the chance of each row.
        units: A number for each row, evenly drawn out of all of 64 bits: the same row is kept at every look.
    """
    if not len(weights):
        return np.zeros(0, dtype=bool)
    drawn = units.astype(np.uint64) / np.float64(2**64)
    return np.asarray(drawn < weights / weights.max(), dtype=bool)
