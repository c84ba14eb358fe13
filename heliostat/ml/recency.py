"""Weights of rows by their age: what is newer counts for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["recency"]

_DAY: Final = 86_400.0


def recency(times: Sequence[Any] | NDArray[Any], half_life_days: float, newest: float | None = None) -> NDArray[np.float64]:
    """The weight of each row, 1 for the newest and half for one that is `half_life_days` older.

    Args:
        times: A column of times as `columns_of` gives it: seconds.
        half_life_days: After how many days a row counts half.
        newest: The time that is weighed from, in seconds; by default the newest of `times`. Give the snapshot's own where
            each worker has a part of it.

    Raises:
        ValueError: a half-life that is not above 0, or times that are none.
    """
    if not half_life_days > 0:
        raise ValueError(f"half_life_days is {half_life_days:g}: give days above 0; without weights all count alike")
    seconds = np.asarray(times, dtype=np.float64)
    if not np.isfinite(seconds).all():
        raise ValueError(f"{int((~np.isfinite(seconds)).sum())} of {len(seconds)} times are none: leave those rows out")
    if not len(seconds):
        return seconds
    age = np.maximum((seconds.max() if newest is None else newest) - seconds, 0.0)
    return np.asarray(0.5 ** (age / (_DAY * half_life_days)), dtype=np.float64)
