"""How long answers took, as counts in fixed buckets: what HAProxy counts, what analyses read, what Prometheus is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from heliostat.spec.base import Model

BOUNDS_MS = tuple(round(0.5 * 1.25**step, 2) for step in range(47))
"""Upper bounds of the buckets, in milliseconds: 0.5 ms to 14 s, each a quarter above the one before; one more bucket takes
the rest. A quantile is known to a few percent by interpolation, which is less than one run differs from the next."""

BUCKETS = len(BOUNDS_MS) + 1


class Counts(Model):
    """Requests of one route that were sent to one version, and how they ended (`heliostat.spec.routes`)."""

    requests: int = 0
    """Those that were answered, and those that failed; neither what the contract rejected nor what a client cut off."""
    failed: int = 0
    """Those that the version did not answer: a status of 500 or above, the traffic plane's own (no answer, broken off, too
    late) among them, a status that no prediction has, and requests that the traffic plane could not answer at all."""
    rejected: int = 0
    """Requests beside these, that the contract does not take."""
    latencies: Annotated[tuple[int, ...], Field(min_length=BUCKETS, max_length=BUCKETS)] = (0,) * BUCKETS
    """Requests that were answered, by bucket of BOUNDS_MS. A failure has no time: a fast one is no fast answer."""

    @property
    def success_rate(self) -> float | None:
        """Share of the requests that did not fail; None where there were none."""
        return 1 - self.failed / self.requests if self.requests else None

    @property
    def judged(self) -> int:
        """All that came whole: answered, failed and rejected."""
        return self.requests + self.rejected

    @property
    def rejection_rate(self) -> float | None:
        """Share of all that came whole that the contract rejected; None where nothing came."""
        return self.rejected / self.judged if self.judged else None

    def quantile_ms(self, quantile: float) -> float | None:
        """The latency that `quantile` (0 to 1) of the answers did not exceed, in milliseconds; None where there are none."""
        return quantile_ms(self.latencies, quantile)

    def since(self, before: Counts) -> Counts:
        """What was counted after `before`; counters that were set back begin anew.

        Buckets tell that, or far fewer requests: the other numbers come from several counters, and one that is read
        between two of them may be one less for a moment.
        """
        if self._begins_anew(before):
            return self
        return Counts(
            requests=max(0, self.requests - before.requests),
            failed=max(0, self.failed - before.failed),
            rejected=max(0, self.rejected - before.rejected),
            latencies=tuple(a - b for a, b in zip(self.latencies, before.latencies, strict=True)),
        )

    def no_less_than(self, before: Counts) -> Counts:
        """These counters, or what was read of them `before` where that is more: what is less for a moment counts once."""
        if self._begins_anew(before):
            return self
        requests, failed = max(self.requests, before.requests), max(self.failed, before.failed)
        rejected = max(self.rejected, before.rejected)
        return Counts(requests=requests, failed=failed, rejected=rejected, latencies=self.latencies)

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            requests=self.requests + other.requests,
            failed=self.failed + other.failed,
            rejected=self.rejected + other.rejected,
            latencies=tuple(a + b for a, b in zip(self.latencies, other.latencies, strict=True)),
        )

    def _begins_anew(self, before: Counts) -> bool:
        fewer = any(a < b for a, b in zip(self.latencies, before.latencies, strict=True))
        return fewer or 2 * self.judged < before.judged


def bucket_of(milliseconds: float) -> int:
    """The bucket that a latency falls into."""
    return next((number for number, bound in enumerate(BOUNDS_MS) if milliseconds <= bound), len(BOUNDS_MS))


def quantile_ms(latencies: Sequence[int], quantile: float) -> float | None:
    """The quantile of bucketed latencies, interpolated within its bucket; the last bucket counts as its lower bound."""
    total = sum(latencies)
    if total == 0:
        return None
    rank, below = quantile * total, 0
    for number, count in enumerate(latencies):
        if count and below + count >= rank:
            if number == len(BOUNDS_MS):
                return BOUNDS_MS[-1]
            low = BOUNDS_MS[number - 1] if number else 0.0
            return low + (BOUNDS_MS[number] - low) * max(0.0, rank - below) / count
        below += count
    return BOUNDS_MS[-1]
