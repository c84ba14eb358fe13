"""How far apart two samples of one number are. Pure; SciPy is imported at the first use.

The candidate's may have a mass of its own: so many answers without a number, NaN, where what serves has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from heliostat.data import distances as counted

Numbers = NDArray[np.float64]

_BINS: Final = 20
"""Of the common histogram that Jensen-Shannon compares, each of as much of both versions' answers as the next: bins of equal
width would put all answers into one as soon as a single answer is far from the others."""
_PSI_BINS: Final = 10


def warm_up() -> None:
    """Import now what would be imported at the first use: about a second."""
    numbers = np.array([0.0, 1.0])
    for distance in DISTANCES.values():
        distance(numbers, numbers)


def kolmogorov_smirnov(candidate: Numbers, serving: Numbers) -> float:
    """The largest distance between the two distribution functions, 0 to 1; no number counts as beyond every number."""
    from scipy.stats import ks_2samp

    beyond = np.where(np.isnan(candidate), np.inf, candidate)
    return float(ks_2samp(beyond, serving, method="asymp").statistic)


def wasserstein(candidate: Numbers, serving: Numbers) -> float:
    """The earth mover's distance, in the numbers' own unit, of the answers with a number; infinite where none has one."""
    from scipy.stats import wasserstein_distance

    numbers = candidate[~np.isnan(candidate)]
    return float(wasserstein_distance(numbers, serving)) if len(numbers) else math.inf


def jensen_shannon(candidate: Numbers, serving: Numbers) -> float:
    """The root of the Jensen-Shannon divergence to base 2 over a common histogram, 0 to 1; no number is a bin of its own."""
    numbers = candidate[~np.isnan(candidate)]
    edges = _edges(np.concatenate((numbers, serving)), _BINS)
    bins = len(edges) + 1
    ours, theirs = (np.bincount(np.searchsorted(edges, each, "left"), minlength=bins) for each in (numbers, serving))
    return counted.jensen_shannon(np.append(ours, len(candidate) - len(numbers)), np.append(theirs, 0))


def psi(candidate: Numbers, serving: Numbers) -> float:
    """The population stability index over ten bins of equal weight on what serves; no number is a bin of its own."""
    edges = _edges(serving, _PSI_BINS)
    bins = len(edges) + 1
    places = np.where(np.isnan(candidate), bins, np.searchsorted(edges, candidate, "left"))
    bins += bool(np.isnan(candidate).any())
    found = (places, np.searchsorted(edges, serving, "left"))
    ours, theirs = (np.bincount(each, minlength=bins).astype(np.float64) for each in found)
    return counted.psi(ours, theirs)


def _edges(numbers: Numbers, bins: int) -> Numbers:
    """Upper edges of all but the last of so many bins that the same number of `numbers` is in.

    A value that fills more than one by itself gets a bin of its own, so that a shift away from it shows whichever way it goes.
    """
    edges, times = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]), return_counts=True)
    return np.sort(np.concatenate((edges, np.nextafter(edges[times > 1], -np.inf))))


DISTANCES: Final[Mapping[str, Callable[[Numbers, Numbers], float]]] = {
    "kolmogorov-smirnov": kolmogorov_smirnov,
    "wasserstein": wasserstein,
    "jensen-shannon": jensen_shannon,
    "psi": psi,
}
