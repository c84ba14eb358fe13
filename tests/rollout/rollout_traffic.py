"""Clients, what HAProxy counts of them, and an analysis runner; each version behaves as it is called."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliostat.rollout.model import Analyse, Window
from heliostat.spec.analysis import Measurement, Measurements, Source, Verdict
from heliostat.spec.latencies import BUCKETS, Counts, bucket_of

FAILING = {"fails": 0.05, "fails_all": 1.0}
MILLISECONDS = {"slow": 80.0}
WINDOWS = (10.0, 5.0, 2.0)


def counts(requests: int, failed: int = 0, milliseconds: float = 10.0) -> Counts:
    latencies = [0] * BUCKETS
    latencies[bucket_of(milliseconds)] = requests - failed
    return Counts(requests=requests, failed=failed, latencies=tuple(latencies))


def answered(requests: int, behaviour: str | None, carry: float = 0.0) -> tuple[Counts, float]:
    """What comes of requests to a version, and the part of a failure that is left over; nobody there fails all."""
    share = 1.0 if behaviour is None else FAILING.get(behaviour, 0.0)
    failed = requests * share + carry
    return counts(requests, int(failed), MILLISECONDS.get(behaviour or "", 10.0)), failed - int(failed)


@dataclass
class Clients:
    """A steady rate; each second is a sample of what was counted until then."""

    per_second: float = 200.0
    samples: list[tuple[float, Counts, Counts]] = field(default_factory=list)
    failed: int = 0
    sent: int = 0
    _carry: dict[str, float] = field(default_factory=lambda: {"blue": 0.0, "green": 0.0})

    def send(self, now: float, seconds: float, green_share: int, blue: str | None, green: str | None) -> None:
        total = round(self.per_second * min(seconds, 60.0))
        of_green = round(total * green_share / 10_000)
        blues, self._carry["blue"] = answered(total - of_green, blue, self._carry["blue"])
        greens, self._carry["green"] = answered(of_green, green, self._carry["green"])
        if not self.samples:
            self.samples.append((now - seconds, Counts(), Counts()))
        _, all_blue, all_green = self.samples[-1]
        self.samples.append((now, all_blue.plus(blues), all_green.plus(greens)))
        self.sent += total
        self.failed += blues.failed + greens.failed
        del self.samples[:-100]

    def windows(self, began: float, longest: float, now: float) -> tuple[Window, ...]:
        lengths = [min(longest, max(0.0, now - began)), *(each for each in WINDOWS if each < now - began)]
        return tuple(self._window(max(began, now - length), length) for length in lengths if length > 0)

    def _window(self, after: float, length: float) -> Window:
        first = next((sample for sample in self.samples if sample[0] >= after - 1e-6), None)
        if first is None:
            return Window(length)
        last = self.samples[-1]
        return Window(length, last[1].since(first[1]), last[2].since(first[2]))

    def forget(self) -> None:
        """The samples are lost, or what they were taken of counts from 0."""
        self.samples.clear()


@dataclass
class AnalysisRunner:
    """Answers two seconds after it was asked, in one of several manners."""

    manner: str = "fine"
    """`fine`, `golden` (only five requests are there), `mute`, `breaks`, or `disagrees`."""
    key: str = ""
    since: float = 0.0
    asks: int = 0
    action: Analyse | None = None
    behaviour: str = "fine"

    def asked(self, action: Analyse | None, now: float) -> None:
        key = action.key if action is not None else ""
        if key != self.key:
            self.key, self.since, self.action = key, now, action
            self.asks += bool(key)

    def figures(self, now: float, key: str) -> Measurements | None:
        if self.action is None or key != self.key or self.manner == "mute" or now - self.since < 2:
            return None
        if self.manner == "breaks":
            return Measurements(source=Source.RECENT, error="the object store is away")
        many = 5 if self.manner == "golden" else 500
        candidate, _ = answered(many, self.behaviour)
        checks = {number: self._figure(check.kind, many) for number, check in enumerate(self.action.analysis.checks)}
        return Measurements(
            source=Source.GOLDEN if self.manner == "golden" else Source.RECENT,
            requests=many,
            candidate=candidate,
            serving=counts(many),
            checks={number: figure for number, figure in checks.items() if figure is not None},
            exhausted=True,
        )

    def _figure(self, kind: str, rows: int) -> Measurement | None:
        apart = self.manner == "disagrees"
        match kind:
            case "disagreement" | "prediction-distance":
                return Measurement(candidate=0.5 if apart else 0.001, rows=rows)
            case "model-metric":
                return Measurement(candidate=0.8, serving=0.8, rows=rows) if rows >= 100 else Measurement(rows=0)
            case "custom":
                return Measurement(verdict=Verdict.FAIL if apart else Verdict.PASS, rows=1)
        return None
