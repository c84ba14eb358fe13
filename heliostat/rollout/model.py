"""What a rollout knows (`State`, kept) and what it can ask for (actions)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field

from heliostat.rollout.observed import SHARES, Colour, ColourStatus, Condition, Evidence, Observed, Window
from heliostat.spec.analysis import Analysis, AnalysisResult, Verdict
from heliostat.spec.base import Model, Name
from heliostat.spec.groups import Placement
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import BlockedVersion, Desired, Origin, Phase
from heliostat.spec.strategies import Strategy

ENDS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED})
SETTLED = frozenset({Phase.RETAINING, Phase.RETIRING})
"""The new version has all traffic; what is left is to put the old one away."""
GATHERING = frozenset({Phase.ANALYSING, Phase.PAUSED, Phase.WAITING})
"""The present stage has its share, and its figures are looked at."""


class Admission(StrEnum):
    """Which replicas of a colour may take requests."""

    CLOSED = "closed"
    TESTED = "tested"
    """Those that answered the golden requests rightly."""
    OPEN = "open"
    """All healthy ones."""


def identity(desired: Desired) -> str:
    """What needs new replicas when it changes; all else is changed in place."""
    return on_cluster(identity_anywhere(desired), desired.cluster)


def identity_anywhere(desired: Desired) -> str:
    """The same without the cluster."""
    return identity_of(desired.version.digest, desired.cpus_per_replica, desired.gpus_per_replica, desired.placement)


def identity_of(
    digest: str, cpus_per_replica: float, gpus_per_replica: float = 0.0, placement: Placement | None = None
) -> str:
    """The same, of what Serve was told."""
    parts = [digest, f"{cpus_per_replica:g}"]
    if gpus_per_replica or placement is not None:
        parts.append(f"{gpus_per_replica:g}")
    return "/".join([*parts, *([placement.model_dump_json()] if placement is not None else [])])


def on_cluster(identity: str, cluster: str) -> str:
    """The identity of what runs as `identity` on a cluster, by its URL; the same on another one is another thing."""
    return f"{identity}@{cluster}" if cluster else identity


class ColourSpec(Model):
    """What one colour shall be."""

    desired: Desired | None = None
    replicas: int = 0
    access: Admission = Admission.CLOSED
    closed_at: float | None = None
    """Since when what is to go of this colour takes no new request, Unix time in seconds, until it is gone."""


class Progress(Model):
    """One rollout. Times are Unix time, in seconds."""

    number: int
    phase: Phase
    strategy: Strategy
    candidate: Colour
    target: Desired
    previous: Desired | None = None
    """What served before, and comes back where this fails."""
    previous_colour: Colour | None = None
    origin: Origin | None = None
    """Who declared it."""
    in_place: bool = False
    """The version stays; only what can be changed on running replicas changes."""
    direct: bool = False
    """To all traffic at once and without analyses: back to what served before."""
    started_at: float
    ended_at: float | None = None
    since: float
    """When the present phase, or a rolling update's present batch, began."""
    awaits: str = ""
    """The groups of which nodes have to come before the candidate can start; empty where it waits for none."""
    nodes_until: float | None = None
    """When its patience with them ends, since it began to wait for the first; None where it did not wait."""
    cold_since: float | None = None
    """When the candidate was asked for where nothing of it was there."""
    way_back: Strategy
    """How the old version gets its replicas back where an unfinished rollout took them: as that one took them."""
    gap_since: float | None = None
    """When the last replica was told to take no more requests."""
    sick_since: float | None = None
    """Since when no replica of the candidate is healthy."""
    stage: int = 0
    """Which of its strategy's stages it is at; not of use where it rolls."""
    stage_at: float | None = None
    """Since when the present stage has its share; None until then."""
    shift_at: float | None = None
    """When the share was last decided, until the traffic plane has it."""
    analysis_at: float | None = None
    """Since when the present stage's analysis gathers; later than `stage_at` where it was changed."""
    judged: Verdict | None = None
    """What the present stage's analysis came to."""
    deleted: bool = False
    """The application was taken away after it: what is declared then starts as a first version does."""
    aborted: str | None = None
    """What a person said who wants it rolled back, until it is."""
    approved: bool = False
    """A person let the present stage go on."""
    cleared: int = 0
    """Replicas of the candidate with which a rolling update passed its analysis."""
    analyses: tuple[AnalysisResult, ...] = ()
    """Those that ended."""
    excused: bool = False
    """The world around it failed: what comes of it is not held against the candidate."""
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
    origin: Origin | None = None
    """Who declared it."""
    pending: bool = False
    """`declared` has not been looked at yet."""
    returning: bool = False
    """`declared` served before, and a person wants it back: as fast as can be."""
    deleting: bool = False
    blue: ColourSpec = Field(default_factory=ColourSpec)
    green: ColourSpec = Field(default_factory=ColourSpec)
    live: Colour | None = None
    """Whose version is the one that serves; during a shift the old one's."""
    share: int = 0
    """Of green, in 1/100 %."""
    rollout: Progress | None = None
    heal_after: float = 0.0
    """When a broken colour may be made anew, at the earliest."""
    entered: dict[str, float] = {}
    """Shares of the traffic by version, as the ledger was last told."""
    refused: tuple[BlockedVersion, ...] = ()
    """What was rolled back and is not shipped again by itself, the newest first."""

    def slot(self, colour: Colour) -> ColourSpec:
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
    """Have an analysis runner at work while every look asks for this; a change of `key` is another one, from the start."""

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
    moved: bool = False
    """A batch of a rolling update has moved."""
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


__all__ = [
    "ENDS",
    "GATHERING",
    "SETTLED",
    "SHARES",
    "Action",
    "Admission",
    "Analyse",
    "Colour",
    "ColourSpec",
    "ColourStatus",
    "Condition",
    "Decision",
    "DeployColour",
    "Evidence",
    "Observed",
    "Progress",
    "Record",
    "RetireColour",
    "SetShare",
    "State",
    "Step",
    "TestGolden",
    "Window",
    "identity",
    "identity_anywhere",
    "identity_of",
    "on_cluster",
]
