"""Clients that ask at a steady rate, and what the traffic plane counts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliostat.controller.points import MOST_POINTS, Point, stretch, thinned, windows
from heliostat.rollout.model import SHARES, Colour, Window
from heliostat.rollout.show import Gathering
from heliostat.spec.latencies import BUCKETS, Counts, bucket_of
from heliostat.testing.simulation.behaviour import VersionBehaviour

_NOBODY = VersionBehaviour(error_rate=1.0)
"""Where no replica is there, each request fails."""


def counts(requests: int, failed: int = 0, milliseconds: float = 10.0, rejected: int = 0) -> Counts:
    """Count requests that were all answered in the same time, but for those that failed; what was rejected is beside them."""
    latencies = [0] * BUCKETS
    latencies[bucket_of(milliseconds)] = requests - failed
    return Counts(requests=requests, failed=failed, rejected=rejected, latencies=tuple(latencies))


@dataclass
class Answering:
    """A version that answers. Shares of few requests add up over time: of ten times ten, 5 % are five."""

    _rejected: float = 0.0
    _failed: float = 0.0

    def answered(self, requests: int, behaviour: VersionBehaviour) -> Counts:
        """Count what comes of requests."""
        rejected, self._rejected = _whole(requests * behaviour.rejection_rate + self._rejected)
        taken = requests - rejected
        failed, self._failed = _whole(taken * behaviour.error_rate + self._failed)
        return counts(taken, failed, behaviour.latency_ms, rejected)


@dataclass
class Clients:
    """All clients of an application."""

    per_second: float = 200.0
    counted: dict[Colour, Counts] = field(default_factory=lambda: {colour: Counts() for colour in Colour})
    """What came of all requests so far."""
    _points: list[Point] = field(default_factory=list)
    _answering: dict[Colour, Answering] = field(default_factory=lambda: {colour: Answering() for colour in Colour})
    _rest: float = 0.0
    _rest_of_green: float = 0.0

    @property
    def sent(self) -> int:
        """Requests so far."""
        return sum(each.judged for each in self.counted.values())

    @property
    def failed(self) -> int:
        """Those that failed."""
        return sum(each.failed for each in self.counted.values())

    def send(self, now: float, seconds: float, share: int, behaviours: Mapping[Colour, VersionBehaviour | None]) -> None:
        """Ask for `seconds` up to `now`; `share` of the requests, in 1/100 %, goes to green. None: no replica is there."""
        if not self._points:
            self._points.append(self._point(now - seconds, share))
        for colour, requests in self._split(self.per_second * seconds, share).items():
            answered = self._answering[colour].answered(requests, behaviours[colour] or _NOBODY)
            self.counted[colour] = self.counted[colour].plus(answered)
        self._points.append(self._point(now, share))
        if len(self._points) > MOST_POINTS:
            self._points = thinned(self._points)

    def windows(self, going: Gathering) -> tuple[Window, ...]:
        """Give what was counted since an analysis began, up to now."""
        if not self._points:
            return ()
        return windows(self._points, self._points[-1], going.began_at, going.seconds)

    def before(self, going: Gathering, stable: Colour) -> Counts | None:
        """Give what the version that served answered before the candidate had all traffic; None while both have some."""
        window = stretch(self._points, going.alone_since, going.seconds) if going.alone_since is not None else None
        return window.counts(stable) if window is not None else None

    def forget(self) -> None:
        """Lose the samples, as a controller that starts anew."""
        self._points.clear()

    def _split(self, requests: float, share: int) -> dict[Colour, int]:
        total, self._rest = _whole(requests + self._rest)
        green, self._rest_of_green = _whole(total * share / SHARES + self._rest_of_green)
        if share in (0, SHARES):
            green, self._rest_of_green = total * share // SHARES, 0.0
        green = min(green, total)
        return {Colour.BLUE: total - green, Colour.GREEN: green}

    def _point(self, at: float, share: int) -> Point:
        return Point(at, share, self.counted[Colour.BLUE], self.counted[Colour.GREEN], 0, 0)


def _whole(number: float) -> tuple[int, float]:
    """The whole part of what is not below 0, and the rest; what misses a whole by rounding alone is one."""
    whole = int(number + 1e-9)
    return whole, max(0.0, number - whole)
