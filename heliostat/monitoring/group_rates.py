"""Rates of groups of rows, with what they are worth, and how far each pair of them is apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.monitoring.intervals import Interval, wilson
from heliostat.monitoring.sampling import Labelled

Numbers = NDArray[np.float64]
SELECTED, TRUE_POSITIVE, FALSE_POSITIVE = "selected", "true positive", "false positive"
_FEW_REQUESTS: Final = 30
"""Below it rows of one request are taken to be all alike: how alike they are cannot be told of so few."""


@dataclass(frozen=True)
class Rate:
    """A rate of each group, with as many even, independent rows as would tell as much."""

    rows: NDArray[np.int64]
    value: Numbers
    telling: Numbers

    def interval(self, confidence: float) -> tuple[Numbers, Numbers]:
        """Wilson's bounds of each group's."""
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = wilson(self.value, self.telling, confidence)
        return np.asarray(low), np.asarray(high)

    def of(self, group: int, low: Numbers, high: Numbers) -> Interval | None:
        """That of one group within its bounds; None where it has no row that the rate is a share of."""
        if not self.rows[group]:
            return None
        bounds = {"low": max(0.0, float(low[group])), "high": min(1.0, float(high[group]))}
        return Interval(value=float(self.value[group]), rows=int(self.rows[group]), **bounds)


def rates_of(labelled: Labelled, threshold: float, codes: NDArray[np.int64], groups: int) -> dict[str, Rate]:
    """The rate of each group by name; of labels that are not 0 and 1 who is selected alone."""
    selected = (labelled.predictions >= threshold).astype(np.float64)
    ones = np.ones(len(labelled))
    found = {SELECTED: _rate(codes, selected, ones, labelled.requests, groups)}
    known = np.isfinite(labelled.labels)
    if not np.isin(labelled.labels[known], (0.0, 1.0)).all():
        return found
    weights = labelled.weights if labelled.weighed else ones
    for name, label in ((TRUE_POSITIVE, 1.0), (FALSE_POSITIVE, 0.0)):
        of = np.where(known & (labelled.labels == label), codes, -1)
        found[name] = _rate(of, selected, weights, labelled.requests, groups)
    return found


def _rate(codes: NDArray[np.int64], selected: Numbers, weights: Numbers, requests: Any, groups: int) -> Rate:
    """A share of each group, with what it is worth: rows of one request are alike, and weights cost (a ratio's variance)."""
    inside = codes >= 0
    codes, selected, weights, requests = codes[inside], selected[inside], weights[inside], requests[inside]
    rows = np.bincount(codes, minlength=groups)
    total = np.bincount(codes, weights, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.bincount(codes, weights * selected, minlength=groups) / total
        order = np.lexsort((requests, codes))
        ordered, asked = codes[order], requests[order]
        begins = (
            np.concatenate([[True], (ordered[1:] != ordered[:-1]) | (asked[1:] != asked[:-1])]) if len(order) else inside[:0]
        )
        starts = np.flatnonzero(begins)
        of, units = ordered[starts], np.bincount(ordered[starts], minlength=groups)
        off, counted = (
            np.add.reduceat(each[order], starts) if len(starts) else np.zeros(0)
            for each in (weights * (selected - value[codes]), weights)
        )
        variance = np.bincount(of, off**2, minlength=groups) / total**2
        variance = np.where(units < rows, variance * units / (units - 1), variance)
        alike = total**2 / np.bincount(of, counted**2, minlength=groups)  # as many requests of one size (Kish)
        even = total**2 / np.bincount(codes, weights**2, minlength=groups)
        telling = np.minimum(even, value * (1 - value) / variance)
    uncertain = ~np.isfinite(telling) | (variance <= 0) | ((units < _FEW_REQUESTS) & (units < rows))
    return Rate(rows, np.nan_to_num(value), np.where(uncertain, np.nan_to_num(alike), telling))


def differences(value: Numbers, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """Bounds of each group's rate minus each other's (Newcombe, 1998, method 10)."""
    difference = value[:, None] - value[None, :]
    lower = difference - np.hypot((value - low)[:, None], (high - value)[None, :])
    upper = difference + np.hypot((high - value)[:, None], (value - low)[None, :])
    np.fill_diagonal(lower, -np.inf)
    np.fill_diagonal(upper, -np.inf)
    return lower, upper


def ratios(value: Numbers, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """Bounds of each group's rate ÷ each other's (Donner and Zou, 2012); 0 to infinity where they do not tell."""
    product = value[:, None] * value[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        ours, theirs = (low * (2 * value - low))[:, None], (high * (2 * value - high))[None, :]
        lower = ours / (product + np.sqrt(np.maximum(0, product**2 - ours * theirs)))
        ours, theirs = (high * (2 * value - high))[:, None], (low * (2 * value - low))[None, :]
        upper = (product + np.sqrt(np.maximum(0, product**2 - ours * theirs))) / theirs
    lower = np.where(np.isfinite(lower), np.maximum(0, lower), 0.0)
    upper = np.where(np.isfinite(upper) & (theirs > 0), upper, np.inf)
    np.fill_diagonal(lower, np.inf)
    np.fill_diagonal(upper, np.inf)
    return lower, upper
