"""The arithmetic of the measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median


def alternate(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """`rounds` values of each, taken in turn (A B A B ...), so that a drift of the machine meets both alike."""
    firsts, seconds = [], []
    for _ in range(rounds):
        firsts.append(first())
        seconds.append(second())
    return firsts, seconds


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of the ratios of neighbours.

    Raises:
        ValueError: there are no pairs, or something divides by nothing.
    """
    if not first or len(first) != len(second) or not all(second):
        raise ValueError(f"no ratio of {list(first)} and {list(second)}: pairs of values are needed, the second above 0")
    return median(one / other for one, other in zip(first, second, strict=True))


def rounded(value: float) -> float:
    """`value` to three significant digits, but never coarser than a whole number."""
    return float(round(value)) if abs(value) >= 1000 else float(f"{value:.3g}")
