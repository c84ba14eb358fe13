"""What a rollout knows (`State`, kept), what it sees (`Observed`) and what it can ask for (actions)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from heliostat.spec.analysis import Analysis, Figures
from heliostat.spec.base import Model, Name
from heliostat.spec.latencies import Counts
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.strategies import Strategy

SHARES = 10_000
"""Weights count in 1/100 %."""

ENDS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED})
SETTLED = frozenset({Phase.RETAINING, Phase.RETIRING})
"""The new version has all traffic; what is left is to put the old one away."""


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


class Access(StrEnum):
    """Which replicas of a colour may take requests."""

    CLOSED = "closed"
    TESTED = "tested"
    """Those that answered the golden requests rightly."""
    OPEN = "open"
    """All healthy ones."""


def identity(desired: Desired) -> str:
    """What needs new replicas when it changes; all else is changed in place."""
    return f"{desired.version.digest}/{desired.cpus_per_replica:g}"


class Slot(Model):
    """What one colour shall be."""

    desired: Desired | None = None
    replicas: int = 0
    access: Access = Access.CLOSED


class Progress(Model):
    """One rollout."""

    number: int
    phase: Phase
    strategy: Strategy
    candidate: Colour
    target: Desired
    previous: Desired | None = None
    """What served before, and comes back where this fails."""
    previous_colour: Colour | None = None
    in_place: bool = False
    """The version stays; only what can be changed on running replicas changes."""
    started_at: float
    since: float
    """When the present phase, or its present step, began."""
    cold_since: float | None = None
    """When the candidate was asked for where nothing of it was there."""
    way_back: Strategy
    """How the old version gets its replicas back where an unfinished rollout took them: as that one took them."""
    gap_since: float | None = None
    """When the last replica was told to take no more requests."""
    sick_since: float | None = None
    """Since when no replica of what has all traffic is healthy."""
    error: str | None = None
    figures: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        """Nothing more happens to it."""
        return self.phase in ENDS


class State(Model):
    """An application as it shall be now; kept before anything is done."""

    name: Name
    declared: Desired | None = None
    pending: bool = False
    """`declared` has not been looked at yet."""
    deleting: bool = False
    blue: Slot = Slot()
    green: Slot = Slot()
    live: Colour | None = None
    """Whose version is the one that serves; during a shift the old one's."""
    share: int = 0
    """Of green, in 1/100 %."""
    rollout: Progress | None = None
    heal_after: float = 0.0
    """When a broken colour may be made anew, at the earliest."""

    def slot(self, colour: Colour) -> Slot:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green

    def with_slot(self, colour: Colour, **changes: Any) -> State:
        """The same with one colour changed."""
        return self.model_copy(update={colour.value: self.slot(colour).model_copy(update=changes)})

    def with_rollout(self, **changes: Any) -> State:
        """The same with its rollout changed."""
        if self.rollout is None:
            raise ValueError(f"{self.name} has no rollout")
        return self.model_copy(update={"rollout": self.rollout.model_copy(update=changes)})

    def but(self, **changes: Any) -> State:
        """The same with `changes`."""
        return self.model_copy(update=changes)


class Condition(StrEnum):
    """What Serve says about a colour."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Seen:
    """One colour, as Serve and HAProxy see it."""

    condition: Condition = Condition.ABSENT
    identity: str | None = None
    replicas: int = 0
    """Asked for."""
    max_ongoing_requests: int = 0
    """Asked for."""
    error: str = ""
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
    blue: Counts = Counts()
    green: Counts = Counts()

    def counts(self, colour: Colour) -> Counts:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green


@dataclass(frozen=True)
class Evidence:
    """What is measured of the rollout's present step."""

    windows: tuple[Window, ...] = ()
    """The whole step, at most as long as its analysis, and shorter ones, the longest first."""
    figures: Figures | None = None
    """The analyst's, of the analysis that `Analyse` asked for last."""


@dataclass(frozen=True)
class Observed:
    """An application, at one look."""

    blue: Seen = Seen()
    green: Seen = Seen()
    share: int = 0
    """Of green, in 1/100 %, as HAProxy has it."""
    shift_milliseconds: float | None = None
    """From the decision for `share` until HAProxy had it; None where this process did not move it."""
    evidence: Evidence = Evidence()

    def seen(self, colour: Colour) -> Seen:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green


@dataclass(frozen=True)
class DeployColour:
    """Have Serve run `desired` with `replicas` in a colour; running replicas of the same identity stay."""

    colour: Colour
    desired: Desired
    replicas: int


@dataclass(frozen=True)
class RetireColour:
    """Have Serve forget a colour."""

    colour: Colour


@dataclass(frozen=True)
class TestGolden:
    """Ask one replica the contract's golden requests."""

    __test__ = False  # not a test case, whatever its name begins with

    colour: Colour
    replica: str


@dataclass(frozen=True)
class SetShare:
    """Send this share of new requests to green."""

    share: int


@dataclass(frozen=True)
class Analyse:
    """Have an analyst at work for as long as every look asks for this; a change of `key` is another one, from the start."""

    key: str
    """Names the rollout and its step."""
    candidate: Colour
    analysis: Analysis
    shadow_share: float | None = None


Action = DeployColour | RetireColour | TestGolden | SetShare | Analyse


@dataclass(frozen=True)
class Record:
    """An entry for the ledger, made from the state that it stands beside."""

    kind: EntryKind
    weights: dict[str, float]
    """Shares of the traffic after it, 0 to 1, by the version's digest; empty where nothing serves."""


@dataclass(frozen=True)
class Step:
    """A next state, with what happened for people to read."""

    state: State
    events: tuple[tuple[Phase, str], ...] = ()
    gone: bool = False
    """Nothing of the application is left, and it is to be forgotten."""


@dataclass(frozen=True)
class Decision:
    """What is next."""

    state: State
    actions: tuple[Action, ...]
    events: tuple[tuple[Phase, str], ...]
    records: tuple[Record, ...] = ()
    gone: bool = False
    """Nothing of the application is left, and it is to be forgotten."""
