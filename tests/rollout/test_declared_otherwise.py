"""The version that is on its way is declared again, by another strategy."""

from __future__ import annotations

import pytest
from rollout_world import World, desired
from stage_world import RATE, SAME, TENTH, serving_one, shipped, until_phase

from heliostat.rollout.model import Colour, Phase
from heliostat.rollout.plan import plan
from heliostat.rollout.show import candidate_weight, step, steps, until
from heliostat.spec.analysis import Verdict
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy

HALF = Canary(steps=(CanaryStep(weight=50, approval=True),), analysis=RATE)
FREELY_THEN = Canary(steps=(*(CanaryStep(weight=each, approval=True) for each in (5, 20)), CanaryStep(weight=60)))
ASKED = Canary(steps=(CanaryStep(weight=5, approval=True), CanaryStep(weight=20, approval=True)))
QUARTERS = Rolling(percentage=25, max_surge=1, min_healthy_percentage=75, analysis=RATE)


def number_of(world: World) -> int:
    return world.state.rollout.number if world.state.rollout is not None else 0


@pytest.mark.parametrize("phase", [Phase.ANALYSING, Phase.WAITING])
@pytest.mark.parametrize(
    ("way", "share"),
    [(ASKED, 2000), (FREELY_THEN, 2000), (Shadow(analysis=SAME, approval=True), 0), (BlueGreen(before=RATE), 0)],
)
def test_a_declared_gate_is_never_skipped_for_the_traffic_that_the_candidate_has_already(
    phase: Phase, way: Strategy, share: int
) -> None:
    world = until_phase(shipped(desired(2, HALF)), phase)
    assert world.share == 5000
    world.declare(desired(2, way))
    world.reconcile()
    assert world.share == share, "down is safe, and at once"
    world.reconcile()
    for _ in range(10):
        assert world.share == share
        assert number_of(world) == 2
        world.reconcile()
        world.advance()
    while world.state.rollout is not None and world.state.rollout.phase is not Phase.RETAINING:
        if world.state.rollout.phase is Phase.WAITING:
            world.approve()
        world.reconcile()
        world.advance()
    assert world.share == 10_000


def test_all_traffic_goes_back_to_a_gate_that_was_not_passed() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(after=RATE))), Phase.ANALYSING)
    assert world.share == 10_000
    world.declare(desired(2, ASKED))
    world.reconcile()
    assert world.share == 2000
    assert len(world.usable(Colour.BLUE)) == 2


def test_a_share_that_passed_its_gates_goes_on_where_the_steps_above_it_have_none() -> None:
    first = CanaryStep(weight=10, approval=True)
    world = until_phase(shipped(desired(2, Canary(steps=(first, CanaryStep(weight=50, pause_seconds=3600))))), Phase.WAITING)
    world.approve()
    until_phase(world, Phase.PAUSED)
    assert world.share == 5000
    world.declare(desired(2, Canary(steps=(first, CanaryStep(weight=60)))))
    for _ in range(5):
        world.reconcile()
        assert world.share >= 5000
        world.advance()
    assert world.share == 10_000


def test_gates_that_were_passed_are_not_gone_back_to() -> None:
    way = Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=100, pause_seconds=60)), analysis=RATE)
    world = shipped(desired(2, way))
    while world.share != 10_000:
        world.reconcile()
        world.advance()
    world.declare(desired(2, way, replicas=3))
    for _ in range(5):
        world.reconcile()
        assert world.share == 10_000
        world.advance()
    stricter = way.model_copy(update={"steps": (way.steps[0], CanaryStep(weight=100, analysis=SAME))})
    world.declare(desired(2, stricter, replicas=3))
    world.reconcile()
    assert world.share == 10_000
    until_phase(world, Phase.RETAINING)


def test_a_candidate_is_asked_nothing_twice_where_only_its_replicas_change() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.declare(desired(2, TENTH, replicas=3))
    world.settle()
    assert world.state.rollout is not None
    assert [each.verdict for each in world.state.rollout.analyses] == [Verdict.PASS, Verdict.PASS]
    assert [each["weight"] for each in world.state.rollout.figures["steps"]] == [0.1, 0.5, 1.0]


def test_a_candidate_with_an_ill_replica_gives_its_traffic_back_at_once_too() -> None:
    world = until_phase(shipped(desired(2, HALF)), Phase.WAITING)
    world.kill_replica(Colour.GREEN)
    world.declare(desired(2, ASKED))
    world.reconcile()
    assert world.share == 2000


def test_no_traffic_goes_back_to_a_gate_while_nobody_else_answers() -> None:
    world = until_phase(shipped(desired(2, HALF)), Phase.WAITING)
    world.cluster.colours[Colour.BLUE].replicas.clear()
    world.declare(desired(2, ASKED))
    for _ in range(2):
        world.reconcile()
        assert world.share == 5000
    while not world.usable(Colour.BLUE):
        world.advance()
        world.reconcile()
    world.reconcile()
    assert world.share == 2000


def test_a_step_that_is_passed_is_not_repeated_for_more_replicas_while_the_next_one_waits_for_a_replica() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(19):
        world.advance()
        world.reconcile()
    world.advance()
    world.kill_replica(Colour.GREEN)
    world.reconcile()
    assert (step(world.state), world.state.share) == (1, 1000)
    world.declare(desired(2, TENTH, replicas=3))
    world.reconcile()
    assert world.state.rollout is not None
    assert (world.state.rollout.phase, step(world.state)) == (Phase.SHIFTING, 1)


def test_what_is_through_stays_at_its_last_step_and_takes_the_new_window() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.RETAINING)
    world.declare(desired(2, ASKED.model_copy(update={"retention_seconds": 600})))
    world.reconcile()
    rollout = world.state.rollout
    assert rollout is not None
    assert (rollout.number, rollout.phase, world.share, candidate_weight(world.state)) == (2, Phase.RETAINING, 10_000, 1.0)
    assert step(world.state) == len(steps(rollout)) - 1 == 2
    assert until(world.state) == rollout.since + 600


@pytest.mark.parametrize("way", [HALF, Shadow(analysis=SAME, approval=True), BlueGreen(before=RATE, after=RATE)])
def test_a_rolling_update_that_is_declared_by_stages_begins_anew_by_them(way: Strategy) -> None:
    world = serving_one(QUARTERS, 4)
    world.declare(desired(2, QUARTERS, 4))
    until_phase(world, Phase.ANALYSING)
    told = plan(world.state, desired(2, way, 4), None, None).lines[0]
    assert told == f"ends the rollout to 2-fine by rolling that is on its way; it begins anew by {way.kind}"
    world.declare(desired(2, way, 4))
    until_phase(world, Phase.ANALYSING)
    until_phase(world, Phase.ANALYSING)
    while number_of(world) == 2 or (world.state.rollout is not None and world.state.rollout.phase is not Phase.ANALYSING):
        world.reconcile()
        world.advance()
        assert len(world.serving()) >= 3
    assert world.ends[2] == [Phase.SUPERSEDED]
    assert world.state.rollout is not None
    assert world.state.rollout.strategy == way
    assert world.share == (5000 if way is HALF else 0)
    assert any(f"2-fine is declared by {way.kind}: it begins anew" in line for line in world.story)
    assert world.state.refused == ()


def test_a_canary_that_is_declared_as_a_rolling_update_moves_batch_by_batch() -> None:
    world = serving_one(replicas=4)
    world.declare(desired(2, HALF, 4))
    until_phase(world, Phase.WAITING)
    names = {replica.name for replica in world.cluster.colours[Colour.GREEN].replicas}
    world.declare(desired(2, QUARTERS, 4))
    shares, first = list[int](), set[str]()
    for _ in range(150):
        world.reconcile()
        if not first and number_of(world) == 3 and world.state.rollout and world.state.rollout.phase is Phase.ANALYSING:
            first = {replica.name for replica in world.usable(Colour.GREEN)}
        world.advance()
        shares += [world.share] if world.share not in shares[-1:] else []
    world.settle()
    assert shares[:3] == [5000, 0, 2000], "home first, then one replica of five"
    assert first < names, "what runs already needs no start"
    assert world.state.rollout is not None
    assert (world.state.rollout.phase, world.state.live) == (Phase.SUCCEEDED, Colour.GREEN)
    assert len(world.state.rollout.analyses) > 1


def test_a_canary_for_which_there_is_no_room_can_be_declared_by_recreate_and_takes_the_room() -> None:
    world = shipped(desired(2, HALF))
    until_phase(world, Phase.STARTING)
    world.declare(desired(2, Recreate()))
    together = set[int]()
    for _ in range(30):
        world.reconcile()
        world.advance()
        there = [app for app in world.cluster.colours.values() if app.gone_at is None and app.asked > 0]
        together.add(len(there) if number_of(world) == 3 else 1)
    world.settle()
    assert world.ends[2] == [Phase.SUPERSEDED]
    assert world.state.rollout is not None
    assert world.state.rollout.figures["gap_seconds"] > 0
    assert len(world.serving()) == 2


@pytest.mark.parametrize("number", [2, 3])
def test_where_recreate_has_stopped_what_served_nobody_waits_for_stages(number: int) -> None:
    world = serving_one(Recreate())
    world.declare(desired(2, Recreate()))
    until_phase(world, Phase.STARTING)
    world.declare(desired(number, Shadow(analysis=SAME, approval=True)))
    world.settle()
    assert world.ends[2] == [Phase.SUPERSEDED]
    assert world.state.rollout is not None
    assert (world.state.rollout.phase, world.state.rollout.analyses) == (Phase.SUCCEEDED, ())
    assert steps(world.state.rollout) == ("all of the traffic",)
    assert [app.wanted.version.label for app in world.cluster.colours.values()] == [f"{number}-fine"]
    assert len(world.serving()) == 2


def test_what_served_before_the_recreate_comes_back_where_the_other_strategys_candidate_crashes() -> None:
    world = serving_one(Recreate())
    world.declare(desired(2, Recreate(), behaviour="never_healthy"))
    until_phase(world, Phase.STARTING)
    world.declare(desired(2, HALF, behaviour="never_healthy"))
    world.settle()
    assert world.state.rollout is not None
    assert "1-fine was deployed again and serves" in (world.state.rollout.error or "")
    assert world.ends == {1: [Phase.SUCCEEDED], 2: [Phase.SUPERSEDED], 3: [Phase.FAILED]}


def test_a_first_version_has_no_strategy_to_begin_anew_by() -> None:
    world = World()
    world.declare(desired(1, TENTH))
    until_phase(world, Phase.STARTING)
    world.declare(desired(1, Rolling()))
    world.settle()
    assert world.ends == {1: [Phase.SUCCEEDED]}


def test_what_is_through_does_not_begin_anew_by_another_kind() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(retention_seconds=60))), Phase.RETAINING)
    world.declare(desired(2, Rolling()))
    world.settle()
    assert world.ends[2] == [Phase.SUCCEEDED]
    assert number_of(world) == 2


def test_the_way_back_by_hand_is_not_begun_anew_by_the_next_up() -> None:
    world = serving_one(BlueGreen(retention_seconds=0))
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    world.roll_back(desired(1, BlueGreen(retention_seconds=0)))
    until_phase(world, Phase.STARTING)
    world.declare(desired(1, QUARTERS))
    world.settle()
    assert world.ends[3] == [Phase.SUCCEEDED]
    assert number_of(world) == 3


def test_an_interrupted_canarys_share_is_gone_before_the_same_version_comes_as_a_shadow() -> None:
    world = until_phase(shipped(desired(2, HALF)), Phase.WAITING)
    world.kill_replica(Colour.GREEN)
    world.declare(desired(3, HALF))
    world.reconcile()
    world.declare(desired(2, Shadow(analysis=SAME, approval=True)))
    for _ in range(3):
        world.reconcile()
    assert world.state.rollout is not None
    assert (world.state.rollout.phase, world.share) == (Phase.STARTING, 0)
    until_phase(world, Phase.WAITING)
    assert world.share == 0


def test_a_candidate_that_gives_its_traffic_back_answers_until_nothing_comes_any_more() -> None:
    world = until_phase(shipped(desired(2, HALF)), Phase.WAITING)
    world.declare(desired(2, Shadow(analysis=SAME)))
    world.reconcile(acts=0)
    assert (world.state.share, world.share, len(world.usable(Colour.GREEN))) == (0, 5000, 2)
    world.reconcile()
    world.reconcile()
    assert (world.share, world.usable(Colour.GREEN)) == (0, [])
