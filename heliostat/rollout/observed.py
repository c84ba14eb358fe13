"""What a decision sees: one application in Serve and in the traffic plane, and what is measured of its traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from heliostat.spec.analysis import Measurements
from heliostat.spec.latencies import Counts

SHARES = 10_000
"""Weights count in 1/100 %."""


class Colour(StrEnum):
    """One of the two places of an application."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        """The other one."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE

    @property
    def full_share(self) -> int:
        """The share of green at which this colour has all traffic."""
        return SHARES if self is Colour.GREEN else 0


class Condition(StrEnum):
    """What Serve says about a colour."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True)
class AwaitedNodes:
    """Nodes that an autoscaler has to bring."""

    groups: str
    """Of which groups, in words."""
    timeout_seconds: float
    """How long that may take."""


@dataclass(frozen=True)
class ColourStatus:
    """One colour, as Serve and HAProxy see it."""

    condition: Condition = Condition.ABSENT
    identity: str | None = None
    replicas: int = 0
    """Asked for."""
    max_ongoing_requests: int = 0
    """Asked for."""
    error: str = ""
    awaits: AwaitedNodes | None = None
    """The nodes that its replicas wait for; None where they wait for none."""
    running: frozenset[str] = frozenset()
    """Replicas that Serve lists."""
    healthy: frozenset[str] = frozenset()
    """Those of them whose probe HAProxy found well."""
    usable: frozenset[str] = frozenset()
    """Replicas that HAProxy gives requests to, where the colour has a share."""
    in_flight: int = 0
    golden: dict[str, str | None] = field(default_factory=dict)
    """Replicas that were asked the golden requests: None where all was right, else what was not."""

    @property
    def passed(self) -> frozenset[str]:
        """Running replicas that answered the golden requests rightly."""
        return frozenset(name for name in self.running if name in self.golden and self.golden[name] is None)

    @property
    def right(self) -> frozenset[str]:
        """Those of them that are healthy."""
        return self.passed & self.healthy

    @property
    def untested(self) -> frozenset[str]:
        """Healthy replicas that were not asked the golden requests."""
        return frozenset(name for name in self.healthy if name not in self.golden)

    @property
    def wrong(self) -> str | None:
        """What a replica answered wrongly."""
        return next((f"replica {name}: {text}" for name, text in sorted(self.golden.items()) if text), None)


@dataclass(frozen=True)
class Window:
    """What clients' requests showed in a stretch of time that ends now."""

    seconds: float
    blue: Counts = field(default_factory=Counts)
    green: Counts = field(default_factory=Counts)

    def counts(self, colour: Colour) -> Counts:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green


@dataclass(frozen=True)
class Evidence:
    """What is measured of the rollout's present step."""

    windows: tuple[Window, ...] = ()
    """The whole step, at most as long as its analysis, and shorter ones, the longest first."""
    figures: Measurements | None = None
    """The analysis runner's, of the analysis that `Analyse` asked for last."""
    before: Counts | None = None
    """Where the candidate has all traffic: what was answered, in as long a time, by what served until then. What stands idle
    beside a busy candidate now would answer faster than it ever did."""


@dataclass(frozen=True)
class Observed:
    """An application, at one look."""

    blue: ColourStatus = ColourStatus()
    green: ColourStatus = ColourStatus()
    share: int = 0
    """Of green, in 1/100 %, as HAProxy has it."""
    shift_milliseconds: float | None = None
    """From the decision for `share` until HAProxy had it; None where this process did not move it."""
    evidence: Evidence = Evidence()
    watched_since: float = 0.0
    """Since when the cluster has been looked at without a break, Unix time: what nobody could see counts against nobody."""

    def seen(self, colour: Colour) -> ColourStatus:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green
