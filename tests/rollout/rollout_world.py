"""A small world with Serve, HAProxy, clients and people in it, for decisions to act upon; time passes when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout_traffic import AnalysisRunner, Clients

from heliostat.rollout import orders
from heliostat.rollout.actions import admitted
from heliostat.rollout.decide import decide
from heliostat.rollout.model import (
    ENDS,
    Action,
    Analyse,
    Colour,
    ColourStatus,
    Condition,
    DeployColour,
    Evidence,
    Observed,
    Record,
    RetireColour,
    SetShare,
    State,
    Step,
    TestGolden,
    identity,
)
from heliostat.rollout.refusals import as_judged
from heliostat.rollout.show import gathering
from heliostat.spec.resources import StoreAddress
from heliostat.spec.rollouts import ActionRequest, Desired, Phase, RollbackRequest, Version
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
        self.now = 1e9
        self.apps: dict[Colour, App] = {}
        self.share = 0
        self.state = State(name="flights")
        self.golden: dict[str, str | None] = {}
        self.asked: dict[str, str | None] = {}
        self.ends: dict[int, list[Phase]] = {}
        self.story: list[str] = []
        self.ledger: list[tuple[int, Record]] = []
        self.through: set[str] = set()
        """Versions that came to serve."""
        self.gone = False
        self.skew = 0.0
        """How far the clock is from the time that passes."""
        self.watched_since = 0.0
        self.clients = Clients()
        self.analysis_runner = AnalysisRunner()
        self.blind = False
        """HAProxy has just started: it does not know yet who is healthy."""
        self._names = 0

    # What people do.

    @property
    def clock(self) -> float:
        return self.now + self.skew

    def declare(self, wanted: Desired, retry: bool = False) -> None:
        self.gone = False
        state = orders.retry(self.state, wanted) if retry else self.state
        self.state = orders.declare(state, wanted, self.observe())

    def delete(self) -> None:
        self._came_through()
        self.state = orders.delete(self.state)

    def approve(self) -> None:
        self._said(orders.approve(self.state, ActionRequest(by="ada"), self.clock))

    def abort(self) -> None:
        self._said(orders.abort(self.state, ActionRequest(by="ada"), self.clock))

    def go_back(self, wanted: Desired) -> None:
        self.state = orders.roll_back(self.state, wanted, self.observe(), RollbackRequest(by="ada"), self.clock)

    def _said(self, step: Step) -> None:
        self._record(step.state, step.events)
        self.state = step.state

    # What the controller does.

    def look(self, acts: int | None = None) -> bool:
        """One look: decide, record, then the first `acts` of the actions (all by default). Whether anything happened."""
        self.golden |= self.asked
        self.asked.clear()
        decision = decide(self.state, self.observe(), self.clock)
        self.blind = False
        changed = decision.state != self.state
        self._record(decision.state, decision.events)
        number = decision.state.rollout.number if decision.state.rollout else 0
        self.ledger += [(number, record) for record in decision.records]
        self.state = decision.state
        asked = next((action for action in decision.actions if isinstance(action, Analyse)), None)
        self.analysis_runner.asked(asked, self.now)
        if asked is not None and (wanted := self.state.slot(asked.candidate).desired) is not None:
            self.analysis_runner.behaviour = behaviour_of(wanted)
        if decision.gone:
            assert not self.apps
            assert all(len(ends) == 1 for ends in self.ends.values()), self.ends
            # What comes next counts from one.
            self.gone, self.state, self.ends, self.ledger = True, State(name="flights"), {}, []
            return False
        for action in decision.actions[:acts]:
            self._act(action)
        self.follow()
        return changed or any(not isinstance(action, Analyse) for action in decision.actions)

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
        parts = {colour: self._behaviours(colour) for colour in Colour}
        self.clients.send(self.clock, seconds, self.share, parts[Colour.BLUE], parts[Colour.GREEN])
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

    def _behaviours(self, colour: Colour) -> str | None:
        """How a colour answers; None where nobody does."""
        return behaviour_of(self.apps[colour].wanted) if self.usable(colour) else None

    def restart_controller(self) -> None:
        """What it had in its memory only is lost, and what it asked for too."""
        self.asked.clear()
        self.clients.forget()
        self.analysis_runner = AnalysisRunner(self.analysis_runner.manner)
        self.watched_since = self.clock

    def restart_haproxy(self) -> None:
        """It comes back with its share and its servers, but has to find out who is healthy, and counts from 0."""
        self.blind = True
        self.clients.forget()

    def cluster_is_away(self, seconds: float) -> None:
        """Nobody looks meanwhile."""
        self.pass_time(seconds)
        self.watched_since = self.clock

    def lose_serve(self) -> None:
        """The head is gone and comes back with nothing."""
        self.apps.clear()

    def observe(self) -> Observed:
        seen = {colour: self._seen(colour) for colour in Colour}
        going = gathering(self.state)
        windows = self.clients.windows(going.began_at, going.seconds, self.clock) if going is not None else ()
        evidence = Evidence(windows, self.analysis_runner.figures(self.now, going.key if going is not None else ""))
        return Observed(
            seen[Colour.BLUE], seen[Colour.GREEN], self.share, 1.5, evidence=evidence, watched_since=self.watched_since
        )

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
            rollout = self.state.rollout
            active = rollout is not None and not rollout.ended
            if rollout is not None and rollout.phase is Phase.WAITING and not quiet % 20:
                self.pass_time(86400.0)
            if quiet > STARTUP_SECONDS + DRAIN_SECONDS + 2 and not active and not self.state.pending:
                return
        raise AssertionError(f"it does not end: {self.state.rollout}\n{self.story[-20:]}")

    def _seen(self, colour: Colour) -> ColourStatus:
        app = self.apps.get(colour)
        if app is None:
            return ColourStatus()
        if app.gone_at is not None:
            return ColourStatus(condition=Condition.STOPPING)
        running = frozenset(replica.name for replica in app.replicas if self.now >= replica.ready_at)
        healthy = frozenset(replica.name for replica in app.replicas if replica.probed and not self.blind)
        condition = Condition.FAILED if app.failed else Condition.STARTING
        return ColourStatus(
            condition=Condition.RUNNING if len(running) == app.asked else condition,
            identity=identity(app.wanted),
            replicas=app.asked,
            max_ongoing_requests=app.wanted.max_ongoing_requests,
            error="ValueError: no such column" if app.failed else "",
            running=running,
            healthy=healthy,
            usable=frozenset(replica.name for replica in app.replicas if replica.usable and replica.probed and not self.blind),
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
            case Analyse():
                pass

    def _came_through(self) -> None:
        live = self.state.slot(self.state.live).desired if self.state.live is not None else None
        self.through |= {identity(live)} if live is not None else set()

    def _replica(self) -> Replica:
        self._names += 1
        return Replica(f"r{self._names}", self.now + STARTUP_SECONDS)

    def _record(self, state: State, events: tuple[tuple[Phase, str], ...]) -> None:
        before = self.state.rollout.number if self.state.rollout is not None else 0
        if state.rollout is not None and state.rollout.number > before:
            self._came_through()
            assert not state.rollout.direct or identity(state.rollout.target) in self.through, "it has proven nothing"
            refused = {each.fingerprint for each in self.state.refused}
            assert as_judged(state.rollout.target) not in refused, "what was refused is shipped again"
        for phase, text in events:
            number = state.rollout.number if state.rollout else 0
            self.story.append(f"{self.now - 1e9:g} #{number} {phase}: {text}")
            if phase in ENDS:
                self.ends.setdefault(number, []).append(phase)
