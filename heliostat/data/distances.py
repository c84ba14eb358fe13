"""How far apart two distributions are that are given as counts of the same bins or categories. Pure; SciPy where it has it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]

_NOTHING: Final = 0.5
"""An empty bin counts as half a row: a logarithm of nothing has no value."""
_EXPECTED: Final = 5.0
"""Rows that a category is expected to have for the χ² test to hold; those with fewer count together."""


def kolmogorov_smirnov(ours: Counts, theirs: Counts) -> float:
    """The largest distance between two distribution functions over bins in order, 0 to 1."""
    return float(np.abs(_shares(ours).cumsum() - _shares(theirs).cumsum()).max())


def largest_difference(ours: Counts, theirs: Counts) -> float:
    """The largest difference of a category's share, 0 to 1 (L∞)."""
    return float(np.abs(_shares(ours) - _shares(theirs)).max())


def jensen_shannon(ours: Counts, theirs: Counts) -> float:
    """The root of the Jensen-Shannon divergence to base 2, 0 to 1."""
    from scipy.spatial.distance import jensenshannon

    return float(np.nan_to_num(jensenshannon(ours, theirs, base=2)))  # the root of what rounding left below nothing


def psi(ours: Counts, theirs: Counts) -> float:
    """The population stability index; an empty bin counts as half a row."""
    mine, others = (_shares(np.maximum(each, _NOTHING)) for each in (ours, theirs))
    return float(np.sum((mine - others) * np.log(mine / others)))


def wasserstein(values: Counts, ours: Counts, theirs: Counts) -> float:
    """The earth mover's distance of numbers that are so often there, in their own unit."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(values, values, ours, theirs))


def kolmogorov_smirnov_p(distance: float, ours: float, theirs: float) -> float:
    """How likely such a distance is by chance, for so many rows: as `scipy.stats.ks_2samp` has it with method "asymp"."""
    from scipy.stats import kstwo

    return float(np.clip(kstwo.sf(distance, max(1, round(ours * theirs / (ours + theirs)))), 0, 1))


def chi_squared_p(ours: Counts, theirs: Counts) -> float:
    """How likely such different counts are by chance; categories in which few rows are expected count together."""
    from scipy.stats import chi2_contingency

    table = np.vstack((ours, theirs))
    table = table[:, table.sum(axis=0) > 0]
    rows = table.sum(axis=1)
    few = table.sum(axis=0) * rows.min() / rows.sum() < _EXPECTED
    if few.any():
        table = np.column_stack((table[:, ~few], table[:, few].sum(axis=1)))
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def _shares(counts: Counts) -> Counts:
    shares: Counts = counts / counts.sum()
    return shares
