"""Noise, and what it is worth: the (ε, δ) of sums that get Gaussian noise again and again.

Every site may take part in every round, so nothing is gained by sampling, and T rounds with a noise multiplier z are together
one Gaussian mechanism with z / √T: its δ(ε) is known exactly (Balle and Wang 2018, theorem 8; Dong, Roth and Su 2019,
corollaries 2.13 and 3.3). It does without an accountant's bounds.
Neighbours differ in one site's update, which is there or zero: that a site takes part is no secret.
"""

from __future__ import annotations

import math
import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from heliostat.spec.federated import DifferentialPrivacy

_STEPS: Final = 200
_MOST: Final = 1e6


def epsilon(privacy: DifferentialPrivacy, rounds: int) -> float:
    """The ε of so many rounds, at the declared δ; infinite beyond a million."""
    mu = math.sqrt(rounds) / privacy.noise_multiplier
    low, high = 0.0, 1.0
    while _log_delta(high, mu) > math.log(privacy.delta):
        low, high = high, high * 2
        if high > _MOST:
            return math.inf
    if _log_delta(0.0, mu) <= math.log(privacy.delta):
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_delta(middle, mu) > math.log(privacy.delta) else (low, middle)
    return high


def _log_delta(epsilon_: float, mu: float) -> float:
    """The logarithm of Φ(μ/2 - ε/μ) - exp(ε) Φ(-μ/2 - ε/μ), where neither of the two is small enough to vanish."""
    from scipy.special import log_ndtr

    first, second = float(log_ndtr(mu / 2 - epsilon_ / mu)), epsilon_ + float(log_ndtr(-mu / 2 - epsilon_ / mu))
    return first + math.log1p(-math.exp(second - first)) if second < first else -math.inf


def noise(size: int, deviation: float) -> NDArray[np.float64]:
    """Gaussian noise from the system's own randomness: nobody can draw it again."""
    from scipy.special import ndtri

    drawn = np.frombuffer(os.urandom(8 * size), np.uint64) >> np.uint64(11)
    values: NDArray[np.float64] = ndtri((drawn.astype(np.float64) + 0.5) * 2.0**-53) * deviation
    return values


def told(privacy: DifferentialPrivacy, rounds: int) -> str:
    """What the noise is worth, in words."""
    return (
        f"noise multiplier {privacy.noise_multiplier:g}: after {rounds} rounds ε = {epsilon(privacy, rounds):.3g} "
        f"at δ = {privacy.delta:g}, for all rows of a site"
    )
