"""A small world with Serve and HAProxy in it, for the decisions to act upon; time passes when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliostat.rollout.actions import admitted
from heliostat.rollout.decide import decide, declare, delete
from heliostat.rollout.model import (
    ENDS,
    Action,
    Colour,
    Condition,
    DeployColour,
    Observed,
    RetireColour,
    Seen,
    SetShare,
    State,
    TestGolden,
    identity,
)
from heliostat.spec.resources import StoreAddress
from heliostat.spec.rollouts import Desired, Phase, Version
from heliostat.spec.strategies import Strategy
from heliostat.spec.workload import Limits, PredictionLog

STARTUP_SECONDS = 3
DRAIN_SECONDS = 2


def version(number: int, behaviour: str = "fine") -> Version:
    return Version(
        digest=f"{number:064x}",
        label=f"{number}-{behaviour}",
        code_uri="file:///code.zip",
        contract=f"app:{behaviour}",
        model_uri=f"models:/flights/{number}",
        tracking_uri="http://127.0.0.1:5000",
        store=StoreAddress(uri="file:///objects"),
        prediction_log=PredictionLog(),
        limits=Limits(),
    )


def desired(number: int, strategy: Strategy, replicas: int = 2, behaviour: str = "fine", timeout: float = 20.0) -> Desired:
    return Desired(
        version=version(number, behaviour),
        replicas=replicas,
        cpus_per_replica=1,
        max_ongoing_requests=8,
        startup_timeout_seconds=timeout,
        strategy=strategy,
    )


def behaviour_of(wanted: Desired) -> str:
    return wanted.version.contract.partition(":")[2]


@dataclass
class Replica:
    name: str
    ready_at: float
    usable: bool = False
    probed: bool = False


@dataclass
class App:
    """A colour in Serve."""

    wanted: Desired
    asked: int
    replicas: list[Replica] = field(default_factory=list)
    failed: bool = False
    gone_at: float | None = None


class World:
    """Acts on what is decided, one controller's look at a time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.apps: dict[Colour, App] = {}
        self.share = 0
        self.state = State(name="flights")
        self.golden: dict[str, str | None] = {}
        self.asked: dict[str, str | None] = {}
        self.ends: dict[int, list[Phase]] = {}
        self.story: list[str] = []
        self.gone = False
        self._names = 0

    # What people do.

    def declare(self, wanted: Desired) -> None:
        self.gone = False
        self.state = declare(self.state, wanted, self.observe())

    def delete(self) -> None:
        self.state = delete(self.state)

    # What the controller does.

    def look(self, acts: int | None = None) -> bool:
        """One look: decide, record, then the first `acts` of the actions (all by default). Whether anything happened."""
        self.golden |= self.asked
        self.asked.clear()
        decision = decide(self.state, self.observe(), self.now)
        changed = decision.state != self.state
        self._record(decision.state, decision.events)
        self.state = decision.state
        if decision.gone:
            self.gone, self.state = True, State(name="flights")
            return False
        for action in decision.actions[:acts]:
            self._act(action)
        self.follow()
        return changed or bool(decision.actions)

    def follow(self) -> None:
        """What the controller does with HAProxy's servers at each look."""
        observed = self.observe()
        for colour, app in self.apps.items():
            allowed = admitted(self.state.slot(colour), observed.seen(colour)) if app.gone_at is None else frozenset()
            for replica in app.replicas:
                replica.usable = replica.name in allowed and (replica.probed or replica.usable)

    # What the world does.

    def pass_time(self, seconds: float = 1.0) -> None:
        self.now += seconds
        for colour, app in list(self.apps.items()):
            if app.gone_at is not None:
                if self.now >= app.gone_at:
                    del self.apps[colour]
                continue
            behaviour = behaviour_of(app.wanted)
            if behaviour == "crashes":
                app.failed = app.failed or self.now >= min((r.ready_at for r in app.replicas), default=self.now + 1)
                if app.failed:
                    app.replicas.clear()
                continue
            while len(app.replicas) < app.asked and not app.failed:
                app.replicas.append(self._replica())
            for replica in app.replicas:
                replica.probed = self.now >= replica.ready_at and behaviour != "never_healthy"

    def kill_replica(self, colour: Colour) -> None:
        app = self.apps.get(colour)
        if app is not None and app.replicas:
            app.replicas.pop(0)

    def lose_serve(self) -> None:
        """The head is gone and comes back with nothing."""
        self.apps.clear()

    def observe(self) -> Observed:
        seen = {colour: self._seen(colour) for colour in Colour}
        return Observed(seen[Colour.BLUE], seen[Colour.GREEN], self.share)

    def usable(self, colour: Colour) -> list[Replica]:
        app = self.apps.get(colour)
        return [replica for replica in app.replicas if replica.usable and replica.probed] if app else []

    def serving(self) -> list[Replica]:
        """Replicas that get requests."""
        parts = {Colour.GREEN: self.share, Colour.BLUE: 10_000 - self.share}
        return [replica for colour, share in parts.items() if share for replica in self.usable(colour)]

    def settle(self, looks: int = 600) -> None:
        """Go on without faults until nothing changes any more."""
        quiet = 0
        for _ in range(looks):
            quiet = 0 if self.look() else quiet + 1
            self.pass_time()
            active = self.state.rollout is not None and not self.state.rollout.ended
            if quiet > STARTUP_SECONDS + DRAIN_SECONDS + 2 and not active and not self.state.pending:
                return
        raise AssertionError(f"it does not end: {self.state.rollout}\n{self.story[-20:]}")

    def _seen(self, colour: Colour) -> Seen:
        app = self.apps.get(colour)
        if app is None:
            return Seen()
        if app.gone_at is not None:
            return Seen(condition=Condition.STOPPING)
        running = frozenset(replica.name for replica in app.replicas if self.now >= replica.ready_at)
        healthy = frozenset(replica.name for replica in app.replicas if replica.probed)
        condition = Condition.FAILED if app.failed else Condition.STARTING
        return Seen(
            condition=Condition.RUNNING if len(running) == app.asked else condition,
            identity=identity(app.wanted),
            replicas=app.asked,
            max_ongoing_requests=app.wanted.max_ongoing_requests,
            error="ValueError: no such column" if app.failed else "",
            running=running,
            healthy=healthy,
            usable=frozenset(replica.name for replica in app.replicas if replica.usable and replica.probed),
            golden={name: self.golden[name] for name in running if name in self.golden},
        )

    def _act(self, action: Action) -> None:
        match action:
            case DeployColour(colour, wanted, replicas):
                app = self.apps.get(colour)
                if app is None:
                    self.apps[colour] = App(wanted, replicas, [self._replica() for _ in range(replicas)])
                else:
                    assert identity(app.wanted) == identity(wanted), "a version is deployed over another one"
                    app.wanted, app.asked = wanted, replicas
                    # Serve stops what is not ready first.
                    app.replicas = sorted(app.replicas, key=lambda replica: not replica.probed)[:replicas]
            case RetireColour(colour):
                self.apps[colour].gone_at = self.now + DRAIN_SECONDS
                self.apps[colour].replicas.clear()
            case TestGolden(colour, name):
                # The answer comes after this look.
                self.asked[name] = "expected late" if behaviour_of(self.apps[colour].wanted) == "wrong" else None
            case SetShare(share):
                self.share = share

    def _replica(self) -> Replica:
        self._names += 1
        return Replica(f"r{self._names}", self.now + STARTUP_SECONDS)

    def _record(self, state: State, events: tuple[tuple[Phase, str], ...]) -> None:
        for phase, text in events:
            number = state.rollout.number if state.rollout else 0
            self.story.append(f"{self.now:g} #{number} {phase}: {text}")
            if phase in ENDS:
                self.ends.setdefault(number, []).append(phase)
