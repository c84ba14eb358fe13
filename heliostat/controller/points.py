"""An application's traffic at moments of time: what windows of an analysis and the samples of a record are made of. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from heliostat.rollout.model import SHARES, Colour, Window
from heliostat.spec.latencies import BUCKETS, Counts
from heliostat.spec.rollouts import Sample, VersionSample

WINDOWS_SECONDS = (600.0, 120.0, 30.0, 10.0, 5.0, 2.0)
"""Lengths of the windows beside the whole step's: in the shortest that has requests enough, a fault shows first."""
MOST_POINTS = 3600
"""Of one rollout; where there are more, every second one of the older half is left out. What is counted between two that
stay is the same."""


@dataclass(frozen=True)
class Point:
    """What was counted up to a moment, by colour. These counts never go back, whatever happens to HAProxy's own.

    Predictions are told in full, and of all other requests how many there were.
    """

    at: float
    share: int
    """Of green, in 1/100 %."""
    blue: Counts
    green: Counts
    blue_healthy: int
    green_healthy: int
    nobody: int | None = None
    """Predictions that no version could make; None where that was not counted yet."""
    blue_others: int = 0
    green_others: int = 0

    def counts(self, colour: Colour) -> Counts:
        """One colour's."""
        return self.blue if colour is Colour.BLUE else self.green

    def healthy(self, colour: Colour) -> int:
        """One colour's healthy replicas."""
        return self.blue_healthy if colour is Colour.BLUE else self.green_healthy

    def others(self, colour: Colour) -> int:
        """One colour's requests that are no predictions."""
        return self.blue_others if colour is Colour.BLUE else self.green_others


def windows(points: Sequence[Point], now: Point, since: float, seconds: float) -> tuple[Window, ...]:
    """The stretch since `since`, at most `seconds`, and shorter ones, each up to `now`; the longest first.

    `points` are in the order of time. One that none of them lies before begins with the earliest.
    """
    whole = min(max(0.0, now.at - since), seconds)
    lengths = [whole, *(length for length in WINDOWS_SECONDS if length < whole)]
    return tuple(_window(points, now, length) for length in lengths)


def stretch(points: Sequence[Point], until: float, seconds: float) -> Window | None:
    """The `seconds` up to `until`, as far as `points` go back; None where they begin later."""
    last = bisect_right(points, until, key=lambda point: point.at) - 1
    return _window(points, points[last], seconds) if last > 0 else None


def samples(points: Sequence[Point], candidate: Colour) -> tuple[Sample, ...]:
    """Rates and latencies between each two of the points."""
    return tuple(_sample(before, after, candidate) for before, after in pairwise(points) if after.at > before.at)


def thinned(points: list[Point]) -> list[Point]:
    """`points` without every second one of the older half."""
    half = len(points) // 2
    return points[:half:2] + points[half:]


def dumped(point: Point) -> str:
    """A point as text."""
    healthy, beside = (point.blue_healthy, point.green_healthy), (point.blue.rejected, point.green.rejected)
    others = point.blue_others, point.green_others
    return json.dumps([point.share, *healthy, _numbers(point.blue), _numbers(point.green), point.nobody, *beside, *others])


def loaded(at: float, text: str) -> Point:
    """A point from its text."""
    share, blue_healthy, green_healthy, blue, green, *later = json.loads(text)
    # One of an earlier version ends sooner.
    nobody, *beside = later or (None,)
    blue_rejected, green_rejected, *others = beside or (0, 0)
    sides = counts_of(blue, blue_rejected), counts_of(green, green_rejected)
    return Point(at, share, *sides, blue_healthy, green_healthy, nobody, *others)


def counts_of(numbers: Iterable[int], rejected: int = 0) -> Counts:
    """Counts from their numbers: requests, failed, and the buckets up to the last that is not empty."""
    requests, failed, *buckets = numbers
    latencies = (*buckets, *(0 for _ in range(BUCKETS - len(buckets))))
    return Counts(requests=requests, failed=failed, rejected=rejected, latencies=latencies)


def _numbers(counts: Counts) -> list[int]:
    filled = next((number for number in range(BUCKETS, 0, -1) if counts.latencies[number - 1]), 0)
    return [counts.requests, counts.failed, *counts.latencies[:filled]]


def _window(points: Sequence[Point], now: Point, seconds: float) -> Window:
    place = bisect_right(points, now.at - seconds, key=lambda point: point.at)
    before = points[max(0, place - 1)] if points else now
    blue, green = (_possible(now.counts(colour).since(before.counts(colour))) for colour in (Colour.BLUE, Colour.GREEN))
    return Window(seconds=now.at - before.at, blue=blue, green=green)


def _possible(counts: Counts) -> Counts:
    """HAProxy counts a failure a moment before its request; a share above 1 is none that can be judged."""
    return counts if counts.failed <= counts.requests else counts.model_copy(update={"failed": counts.requests})


def _sample(before: Point, after: Point, candidate: Colour) -> Sample:
    on_candidate = after.share if candidate is Colour.GREEN else SHARES - after.share
    return Sample(
        at=after.at,
        candidate_weight=on_candidate / SHARES,
        candidate=_version(before, after, candidate),
        serving=_version(before, after, candidate.other),
        unanswered_per_second=_unanswered(before, after) / (after.at - before.at),
    )


def _unanswered(before: Point, after: Point) -> int:
    return after.nobody - before.nobody if after.nobody is not None and before.nobody is not None else 0


def _version(before: Point, after: Point, colour: Colour) -> VersionSample | None:
    counts, seconds = after.counts(colour).since(before.counts(colour)), after.at - before.at
    others = after.others(colour) - before.others(colour)
    if after.healthy(colour) == 0 and counts.judged == 0:
        return None
    return VersionSample(
        replicas=after.healthy(colour),
        requests_per_second=counts.requests / seconds,
        failed_per_second=counts.failed / seconds,
        rejected_per_second=counts.rejected / seconds,
        others_per_second=max(0, others) / seconds,
        p50_ms=counts.quantile_ms(0.5),
        p99_ms=counts.quantile_ms(0.99),
    )
