"""The table: which kind of fault meets which state of which strategy, and what is promised there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from heliostat.spec.analysis import Analysis, Disagreement, SuccessRate
from heliostat.spec.rollouts import Phase, Rollout
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy

RATE = 40.0
"""Requests a second while a cell is measured."""
REPLICAS = 2


class Kind(StrEnum):
    """What is killed, with SIGKILL."""

    UP = "up"
    PLUGIN = "plugin"
    CONTROLLER = "controller"
    HAPROXY = "haproxy"
    SERVE = "serve-controller"
    REPLICA = "replica"
    CANDIDATE = "candidate"
    WORKER = "worker"
    HEAD = "head"


WHAT = {
    Kind.UP: "the `up` process",
    Kind.PLUGIN: "the provider's plugin",
    Kind.CONTROLLER: "the controller",
    Kind.HAPROXY: "HAProxy",
    Kind.SERVE: "Serve's controller",
    Kind.REPLICA: "a replica that serves",
    Kind.CANDIDATE: "a replica of the candidate",
    Kind.WORKER: "a worker node",
    Kind.HEAD: "the head",
}
BY_UP = frozenset({Kind.UP, Kind.PLUGIN})
"""Kinds whose rollouts are begun by an `up`; the others by the controller's API."""


class State(StrEnum):
    """Where the rollout is when the fault comes; only states that last are here."""

    STARTING = "starting"
    TESTING = "testing"
    BEFORE = "analysing-before"
    """Before any traffic moves; for a shadow its whole purpose."""
    ANALYSING = "analysing"
    SHIFTING = "shifting"
    PAUSED = "paused"
    WAITING = "waiting"
    AFTER = "analysing-after"
    RETAINING = "retaining"
    RETIRING = "retiring"
    ROLLING_BACK = "rolling-back"


@dataclass(frozen=True)
class Moment:
    """When to act: the rollout's phase, and its step where several have that phase."""

    phase: Phase
    step: int | None = None

    def is_now(self, rollout: Rollout) -> bool:
        """Whether `rollout` is there."""
        return rollout.phase is self.phase and self.step in (None, rollout.step)


@dataclass(frozen=True)
class Scene:
    """A rollout that comes through a state, and stays long enough for the fault to meet it there."""

    strategy: Strategy
    moment: Moment
    abort_at: Moment | None = None
    """When a person aborts it, so that it rolls back."""


def _analysis(seconds: float) -> Analysis:
    return Analysis(checks=(SuccessRate(at_least=0.9),), seconds=seconds, min_requests=10)


def _compared(seconds: float) -> Analysis:
    return Analysis(checks=(Disagreement(at_most=0.01), SuccessRate(at_least=0.9)), seconds=seconds, min_requests=10)


def _blue_green(retention: float = 0.3, before: float = 0.0, after: float = 0.0) -> BlueGreen:
    return BlueGreen(
        before=_analysis(before) if before else None,
        after=_analysis(after) if after else None,
        retention_seconds=retention,
    )


def _canary(pause: float = 0.2, analysis: float = 0.0, approval: bool = False, retention: float = 0.3) -> Canary:
    steps = (
        CanaryStep(weight=20, analysis=_analysis(analysis) if analysis else None),
        CanaryStep(weight=50, pause_seconds=pause),
        CanaryStep(weight=80, approval=approval),
    )
    return Canary(steps=steps, retention_seconds=retention)


def _shadow(seconds: float = 2.0, approval: bool = False, retention: float = 0.3) -> Shadow:
    return Shadow(analysis=_compared(seconds), approval=approval, retention_seconds=retention)


def _rolling(analysis: float = 0.0) -> Rolling:
    return Rolling(analysis=_analysis(analysis) if analysis else None)


_LONG_S = 3.0
"""How long a state is made to last that would pass by."""

SCENES: dict[str, dict[State, Scene]] = {
    "recreate": {
        State.STARTING: Scene(Recreate(), Moment(Phase.STARTING)),
        State.TESTING: Scene(Recreate(), Moment(Phase.TESTING)),
        State.ROLLING_BACK: Scene(Recreate(), Moment(Phase.ROLLING_BACK), abort_at=Moment(Phase.TESTING)),
    },
    "rolling": {
        State.STARTING: Scene(_rolling(), Moment(Phase.STARTING)),
        State.TESTING: Scene(_rolling(), Moment(Phase.TESTING)),
        State.SHIFTING: Scene(_rolling(), Moment(Phase.SHIFTING)),
        State.ANALYSING: Scene(_rolling(_LONG_S), Moment(Phase.ANALYSING)),
        State.RETIRING: Scene(_rolling(), Moment(Phase.RETIRING)),
        State.ROLLING_BACK: Scene(_rolling(_LONG_S), Moment(Phase.ROLLING_BACK), abort_at=Moment(Phase.ANALYSING)),
    },
    "blue-green": {
        State.STARTING: Scene(_blue_green(), Moment(Phase.STARTING)),
        State.TESTING: Scene(_blue_green(), Moment(Phase.TESTING)),
        State.BEFORE: Scene(_blue_green(before=_LONG_S), Moment(Phase.ANALYSING)),
        State.AFTER: Scene(_blue_green(after=_LONG_S), Moment(Phase.ANALYSING)),
        State.RETAINING: Scene(_blue_green(_LONG_S), Moment(Phase.RETAINING)),
        State.RETIRING: Scene(_blue_green(), Moment(Phase.RETIRING)),
        State.ROLLING_BACK: Scene(_blue_green(after=_LONG_S), Moment(Phase.ROLLING_BACK), abort_at=Moment(Phase.ANALYSING)),
    },
    "canary": {
        State.STARTING: Scene(_canary(), Moment(Phase.STARTING)),
        State.TESTING: Scene(_canary(), Moment(Phase.TESTING)),
        State.ANALYSING: Scene(_canary(analysis=_LONG_S), Moment(Phase.ANALYSING)),
        State.PAUSED: Scene(_canary(pause=_LONG_S), Moment(Phase.PAUSED)),
        State.WAITING: Scene(_canary(approval=True), Moment(Phase.WAITING)),
        State.RETAINING: Scene(_canary(retention=_LONG_S), Moment(Phase.RETAINING)),
        State.ROLLING_BACK: Scene(_canary(pause=_LONG_S), Moment(Phase.ROLLING_BACK), abort_at=Moment(Phase.PAUSED)),
    },
    "shadow": {
        State.STARTING: Scene(_shadow(), Moment(Phase.STARTING)),
        State.TESTING: Scene(_shadow(), Moment(Phase.TESTING)),
        State.BEFORE: Scene(_shadow(_LONG_S), Moment(Phase.ANALYSING)),
        State.WAITING: Scene(_shadow(approval=True), Moment(Phase.WAITING)),
        State.RETAINING: Scene(_shadow(retention=_LONG_S), Moment(Phase.RETAINING)),
        State.ROLLING_BACK: Scene(_shadow(approval=True), Moment(Phase.ROLLING_BACK), abort_at=Moment(Phase.WAITING)),
    },
}


@dataclass(frozen=True)
class Cell:
    """One fault at one state of one strategy."""

    kind: Kind
    strategy: str
    state: State

    @property
    def name(self) -> str:
        """`kind/strategy/state`"""
        return f"{self.kind}/{self.strategy}/{self.state}"

    @property
    def scene(self) -> Scene:
        """How to come there."""
        return SCENES[self.strategy][self.state]

    @property
    def rolls_back(self) -> bool:
        """Whether the old version is to serve at its end."""
        return self.scene.abort_at is not None


def cells(kinds: Sequence[Kind] = tuple(Kind), strategies: Sequence[str] = tuple(SCENES)) -> Iterator[Cell]:
    """The table's cells: those of one kind together; the head, which takes longest, comes last."""
    for kind in sorted(kinds, key=list(Kind).index):
        for strategy in strategies:
            yield from (Cell(kind, strategy, state) for state in SCENES[strategy] if _has_victim(kind, strategy, state))


def _has_victim(kind: Kind, strategy: str, state: State) -> bool:
    """Whether there is something to kill: while it is recreated, nothing serves until the old version is started again."""
    return not (kind is Kind.REPLICA and strategy == "recreate" and state is not State.ROLLING_BACK)


@dataclass(frozen=True)
class Promise:
    """What a client may notice at most."""

    failed: int | None
    """Failed requests; None where there is a gap, and all that come in it fail."""
    gap_seconds: float
    """The longest time without a good answer."""
    text: str


_RESTART_S = 0.5
"""The document says a quarter of a second; the rest is for a machine of two cores that also sends the load."""
_NOTHING = Promise(0, 2.5, "nothing")
_NODE = Promise(
    0,
    2.5,
    "nothing, where each version has a replica on another node: Ray chooses where they are, so a version is shipped again, "
    "up to three times, until it lies on both, and the node that is killed is one without all of a version",
)
_ALONE = Promise(
    int(RATE),
    2.5,
    "what is on its way, within a second, to a version whose only replica is killed: no other one can answer for it",
)
_RESTART = Promise(
    round(RATE * _RESTART_S),
    _RESTART_S,
    f"what comes until HAProxy has started again: a quarter of a second, {_RESTART_S:g} s at most",
)
_STOPPED = Promise(None, 60.0, "the gap of a recreation")
_NO_HEAD = Promise(None, 120.0, "a head without fault tolerance takes Serve's state with it: its applications start anew")


def promise(cell: Cell) -> Promise:
    """What is promised in a cell."""
    if cell.kind is Kind.HEAD:
        return _NO_HEAD
    if cell.strategy == "recreate":
        return _STOPPED
    if cell.kind is Kind.HAPROXY:
        return _RESTART
    if _may_be_alone(cell):
        return _ALONE
    return _NODE if cell.kind is Kind.WORKER else _NOTHING


def unhurt(cell: Cell) -> Promise:
    """What is promised as long as nothing was killed."""
    return _STOPPED if cell.strategy == "recreate" else _NOTHING


def _may_be_alone(cell: Cell) -> bool:
    """Whether a version may have one replica only, and traffic for it: half way of a rolling update of two."""
    kills = cell.kind in (Kind.REPLICA, Kind.CANDIDATE, Kind.WORKER)
    return kills and cell.strategy == "rolling" and cell.state in (State.SHIFTING, State.ANALYSING)
