"""Any interleaving of declarations, faults and kills keeps the promises; and every run ends."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Part
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollout_world import World, behaviour_of, desired

from heliostat.rollout.model import Colour, Phase
from heliostat.rollout.shares import least_healthy, problem
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling, Strategy

STRATEGIES: st.SearchStrategy[Strategy] = st.one_of(
    st.just(Recreate()),
    st.builds(BlueGreen, retention_seconds=st.sampled_from([0, 5, 30])),
    st.builds(
        Rolling,
        percentage=st.sampled_from([10, 34, 50, 100]),
        max_surge=st.integers(0, 3),
        min_healthy_percentage=st.sampled_from([0, 50, 75, 100]),
    ),
)
DESIRED = st.builds(
    desired,
    st.integers(1, 4),
    STRATEGIES,
    st.integers(1, 5),
    st.sampled_from(["fine", "fine", "fine", "crashes", "never_healthy", "wrong"]),
).filter(lambda wanted: problem(wanted) is None)
GOOD = DESIRED.filter(lambda wanted: behaviour_of(wanted) == "fine")


class Rollouts(RuleBasedStateMachine):
    """The world, shaken."""

    faults = False
    """Whether replicas may die and clusters be lost, which no strategy can promise away."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.floors: dict[int, int] = {}
        """What each rollout promised."""

    @initialize(wanted=GOOD)
    def something_serves(self, wanted: object) -> None:
        self.world.declare(wanted)  # type: ignore[arg-type]
        self.world.settle()

    @rule(wanted=DESIRED)
    def declare(self, wanted: object) -> None:
        # One version number is one digest, whatever it is called: its behaviour is part of the number here.
        number = ["fine", "crashes", "never_healthy", "wrong"].index(behaviour_of(wanted)) * 10 + int(wanted.version.label[0])  # type: ignore[arg-type, attr-defined]
        renamed = wanted.version.model_copy(update={"digest": f"{number:064x}"})  # type: ignore[attr-defined]
        self.world.declare(wanted.model_copy(update={"version": renamed}))  # type: ignore[attr-defined]

    @rule(looks=st.integers(1, 4))
    def look(self, looks: int) -> None:
        for _ in range(looks):
            self.world.look()

    @rule(acts=st.integers(0, 3))
    def is_killed_while_it_acts(self, acts: int) -> None:
        self.world.look(acts)

    @rule(seconds=st.integers(1, 3), times=st.integers(1, 3))
    def time_passes(self, seconds: int, times: int) -> None:
        for _ in range(times):
            self.world.pass_time(seconds)
            self.world.look()

    @rule(colour=st.sampled_from(list(Colour)))
    @precondition(lambda self: self.faults)
    def a_replica_dies(self, colour: Colour) -> None:
        self.world.kill_replica(colour)

    @rule()
    @precondition(lambda self: self.faults)
    def the_cluster_is_lost(self) -> None:
        self.world.lose_serve()

    @invariant()
    def traffic_only_goes_to_what_was_healthy_and_right(self) -> None:
        for colour in Colour:
            app = self.world.apps.get(colour)
            if app is not None and any(replica.usable for replica in app.replicas):
                assert behaviour_of(app.wanted) == "fine", self.world.story

    @invariant()
    def each_rollout_ends_at_most_once(self) -> None:
        assert all(len(ends) == 1 for ends in self.world.ends.values()), self.world.ends

    def teardown(self) -> None:
        self.world.settle()
        state, world = self.world.state, self.world
        rollout = state.rollout
        assert rollout is not None
        assert rollout.ended
        assert world.ends.get(rollout.number) == [rollout.phase] or world.gone
        assert sorted(world.ends) == list(range(1, rollout.number + 1)), "each rollout has exactly one end"
        if state.live is not None:
            assert set(world.apps) == {state.live}, "what serves is alone"
            assert world.share == state.live.full_share
            wanted = state.slot(state.live).desired
            assert wanted is not None
            assert len(world.usable(state.live)) == wanted.replicas
            if rollout.phase is Phase.SUCCEEDED:
                assert wanted == state.declared
            good = state.declared is not None and behaviour_of(state.declared) == "fine"
            assert self.faults or not good or wanted == state.declared, "a good version comes into place"
        else:
            assert not world.apps


class RolloutsWithoutFaults(Rollouts):
    """Where nothing dies by itself, capacity is promised too."""

    @invariant()
    def never_fewer_ready_replicas_than_promised(self) -> None:
        state, rollout = self.world.state, self.world.state.rollout
        if rollout is None or rollout.previous is None or rollout.gap_since is not None:
            return
        if isinstance(rollout.strategy, Recreate):
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


class RolloutsWithFaults(Rollouts):
    """Everything may happen."""

    faults = True


# Without explanations, whose tracing makes each example many times slower.
_SETTINGS = settings(
    max_examples=500,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Part.explicit, Part.reuse, Part.generate, Part.shrink],
)
TestWithoutFaults = RolloutsWithoutFaults.TestCase
TestWithoutFaults.settings = _SETTINGS
TestWithFaults = RolloutsWithFaults.TestCase
TestWithFaults.settings = _SETTINGS
