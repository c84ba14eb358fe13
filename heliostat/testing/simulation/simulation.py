"""The controller's own decisions about one application, on a cluster, a router and clients in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from heliostat.rollout import orders
from heliostat.rollout.actions import admitted
from heliostat.rollout.decide import decide
from heliostat.rollout.model import (
    Action,
    Analyse,
    Colour,
    DeployColour,
    Evidence,
    Observed,
    Progress,
    Record,
    RetireColour,
    SetShare,
    State,
    Step,
    TestGolden,
)
from heliostat.rollout.show import gathering
from heliostat.spec.rollouts import ActionRequest, Desired, Phase, RollbackRequest
from heliostat.testing.simulation.analysis_runner import AnalysisRunner
from heliostat.testing.simulation.behaviour import Traffic, VersionBehaviour
from heliostat.testing.simulation.clients import Clients
from heliostat.testing.simulation.cluster import DRAIN_SECONDS, STARTUP_SECONDS, Cluster

BEGINNING = 1e9
"""When a simulation begins, Unix time in seconds."""
_QUIET_LOOKS = STARTUP_SECONDS + DRAIN_SECONDS + 2
"""After as many looks with nothing to do, nothing is on its way."""
_EVERY_SECOND = 120
"""Looks with nothing to do that are a second apart; in a phase of days later ones are further apart."""
_DAY_SECONDS = 86400.0
_SOMEBODY = "somebody"


@dataclass(frozen=True)
class SimulatedEvent:
    """A line of a rollout's story."""

    rollout: int
    """From 1."""
    seconds: float
    """Since the simulation began."""
    phase: Phase
    message: str


class RolloutSimulation:
    """One application, with people, faults and time in a test's hands. Nothing of it is real, and no time passes by itself.

    At each `reconcile` the controller's own code decides what is next, and the simulation does it; `advance` lets time pass.
    """

    def __init__(self, traffic: Traffic | None = None, application: str = "simulated") -> None:
        traffic = traffic or Traffic()
        self.now = BEGINNING
        """Unix time, seconds."""
        self.clock_skew = 0.0
        """How many seconds the controller's clock is ahead of that."""
        self.state = State(name=application)
        """What the controller knows."""
        self.share = 0
        """Of green, in 1/100 %, as the router has it."""
        self.shares: list[tuple[int, int]] = []
        """Each that it was told, with the number of the rollout that moved it."""
        self.events: list[SimulatedEvent] = []
        self.ledger: list[tuple[int, Record]] = []
        """Entries with the number of their rollout."""
        self.gone = False
        """Whether it was deleted, and nothing of it is left."""
        self.behaviours: dict[str, VersionBehaviour] = {}
        """How versions behave, by digest; one that is not in here behaves as it should."""
        self.cluster = Cluster(self.behaviour)
        self.clients = Clients(traffic.requests_per_second)
        self.analysis_runner = AnalysisRunner(traffic.recorded_requests)
        self.golden: dict[str, str | None] = {}
        """What the golden requests came to, by replica: None where all was right."""
        self.golden_asked: dict[str, str | None] = {}
        """The same of replicas whose answers come with the next look."""
        self._blind = False
        self._watched_since = 0.0

    @property
    def clock(self) -> float:
        """What the controller takes for the time, Unix time in seconds."""
        return self.now + self.clock_skew

    @property
    def elapsed(self) -> float:
        """Seconds since the simulation began."""
        return self.now - BEGINNING

    @property
    def rollout(self) -> Progress | None:
        """The newest rollout; None before the first."""
        return self.state.rollout

    @property
    def phase(self) -> Phase | None:
        """Where the newest rollout is."""
        return self.state.rollout.phase if self.state.rollout is not None else None

    def behaviour(self, desired: Desired) -> VersionBehaviour:
        """How a version behaves."""
        return self.behaviours.get(desired.version.digest, VersionBehaviour())

    # What people do.

    def declare(self, desired: Desired, behaviour: VersionBehaviour | None = None, *, retry: bool = False) -> None:
        """Declare what shall serve, as `up` does; `retry` as with `--retry-refused`.

        Raises:
            RefusedError: it was rolled back before.
        """
        if behaviour is not None:
            self.behaviours[desired.version.digest] = behaviour
        self.gone = False
        state = orders.retry(self.state, desired) if retry else self.state
        self.state = orders.declare(state, desired, self.observe())

    def delete(self) -> None:
        """Take the application away."""
        self.state = orders.delete(self.state)

    def approve(self) -> None:
        """Let the step that waits go on.

        Raises:
            OrderError: nothing waits.
        """
        self._said(orders.approve(self.state, ActionRequest(by=_SOMEBODY), self.clock))

    def abort(self) -> None:
        """Have the rollout that is on its way rolled back.

        Raises:
            OrderError: none is.
        """
        self._said(orders.abort(self.state, ActionRequest(by=_SOMEBODY), self.clock))

    def roll_back(self, desired: Desired) -> None:
        """Go back to what served before, as `heliostat rollback` does.

        Raises:
            OrderError: it serves, or is on its way.
        """
        self.state = orders.roll_back(self.state, desired, self.observe(), RollbackRequest(by=_SOMEBODY), self.clock)

    # What the controller does.

    def reconcile(self, acts: int | None = None) -> bool:
        """Look once: decide, record, then do the first `acts` of the actions, by default all. Whether anything happened."""
        self.golden |= self.golden_asked
        self.golden_asked.clear()
        decision = decide(self.state, self.observe(), self.clock)
        self._blind = False
        changed = decision.state != self.state
        self._record(decision.state, decision.events)
        number = decision.state.rollout.number if decision.state.rollout is not None else 0
        self.ledger += [(number, record) for record in decision.records]
        self.state = decision.state
        self.analysis_runner.ask(next((each for each in decision.actions if isinstance(each, Analyse)), None), self.now)
        if decision.gone:
            self.gone, self.state = True, State(name=self.state.name)
            return False
        for action in decision.actions[:acts]:
            self._act(action)
        self.route()
        return changed or any(not isinstance(action, Analyse) for action in decision.actions)

    def route(self) -> None:
        """Let replicas in as the state says: what the controller does with the router's servers at each look."""
        observed = self.observe()
        for colour, each in self.cluster.colours.items():
            allowed = admitted(self.state.slot(colour), observed.seen(colour)) if each.gone_at is None else frozenset()
            self.cluster.let_in(colour, allowed)

    def observe(self) -> Observed:
        """What the controller sees."""
        blue, green = (
            self.cluster.status(colour, self.golden, self.now, blind=self._blind) for colour in (Colour.BLUE, Colour.GREEN)
        )
        return Observed(blue, green, self.share, 1.5, evidence=self._evidence(), watched_since=self._watched_since)

    # What the world does.

    def advance(self, seconds: float = 1.0) -> None:
        """Let time pass: clients ask, replicas start and go."""
        self.now += seconds
        behaviours = {colour: self._answers(colour) for colour in Colour}
        self.clients.send(self.clock, seconds, self.share, behaviours)
        self.cluster.advance(self.now)

    def run_until(self, *phases: Phase, looks: int = 400) -> None:
        """Look and let time pass until the newest rollout is in one of the phases.

        Raises:
            AssertionError: it is not, after so many looks.
        """
        if not self._go_on(looks, lambda _: self.phase in phases):
            raise AssertionError(f"it never came to {' or '.join(phases)}: {self._told()}")

    def settle(self, looks: int = 5000) -> None:
        """Look and let time pass until nothing changes any more; who is waited for says nothing.

        Raises:
            AssertionError: things still change after so many looks.
        """
        if not self._go_on(looks, lambda quiet: quiet > _QUIET_LOOKS and self._is_settled()):
            raise AssertionError(f"it does not end: {self._told()}")

    def kill_replica(self, colour: Colour) -> None:
        """End the oldest replica of a colour, where it has one; another one starts in its place."""
        self.cluster.kill_replica(colour)

    def lose_cluster(self) -> None:
        """Lose all that runs, as where Ray's head dies."""
        self.cluster.colours.clear()

    def look_away(self, seconds: float) -> None:
        """Let time pass in which the cluster does not answer the controller."""
        self.advance(seconds)
        self._watched_since = self.clock

    def restart_controller(self) -> None:
        """Lose what the controller has in its memory alone, and what it asked for too."""
        self.golden_asked.clear()
        self.clients.forget()
        self.analysis_runner.ask(None, self.now)
        self._watched_since = self.clock

    def restart_router(self) -> None:
        """Have the router come back with its share and its servers; it has to find out who is healthy."""
        self._blind = True
        self.clients.forget()

    def _go_on(self, looks: int, ends: Callable[[int], bool]) -> bool:
        """Look until something holds of the looks in a row in which nothing happened; whether it came to that."""
        quiet = 0
        for _ in range(looks):
            if ends(quiet):
                return True
            quiet = 0 if self.reconcile() else quiet + 1
            if ends(quiet):
                return True
            self.advance(self._pause(quiet))
        return False

    def _pause(self, quiet: int) -> float:
        """Until the next look, in seconds."""
        if self.phase is Phase.WAITING and quiet % 20 == 0:
            return _DAY_SECONDS
        return max(1.0, 1.02 ** (quiet - _EVERY_SECOND))

    def _is_settled(self) -> bool:
        return not self.state.pending and (self.rollout is None or self.rollout.ended)

    def _answers(self, colour: Colour) -> VersionBehaviour | None:
        """How a colour answers; None where nobody does."""
        found = self.cluster.colours.get(colour)
        return self.behaviour(found.wanted) if found is not None and self.cluster.usable(colour) else None

    def _evidence(self) -> Evidence:
        going, rollout = gathering(self.state), self.state.rollout
        if going is None or rollout is None:
            return Evidence()
        sides = (self.state.slot(colour).desired for colour in (rollout.candidate, rollout.candidate.other))
        candidate, stable = (self.behaviour(each) if each is not None else VersionBehaviour() for each in sides)
        measured = self.analysis_runner.measured(self.now, going.key, candidate, stable)
        return Evidence(self.clients.windows(going), measured, self.clients.before(going, rollout.candidate.other))

    def _act(self, action: Action) -> None:
        match action:
            case DeployColour():
                self.cluster.deploy(action, self.now)
            case RetireColour(colour):
                self.cluster.retire(colour, self.now)
            case TestGolden(colour, name):
                # The answer comes after this look.
                right = self.behaviour(self.cluster.colours[colour].wanted).passes_golden
                self.golden_asked[name] = None if right else "a golden request was answered otherwise than expected"
            case SetShare(share):
                self.share = share
                self.shares.append((self.rollout.number if self.rollout is not None else 0, share))
            case Analyse():
                pass

    def _said(self, step: Step) -> None:
        self._record(step.state, step.events)
        self.state = step.state

    def _record(self, state: State, events: tuple[tuple[Phase, str], ...]) -> None:
        number = state.rollout.number if state.rollout is not None else 0
        self.events += [SimulatedEvent(number, self.elapsed, phase, text) for phase, text in events]

    def _told(self) -> str:
        """The end of the story, for errors."""
        lines = (f"{each.seconds:g} s, #{each.rollout} {each.phase}: {each.message}" for each in self.events[-10:])
        return "\n  ".join(("", *lines)) if self.events else "nothing happened"
