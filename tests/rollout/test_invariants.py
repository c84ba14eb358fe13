"""Any interleaving of declarations, words, faults and kills keeps the promises; and every run ends.

The many examples of HELIOSTAT_ROLLOUT_EXAMPLES are for runs by hand; a few hundred are part of every test run.
"""

from __future__ import annotations

import os
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Part
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollout_world import World, behaviour_of, desired

from heliostat.rollout.model import GATHERING, Colour, Phase
from heliostat.rollout.orders import OrderError, RefusedError
from heliostat.rollout.shares import least_healthy, problem, share_of
from heliostat.rollout.show import analyses, step, steps, until
from heliostat.rollout.stages import present, stages_of
from heliostat.spec.analysis import Analysis, Check, Disagreement, Latency, ModelMetric, OnInconclusive, SuccessRate, Verdict
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy

BAD = ["crashes", "never_healthy", "wrong"]
"""What no replica with a request may be like."""
BEHAVIOURS = ["fine", *BAD, "fails", "fails_all", "slow"]
ABSOLUTE = (SuccessRate(at_least=0.99), Latency(at_most_ms=50))
COMPARING = (
    SuccessRate(margin=0.02),
    Latency(times=2, quantile=0.9),
    Disagreement(at_most=0.1),
    ModelMetric(metric="roc_auc", field="p", margin=0.05),
)


def judging(*checks: Check) -> st.SearchStrategy[Analysis]:
    return st.builds(
        Analysis,
        checks=st.lists(st.sampled_from(checks), min_size=1, max_size=3).map(tuple),
        seconds=st.sampled_from([2, 5, 20]),
        min_requests=st.sampled_from([1, 100, 1000]),
        on_inconclusive=st.sampled_from(OnInconclusive),
    )


ANALYSES = judging(*ABSOLUTE, *COMPARING)
MAYBE = st.none() | ANALYSES


@st.composite
def canaries(draw: st.DrawFn) -> Canary:
    weights = sorted(draw(st.sets(st.sampled_from([1.0, 10.0, 33.33, 50.0, 100.0]), min_size=1, max_size=3)))
    pauses = st.sampled_from([0.0, 0.0, 3.0, 30.0])
    steps = tuple(
        CanaryStep(weight=weight, analysis=draw(MAYBE), pause_seconds=draw(pauses), approval=draw(st.booleans()))
        for weight in weights
    )
    patience, kept = draw(st.sampled_from([5, 50])), draw(st.sampled_from([0, 5, 30]))
    return Canary(steps=steps, analysis=draw(MAYBE), approval_timeout_seconds=patience, retention_seconds=kept)


def rollings(surge: st.SearchStrategy[int], analysis: st.SearchStrategy[Analysis]) -> st.SearchStrategy[Rolling]:
    return st.builds(
        Rolling,
        percentage=st.sampled_from([10, 34, 50, 100]),
        max_surge=surge,
        min_healthy_percentage=st.sampled_from([0, 50, 75, 100]),
        analysis=st.none() | analysis,
    )


STRATEGIES: st.SearchStrategy[Strategy] = st.one_of(
    st.just(Recreate()),
    st.builds(BlueGreen, before=MAYBE, after=MAYBE, retention_seconds=st.sampled_from([0, 5, 30])),
    rollings(st.integers(1, 3), ANALYSES) | rollings(st.just(0), judging(*ABSOLUTE)),
    canaries(),
    st.builds(
        Shadow,
        analysis=ANALYSES,
        approval=st.booleans(),
        approval_timeout_seconds=st.sampled_from([5, 50]),
        after=MAYBE,
        retention_seconds=st.sampled_from([0, 5, 30]),
    ),
)


def numbered(number: int, strategy: Strategy, replicas: int, behaviour: str) -> Desired:
    """One version number is one digest, whatever it is called: how it behaves is part of the number here."""
    return desired(BEHAVIOURS.index(behaviour) * 10 + number, strategy, replicas, behaviour)


def declared(behaviours: list[str]) -> st.SearchStrategy[Desired]:
    made = st.builds(numbered, st.integers(1, 4), STRATEGIES, st.integers(1, 5), st.sampled_from(behaviours))
    return made.filter(lambda wanted: problem(wanted) is None)


DESIRED = declared(["fine", "fine", "fine", *BEHAVIOURS])


class Rollouts(RuleBasedStateMachine):
    """The world, shaken."""

    faults = False
    """Whether replicas may die and clusters be lost, which no strategy can promise away."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.served: list[Desired] = []
        self.floors: dict[int, int] = {}
        """What each rollout promised."""

    @initialize(wanted=declared(["fine"]), rate=st.sampled_from([0.0, 5.0, 200.0]))
    def something_serves(self, wanted: Desired, rate: float) -> None:
        self.world.clients.per_second = rate
        self.world.declare(wanted)
        self.served.append(wanted)
        self.world.settle()

    @rule(wanted=DESIRED, retry=st.booleans())
    def declare(self, wanted: Desired, retry: bool) -> None:
        try:
            self.world.declare(wanted, retry=retry)
        except RefusedError as error:
            assert error.refused in self.world.state.refused
            assert not retry

    @rule(strategy=STRATEGIES, replicas=st.integers(1, 5))
    def declare_the_same_version_otherwise(self, strategy: Strategy, replicas: int) -> None:
        if self.world.state.declared is None:
            return
        wanted = self.world.state.declared.model_copy(update={"strategy": strategy, "replicas": replicas})
        if problem(wanted) is None:
            self.declare(wanted, False)

    @rule()
    def declare_the_same_again(self) -> None:
        state = self.world.state
        if state.declared is not None and not state.deleting:
            before = state
            self.declare(state.declared, False)
            rollout = before.rollout
            if rollout is None or rollout.ended or rollout.phase is Phase.ROLLING_BACK or rollout.aborted is not None:
                return
            if rollout.target == before.declared and not before.pending:
                assert self.world.state == before

    @rule()
    def go_back(self) -> None:
        state = self.world.state
        if self.world.gone:
            return
        try:
            self.world.roll_back(self.served[0])
        except OrderError:
            assert self.world.state == state

    @rule()
    def delete(self) -> None:
        if not self.world.gone:
            self.world.delete()

    @rule(word=st.sampled_from(["approve", "abort"]))
    def say(self, word: str) -> None:
        state = self.world.state
        try:
            self.world.approve() if word == "approve" else self.world.abort()
        except OrderError:
            assert self.world.state == state

    @rule(looks=st.integers(1, 4))
    def look(self, looks: int) -> None:
        for _ in range(looks):
            self.world.reconcile()

    @rule(acts=st.integers(0, 3))
    def is_killed_while_it_acts(self, acts: int) -> None:
        self.world.reconcile(acts)

    @rule(seconds=st.integers(1, 3), times=st.integers(1, 5))
    def time_passes(self, seconds: int, times: int) -> None:
        for _ in range(times):
            self.world.advance(seconds)
            self.world.reconcile()

    @rule(manner=st.sampled_from(["fine", "golden", "mute", "breaks", "disagrees"]), rate=st.sampled_from([0.0, 5.0, 200.0]))
    def what_is_measured_changes(self, manner: str, rate: float) -> None:
        self.world.manner = manner
        self.world.clients.per_second = rate

    @rule()
    def the_controller_starts_again(self) -> None:
        self.world.restart_controller()

    @rule(seconds=st.sampled_from([-1e6, -5.0, 5.0]))
    def the_clock_jumps(self, seconds: float) -> None:
        self.world.clock_skew += seconds

    @rule(colour=st.sampled_from(list(Colour)))
    @precondition(lambda self: self.faults)
    def a_replica_dies(self, colour: Colour) -> None:
        self.world.kill_replica(colour)

    @rule()
    @precondition(lambda self: self.faults)
    def the_cluster_is_lost(self) -> None:
        self.world.lose_cluster()

    @rule()
    @precondition(lambda self: self.faults)
    def haproxy_starts_again(self) -> None:
        self.world.restart_router()

    @rule(seconds=st.sampled_from([5, 60, 3600]))
    @precondition(lambda self: self.faults)
    def the_cluster_is_away(self, seconds: int) -> None:
        self.world.look_away(seconds)

    @invariant()
    def traffic_only_goes_to_what_was_healthy_and_right(self) -> None:
        for colour in Colour:
            app = self.world.cluster.colours.get(colour)
            for replica in app.replicas if app is not None else ():
                if not replica.usable:
                    continue
                assert behaviour_of(app.wanted) not in BAD, self.world.story
                # What is only kept beside gets no requests.
                tested = self.world.golden.get(replica.name, "not asked") is None or not share_of(colour, self.world.share)
                assert tested or colour in self._proven(), (replica, self.world.story[-12:])

    def _proven(self) -> set[Colour | None]:
        """What serves, or did before the rollout: its replicas were tested once, and what replaces a dead one may answer."""
        rollout = self.world.state.rollout
        return {self.world.state.live, rollout.previous_colour if rollout is not None else None}

    @invariant()
    def each_rollout_ends_at_most_once(self) -> None:
        assert all(len(ends) == 1 for ends in self.world.ends.values()), self.world.ends

    @invariant()
    def the_candidate_never_has_more_than_its_stage_gives_it(self) -> None:
        state, rollout = self.world.state, self.world.state.rollout
        if rollout is None or rollout.ended or rollout.previous is None or state.live is None or rollout.in_place:
            return
        if isinstance(rollout.strategy, Rolling) or state.live is rollout.candidate:
            return
        part = share_of(rollout.candidate, state.share)
        if rollout.phase is Phase.SHIFTING or rollout.phase in GATHERING:
            # It gives back what it has too much only where somebody takes it.
            alone = rollout.phase is Phase.SHIFTING and not self.world.usable(rollout.candidate.other)
            assert part <= present(rollout).weight or alone, (part, rollout, self.world.story[-12:])
        if rollout.phase in GATHERING:
            assert part == present(rollout).weight, (part, rollout, self.world.story[-12:])
            # Not even where nobody else can answer.
            assert part or not self.world.usable(rollout.candidate), (rollout, self.world.story[-12:])

    @invariant()
    def people_can_be_shown_where_it_stands(self) -> None:
        world = self.world
        if world.state.rollout is None:
            return
        assert 0 <= step(world.state) < len(steps(world.state.rollout))
        until(world.state)
        for each in analyses(world.state, world.observe(), world.clock):
            assert 0 <= each.step < len(steps(world.state.rollout)) or len(stages_of(world.state.rollout)) <= each.step

    def teardown(self) -> None:
        self.world.manner = "fine"
        self.world.settle()
        state, world = self.world.state, self.world
        rollout = state.rollout
        if rollout is None:
            assert world.gone
            assert not world.cluster.colours
            return
        assert rollout.ended
        assert world.ends.get(rollout.number) == [rollout.phase]
        assert sorted(world.ends) == list(range(1, rollout.number + 1)), "each rollout has exactly one end"
        self._the_ledger_tells_it()
        if state.live is None:
            assert not world.cluster.colours
            return
        assert set(world.cluster.colours) == {state.live}, "what serves is alone"
        assert world.share == state.live.full_share
        wanted = state.slot(state.live).desired
        assert wanted is not None
        assert len(world.usable(state.live)) == wanted.replicas
        if rollout.phase is Phase.SUCCEEDED:
            assert wanted == state.declared
            assert all(each.verdict is not Verdict.FAIL for each in rollout.analyses)

    def _the_ledger_tells_it(self) -> None:
        world = self.world
        ends = [number for number, record in world.ledger if record.kind is EntryKind.END]
        said = sorted(number for number, phases in world.ends.items() for _ in phases)
        assert sorted(ends) == said, "one end a rollout"
        shifts = [record.weights for _, record in world.ledger if record.kind is EntryKind.SHIFT]
        assert all(before != after for before, after in pairwise(shifts)), "each entry is a move"
        live = world.state.slot(world.state.live).desired if world.state.live is not None else None
        says = {live.version.digest: 1.0} if live is not None else {}
        assert (shifts[-1] if shifts else {}) == says, "the last one says what serves"


class RolloutsWithoutFaults(Rollouts):
    """Where nothing dies by itself, capacity is promised too."""

    @invariant()
    def never_fewer_ready_replicas_than_promised(self) -> None:
        state, rollout = self.world.state, self.world.state.rollout
        if rollout is None or rollout.previous is None or rollout.gap_since is not None:
            return
        if isinstance(rollout.strategy, Recreate) or state.deleting or rollout.deleted:
            return
        sizes = (rollout.previous.replicas, rollout.target.replicas)
        promise = min(least_healthy(rollout.strategy, replicas) for replicas in sizes)
        ready = len(self.world.serving())
        # What was not there when it began (a change of the number that was on its way) is not promised.
        self.floors[rollout.number] = min(promise, self.floors.get(rollout.number, ready))
        # A rollout that was superseded may have gone down to its own promise already.
        number = rollout.number
        while self.world.ends.get(number - 1) == [Phase.SUPERSEDED]:
            number -= 1
        floor = min(self.floors.get(each, 0) for each in range(number, rollout.number + 1))
        assert ready >= floor, (ready, floor, state, self.world.story[-12:])

    @invariant()
    def no_part_of_the_traffic_goes_where_nobody_answers(self) -> None:
        state, rollout = self.world.state, self.world.state.rollout
        if state.live is None or rollout is None or rollout.gap_since is not None or self.world.gone:
            return
        parts = {Colour.GREEN: self.world.share, Colour.BLUE: 10_000 - self.world.share}
        for colour, part in parts.items():
            assert not part or self.world.usable(colour), (colour, part, state, self.world.story[-12:])

    @invariant()
    def what_failed_is_gone(self) -> None:
        state, rollout = self.world.state, self.world.state.rollout
        if rollout is None or rollout.phase is not Phase.FAILED or state.pending or state.deleting or state.live is None:
            return
        assert state.share == state.live.full_share
        assert self.world.share == state.share or rollout.in_place, self.world.story[-12:]
        assert state.slot(state.live.other).desired is None
        assert state.live.other not in self.world.cluster.colours or rollout.in_place, self.world.story[-12:]


class RolloutsWithFaults(Rollouts):
    """Everything may happen."""

    faults = True


# Without explanations, whose tracing makes each example many times slower.
_SETTINGS = settings(
    max_examples=int(os.environ.get("HELIOSTAT_ROLLOUT_EXAMPLES", "400")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Part.explicit, Part.reuse, Part.generate, Part.shrink],
)
TestWithoutFaults = RolloutsWithoutFaults.TestCase
TestWithoutFaults.settings = _SETTINGS
TestWithFaults = RolloutsWithFaults.TestCase
TestWithFaults.settings = _SETTINGS
