"""What counts may be chance: bounds of a share, and how slow answers were."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log, log1p, log2, sqrt
from statistics import NormalDist

from heliostat.spec.latencies import BOUNDS_MS

DOUBT = 0.025
"""On each side of a 95 % interval."""
_GLANCES = 4.0
"""Windows of several lengths that overlap are looked at many times; together they are worth about as many separate ones."""
_MOST_LOOKS = 500.0
"""Beyond so many, seeing a failure within seconds is worth more than sparing what is at its very limit all day."""
_NEGLIGIBLE = 1e-12


def wilson(bad: float, total: float, doubt: float = DOUBT) -> tuple[float, float]:
    """Wilson's interval for the share of which `bad` of `total` are a sample, with `doubt` left on each side."""
    if total <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - doubt)
    part, square = bad / total, z * z
    scale = 1 + square / total
    centre = (part + square / (2 * total)) / scale
    half = z / scale * sqrt(part * (1 - part) / total + square / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def binomial_p_value(bad: float, total: float, share: float) -> float:
    """How probable `bad` or more of `total` are where `share` of all are bad: exact, as rare events need it.

    Wilson's lower bound is too eager there: of 100 requests at 1 %, it calls the sixth failure twenty times too often.
    """
    count, size = int(bad + _NEGLIGIBLE), int(total)
    if count <= size * share or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    ways = lgamma(size + 1) - lgamma(count + 1) - lgamma(size - count + 1)
    term = exp(ways + count * log(share) + (size - count) * log1p(-share))
    tail, odds = term, share / (1 - share)
    while count < size and term > tail * _NEGLIGIBLE:
        term *= (size - count) / (count + 1) * odds
        count += 1
        tail += term
    return min(1.0, tail)


def doubt_of_a_look(elapsed: float, window: float, requests: float, least: int) -> float:
    """The doubt with which one of the many looks at a stage may call a failure.

    Who looks often enough finds any coincidence. So the doubt is shared among the windows of this length that have gone
    by, and among the times that the requests in this one have doubled.
    """
    windows = max(1.0, elapsed / window) if window > 0 else 1.0
    return DOUBT / min(_MOST_LOOKS, _GLANCES * windows * (1 + log2(max(1.0, requests / least))))


def slower_than(latencies: Sequence[int], limit_ms: float) -> float:
    """How many of bucketed answers took longer than `limit_ms`, interpolated within its bucket as quantiles are."""
    slower, low = 0.0, 0.0
    for count, bound in zip(latencies, BOUNDS_MS, strict=False):
        if limit_ms < bound:
            slower += count * min(1.0, (bound - limit_ms) / (bound - low))
        low = bound
    return slower + latencies[len(BOUNDS_MS)]
