"""Intervals of figures that have no formula for one: a bootstrap of requests, whose time does not grow with their number.

So many requests are drawn from a part of `_MOST` of them, and the spread of what is computed is brought to the number that
there are: an m-out-of-n bootstrap, whose figures spread by the root of their number (Bickel, Götze and van Zwet, 1997).
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from heliostat.spec.base import Model, is_none

Rows = NDArray[np.int64]
_MOST: Final = 2_000
_DRAWS: Final = 100
_LEAST_DEFINED: Final = 0.9
"""Share of the draws in which a figure must be defined; else labels are too few of one kind to say how sure it is."""


class Interval(Model):
    """A figure, and where it may be by chance."""

    value: float
    low: float | None = Field(default=None, exclude_if=is_none)
    """None where the rows do not tell."""
    high: float | None = Field(default=None, exclude_if=is_none)
    rows: int

    @field_validator("low", "high", mode="before")
    @classmethod
    def _finite(cls, value: float | None) -> float | None:
        """Of numbers that are too large the rows do not tell how far a figure may be off."""
        return value if value is not None and isfinite(value) else None

    def is_beyond(self, limit: float, above: bool) -> bool:
        """Whether all of it is above, or below, a limit; without an interval the value decides."""
        edge = self.low if above else self.high
        edge = self.value if edge is None else edge
        return edge > limit if above else edge < limit


def bootstrap(
    compute: Callable[[Rows], float | None], requests: NDArray[np.uint64], value: float, confidence: float, seed: int = 0
) -> Interval:
    """The interval of a figure.

    Args:
        compute: The figure of some rows, which may stand there more than once; None where it is not defined.
        requests: What of each row is drawn together.
        value: The figure of all rows.
        confidence: How often the interval holds the true figure.
        seed: The same rows and the same seed have the same interval.
    """
    random = np.random.default_rng(seed)
    order, starts, sizes = units(requests)
    there = len(starts)
    if there < 2:
        return Interval(value=value, rows=len(requests))
    pool = np.arange(there) if there <= _MOST else random.choice(there, _MOST, replace=False)
    drawn = [_rows_of(random.choice(pool, len(pool)), order, starts, sizes) for _ in range(_DRAWS)]
    figures = np.array([np.nan if (figure := compute(rows)) is None else figure for rows in drawn])
    figures = figures[np.isfinite(figures)]
    if len(figures) < _LEAST_DEFINED * _DRAWS:
        return Interval(value=value, rows=len(requests))
    spread = float(figures.std(ddof=1)) * float(np.sqrt(len(pool) / there)) * normal(confidence)
    return Interval(value=value, low=value - spread, high=value + spread, rows=len(requests))


def units(requests: NDArray[np.uint64]) -> tuple[Rows, Rows, Rows]:
    """The rows in the order of their requests, where each request begins among them, and how many rows it has."""
    order = np.argsort(requests, kind="stable")
    ordered = requests[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, int)
    return order, starts, np.diff(np.append(starts, len(ordered)))


def _rows_of(chosen: Rows, order: Rows, starts: Rows, sizes: Rows) -> Rows:
    """All rows of some units."""
    lengths = sizes[chosen]
    ends = np.cumsum(lengths)
    within = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)
    return np.asarray(order[np.repeat(starts[chosen], lengths) + within], dtype=np.int64)


def normal(confidence: float) -> float:
    """How many standard deviations to either side hold so much of a normal distribution."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2))


def wilson(share: Any, rows: Any, confidence: float) -> tuple[Any, Any]:
    """Wilson's interval of a share of so many rows; both may be arrays."""
    z = normal(confidence)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return middle - half, middle + half
