"""How far apart two samples of one number are. Pure; SciPy is imported at the first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_BINS: Final = 20
"""Of the common histogram that Jensen-Shannon compares."""
_PSI_BINS: Final = 10
_NOTHING: Final = 0.5
"""An empty bin counts as half an answer: a logarithm of nothing has no value."""


def warm_up() -> None:
    """Import now what would be imported at the first use: about a second."""
    numbers = np.array([0.0, 1.0])
    for distance in DISTANCES.values():
        distance(numbers, numbers)


def kolmogorov_smirnov(candidate: Numbers, serving: Numbers) -> float:
    """The largest distance between the two distribution functions, 0 to 1."""
    from scipy.stats import ks_2samp  # type: ignore[import-untyped]

    return float(ks_2samp(candidate, serving, method="asymp").statistic)


def wasserstein(candidate: Numbers, serving: Numbers) -> float:
    """The earth mover's distance, in the numbers' own unit."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(candidate, serving))


def jensen_shannon(candidate: Numbers, serving: Numbers) -> float:
    """The root of the Jensen-Shannon divergence to base 2 over a common histogram, 0 to 1."""
    from scipy.spatial.distance import jensenshannon  # type: ignore[import-untyped]

    edges = np.histogram_bin_edges(np.concatenate((candidate, serving)), bins=_BINS)
    found = jensenshannon(np.histogram(candidate, edges)[0], np.histogram(serving, edges)[0], base=2)
    return float(np.nan_to_num(found))  # the root of what rounding left below nothing


def psi(candidate: Numbers, serving: Numbers) -> float:
    """The population stability index over ten bins of equal weight on what serves.

    A value that fills more than one of the ten by itself gets a bin of its own, so that a shift away from it shows
    whichever way it goes.
    """
    quantiles = np.quantile(serving, np.linspace(0, 1, _PSI_BINS + 1)[1:-1])
    edges, times = np.unique(quantiles, return_counts=True)
    edges = np.sort(np.concatenate((edges, np.nextafter(edges[times > 1], -np.inf))))
    ours, theirs = (_shares(np.searchsorted(edges, numbers, "left"), len(edges) + 1) for numbers in (candidate, serving))
    return float(np.sum((ours - theirs) * np.log(ours / theirs)))


def _shares(places: NDArray[np.int64], bins: int) -> Numbers:
    counts = np.maximum(np.bincount(places, minlength=bins), _NOTHING)
    shares: Numbers = counts / counts.sum()
    return shares


DISTANCES: Final[Mapping[str, Callable[[Numbers, Numbers], float]]] = {
    "kolmogorov-smirnov": kolmogorov_smirnov,
    "wasserstein": wasserstein,
    "jensen-shannon": jensen_shannon,
    "psi": psi,
}
