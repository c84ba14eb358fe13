"""What people say to a rollout, and what befalls it, at each of its stages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rollout_world import desired
from stage_world import RATE, TENTH, error_of, serving_one, shipped, until_phase, waiting

from heliostat.rollout import orders
from heliostat.rollout.model import Colour, Phase
from heliostat.rollout.orders import OrderError
from heliostat.rollout.show import until
from heliostat.spec.analysis import OnInconclusive, Verdict
from heliostat.spec.rollouts import ActionRequest
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Rolling


def test_a_step_waits_for_a_person_and_goes_on_when_one_approves() -> None:
    world = waiting()
    assert until(world.state) == pytest.approx(world.clock + 600, abs=2)
    for _ in range(30):
        world.reconcile()
        world.advance()
    assert world.share == 1000
    world.approve()
    world.reconcile()
    assert world.share == 10_000, "at once"
    assert any("somebody lets it go on" in line for line in world.story)
    world.settle()
    assert world.state.live is Colour.GREEN


def test_nobody_who_comes_is_a_rollback_in_the_end() -> None:
    world = waiting()
    until_phase(world, Phase.ROLLING_BACK, most=602)
    world.settle()
    assert "nobody approved 2-fine within 10 min" in error_of(world)


def test_aborting_brings_the_traffic_back_at_once() -> None:
    world = waiting()
    world.abort()
    world.reconcile()
    assert world.share == 0
    world.settle()
    assert "somebody aborted it" in error_of(world)
    assert len(world.state.refused) == 1
    assert world.ends[2] == [Phase.FAILED]


def test_words_on_nothing_are_errors_and_change_nothing() -> None:
    world = serving_one()
    before = world.state
    for order, text in ((world.approve, "no rollout is on its way"), (world.abort, "no rollout is on its way")):
        said: Callable[[], None] = order
        with pytest.raises(OrderError, match=text):
            said()
    world.declare(desired(2, TENTH))
    until_phase(world, Phase.ANALYSING)
    with pytest.raises(OrderError, match="nothing waits for an approval: rollout 2 to 2-fine is analysing"):
        world.approve()
    with pytest.raises(OrderError, match="rollout 7 is not on its way; rollout 2 is"):
        orders.abort(world.state, ActionRequest(by="ada", rollout=7), 0.0)
    assert before.refused == world.state.refused == ()


def test_what_cannot_be_judged_waits_for_a_person_where_that_is_asked() -> None:
    unsure = RATE.model_copy(update={"on_inconclusive": OnInconclusive.WAIT})
    way = Canary(steps=(CanaryStep(weight=10),), analysis=unsure, approval_timeout_seconds=600)
    world = waiting("breaks", way, per_second=0.0)
    assert world.state.rollout is not None
    assert world.state.rollout.analyses[0].verdict is Verdict.INCONCLUSIVE
    world.approve()
    world.reconcile()
    assert world.share == 10_000


def test_a_candidate_that_dies_with_traffic_gives_it_back_with_its_traceback() -> None:
    for way in (TENTH, BlueGreen(after=RATE)):
        world = until_phase(shipped(desired(2, way)), Phase.ANALYSING)
        world.cluster.colours[Colour.GREEN].replicas.clear()
        world.cluster.colours[Colour.GREEN].failed = True
        world.reconcile()
        assert world.share == 0
        world.settle()
        assert "2-fine died" in error_of(world)
        assert "ValueError: no such column" in error_of(world)


def test_a_candidate_without_a_replica_that_answers_is_given_two_seconds() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.cluster.colours[Colour.GREEN].replicas.clear()
    began = world.now
    while world.share:
        world.reconcile()
        world.cluster.colours[Colour.GREEN].replicas.clear()
        world.now += 0.5
    assert 2 <= world.now - began <= 3.5
    world.settle()
    assert "no replica of 2-fine answered" in error_of(world)


def test_one_replica_of_the_candidate_that_dies_is_replaced_tested_and_the_rollout_goes_on() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.kill_replica(Colour.GREEN)
    names = set()
    for _ in range(15):
        world.reconcile()
        world.advance()
        names |= {replica.name for replica in world.usable(Colour.GREEN)}
        assert all(name in world.golden for name in names)
    assert len(names) == 2 + 1 - 0 or len(names) == 2
    world.settle()
    assert world.state.live is Colour.GREEN


def test_a_cluster_that_loses_the_candidate_starts_it_again_without_traffic() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.lose_cluster()
    world.reconcile()
    assert world.share == 0
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.STARTING
    world.settle()
    assert world.state.rollout.number == 2
    assert world.state.live is Colour.GREEN


def test_while_nobody_can_look_no_patience_runs_out_and_nothing_is_held_against_it() -> None:
    world = shipped(desired(2, TENTH, behaviour="never_healthy"))
    until_phase(world, Phase.STARTING)
    world.look_away(3600)
    world.reconcile()
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.STARTING
    world.settle()
    assert "0 of 2 replicas" in error_of(world)
    assert world.state.refused == ()


def test_a_clock_that_was_set_back_makes_nothing_wait_for_it() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.clock_skew -= 86400 * 365
    world.settle(looks=120)
    assert world.state.live is Colour.GREEN


def test_a_controller_that_starts_again_counts_anew_and_goes_on() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(18):
        world.reconcile()
        world.advance()
    began = world.now
    world.restart_controller()
    world.restart_router()
    until_phase(world, Phase.SHIFTING, Phase.ROLLING_BACK)
    assert world.now - began < 20
    world.settle()
    assert world.state.live is Colour.GREEN
    assert world.state.refused == ()


def test_what_serves_is_made_anew_once_where_serve_gave_it_up_also_in_a_pause() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=3600),))
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    for old in (world, serving_one()):
        made = [old.cluster.colours[Colour.BLUE]]
        made[0].failed = True
        made[0].replicas.clear()
        for _ in range(90):
            old.reconcile()
            old.advance()
            app = old.cluster.colours.get(Colour.BLUE)
            if app is not None and app is not made[-1]:
                made.append(app)
        assert len(made) == 2, "well again, it is left alone"
        assert len(old.usable(Colour.BLUE)) == 2


def test_a_traffic_plane_that_starts_again_moves_no_traffic_of_a_rolling_update() -> None:
    way = Rolling(percentage=25, max_surge=1, analysis=RATE)
    world = serving_one(way, 4)
    world.declare(desired(2, way, 4))
    until_phase(world, Phase.ANALYSING)
    share = world.share
    world.restart_router()
    world.reconcile()
    assert world.share == share == 2000
