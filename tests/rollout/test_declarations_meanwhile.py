"""What a declaration, or the way back, means while a rollout is on its way."""

from __future__ import annotations

import pytest
from rollout_world import World, desired
from stage_world import RATE, SAME, TENTH, serving_one, shipped, until_phase

from heliostat.rollout.model import Colour, Condition, Phase
from heliostat.rollout.orders import OrderError, RefusedError
from heliostat.rollout.show import candidate_weight, gathering, serving, step, steps, until
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate


def test_shorter_steps_are_adopted_while_it_runs() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=86400),))
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    world.declare(desired(2, Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50, approval=True)))))
    world.reconcile()
    assert world.share == 5000
    world.reconcile()
    assert world.state.rollout is not None
    assert (world.state.rollout.number, world.state.rollout.phase) == (2, Phase.WAITING)
    world.declare(desired(2, BlueGreen()))
    world.reconcile()
    assert world.share == 10_000


def test_a_new_analysis_is_asked_for_where_the_old_one_had_passed() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=600),), analysis=RATE)
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    strict = way.model_copy(update={"analysis": SAME})
    world.declare(desired(2, strict))
    world.reconcile()
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.ANALYSING
    assert world.analysis_runner.asks == 1
    assert until(world.state) == world.clock + 20, "it has its own time"
    world.declare(desired(2, way.model_copy(update={"analysis": RATE})))
    world.reconcile()
    world.reconcile()
    assert world.state.rollout.phase is Phase.ANALYSING
    until_phase(world, Phase.PAUSED)
    assert [each.findings[0].check for each in world.state.rollout.analyses] == ["success rate"]


def test_the_same_declaration_changes_nothing_at_any_stage() -> None:
    wanted = desired(2, Canary(steps=(CanaryStep(weight=10, pause_seconds=5, approval=True),), analysis=RATE))
    world = shipped(wanted)
    seen = set()
    for _ in range(60):
        world.reconcile()
        assert world.state.rollout is not None
        seen.add(world.state.rollout.phase)
        before = world.state
        world.declare(wanted)
        assert world.state == before
        if world.state.rollout.phase is Phase.WAITING:
            world.approve()
        world.advance()
    assert {Phase.ANALYSING, Phase.WAITING, Phase.RETAINING} <= seen


def test_a_newer_version_takes_the_place_of_a_canary_at_any_stage() -> None:
    for phase in (Phase.ANALYSING, Phase.PAUSED, Phase.WAITING):
        way = Canary(steps=(CanaryStep(weight=10, pause_seconds=60, approval=True),), analysis=RATE)
        world = until_phase(shipped(desired(2, way)), phase)
        world.declare(desired(3, BlueGreen(retention_seconds=0)))
        world.settle()
        assert world.ends[2] == [Phase.SUPERSEDED]
        assert world.state.slot(Colour.GREEN).desired == desired(3, BlueGreen(retention_seconds=0))
        weights = [record.weights for _, record in world.ledger]
        assert {"0" * 63 + "1": 1.0} in weights[3:], "the ledger knows that the traffic went home in between"


def test_back_to_what_served_before_needs_no_analysis_while_it_is_kept() -> None:
    way = Canary(steps=(CanaryStep(weight=10),), analysis=RATE, retention_seconds=600)
    world = serving_one(way)
    world.declare(desired(2, way))
    until_phase(world, Phase.RETAINING)
    at = world.now
    world.declare(desired(1, way))
    for _ in range(4):
        world.reconcile()
    assert (world.share, world.now) == (0, at)
    assert world.state.rollout is not None
    assert world.state.rollout.direct
    assert world.state.rollout.analyses == ()


def test_a_new_version_is_analysed_though_another_one_is_kept_in_its_place() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=600)))
    until_phase(world, Phase.RETAINING)
    world.declare(desired(3, TENTH))
    world.reconcile()
    until_phase(world, Phase.ANALYSING)
    assert world.share == 9000


def test_a_canary_that_was_interrupted_has_proven_nothing() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.declare(desired(3, TENTH))
    world.reconcile()
    world.declare(desired(2, TENTH))
    world.reconcile()
    world.reconcile()
    assert world.state.rollout is not None
    assert (world.state.rollout.target.version.label, world.state.rollout.direct) == ("2-fine", False)
    until_phase(world, Phase.ANALYSING)
    assert world.share == 1000


def test_going_back_by_hand_is_fast_and_what_is_left_is_refused() -> None:
    way = Canary(steps=(CanaryStep(weight=10),), analysis=RATE, retention_seconds=0)
    world = serving_one(way)
    world.declare(desired(2, way))
    world.settle()
    assert world.state.live is Colour.GREEN
    world.roll_back(desired(1, way))
    world.settle()
    assert world.state.live is Colour.BLUE
    assert world.state.rollout is not None
    assert (world.state.rollout.direct, world.state.rollout.analyses) == (True, ())
    with pytest.raises(RefusedError, match="somebody went back to 1-fine"):
        world.declare(desired(2, way))
    with pytest.raises(OrderError, match="1-fine serves already"):
        world.roll_back(desired(1, way))
    world.roll_back(desired(2, way))
    world.settle()
    assert world.state.live is Colour.GREEN
    assert [each.label for each in world.state.refused] == ["1-fine"]


def test_what_was_left_in_vain_may_be_declared_again_and_ships_nothing() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    world.roll_back(desired(1, BlueGreen(), behaviour="crashes"))
    world.settle()
    assert world.state.live is Colour.GREEN
    number = world.state.rollout.number if world.state.rollout is not None else 0
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    assert world.state.rollout is not None
    assert world.state.rollout.number == number


def test_what_serves_can_be_scaled_to_a_number_at_which_it_was_aborted() -> None:
    world = serving_one(Recreate())
    world.declare(desired(2, Recreate()))
    world.reconcile()
    world.declare(desired(1, Recreate(), 3))
    world.reconcile()
    world.reconcile()
    world.abort()
    world.settle()
    assert world.state.live is not None
    world.declare(desired(1, Recreate(), 3))
    world.settle()
    assert len(world.serving()) == 3


def test_going_back_by_hand_in_the_middle_of_a_canary_refuses_the_canary() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.roll_back(desired(1, BlueGreen()))
    for _ in range(3):
        world.reconcile()
    assert world.share == 0
    world.settle()
    assert [each.label for each in world.state.refused] == ["2-fine"]
    with pytest.raises(RefusedError):
        world.declare(desired(2, TENTH))


def test_what_is_rolled_back_may_be_declared_anew_with_a_change_before_it_is_gone() -> None:
    world = until_phase(shipped(desired(2, TENTH, behaviour="fails_all")), Phase.ROLLING_BACK)
    with pytest.raises(RefusedError):
        world.declare(desired(2, TENTH, behaviour="fails_all"))
    world.declare(desired(2, TENTH, replicas=3))
    world.settle()
    assert world.ends[2] == [Phase.FAILED]
    assert world.state.live is Colour.GREEN
    assert len(world.serving()) == 3


def test_an_old_version_that_is_ill_does_not_get_the_traffic_before_it_answers() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(after=RATE), behaviour="fails")), Phase.ANALYSING)
    world.cluster.colours[Colour.BLUE].replicas.clear()
    while world.state.rollout is not None and world.state.rollout.phase is not Phase.FAILED:
        world.reconcile()
        assert world.serving()
        world.advance()
    assert world.share == 0


def test_a_recreate_and_a_first_version_are_not_analysed() -> None:
    world = World()
    world.declare(desired(1, TENTH))
    world.settle()
    assert world.state.rollout is not None
    assert (world.state.rollout.analyses, steps(world.state.rollout)) == ((), ("all of the traffic",))
    world.declare(desired(2, Recreate()))
    world.settle()
    assert world.state.rollout.analyses == ()


def test_where_it_stands_can_be_shown() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    rollout = world.state.rollout
    assert rollout is not None
    assert (step(world.state), candidate_weight(world.state)) == (0, 0.1)
    assert serving(world.state) == desired(1, BlueGreen())
    assert until(world.state) == pytest.approx(world.clock + 20, abs=1)
    assert world.observe().seen(Colour.GREEN).condition is Condition.RUNNING
    world.settle()
    assert until(world.state) is None
    assert gathering(world.state) is None
    assert world.state.rollout is not None
    assert world.state.rollout.ended_at is not None
