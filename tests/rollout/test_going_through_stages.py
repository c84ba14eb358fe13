"""Canaries, shadows, analyses and people, in a world with clients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rollout_world import World, desired

from heliostat.rollout import orders
from heliostat.rollout.decide import decide
from heliostat.rollout.model import Analyse, Colour, Condition, Phase, SetShare
from heliostat.rollout.orders import OrderError, RefusedError
from heliostat.rollout.show import analyses, candidate_weight, gathering, serving, step, steps, until
from heliostat.spec.analysis import Analysis, Disagreement, Latency, OnInconclusive, SuccessRate, Verdict
from heliostat.spec.rollouts import Desired, Word
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy

RATE = Analysis(checks=(SuccessRate(at_least=0.99),), seconds=20)
TWICE = Analysis(checks=(Latency(times=2.0),), seconds=20)
SAME = Analysis(checks=(Disagreement(at_most=0.1),), seconds=20)
TENTH = Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), analysis=RATE)


def serving_one(strategy: Strategy | None = None, replicas: int = 2, per_second: float = 200.0) -> World:
    world = World()
    world.clients.per_second = per_second
    world.declare(desired(1, strategy or BlueGreen(), replicas))
    world.settle()
    return world


def until_phase(world: World, *phases: Phase, most: int = 400) -> World:
    for _ in range(most):
        if world.state.rollout is not None and world.state.rollout.phase in phases:
            return world
        world.look()
        if world.state.rollout is not None and world.state.rollout.phase in phases:
            return world
        world.pass_time()
    raise AssertionError(f"never {phases}: {world.story[-10:]}")


def shipped(wanted: Desired, manner: str = "fine", per_second: float = 200.0) -> World:
    world = serving_one(per_second=per_second)
    world.analyst.manner = manner
    world.declare(wanted)
    return world


def error_of(world: World) -> str:
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.FAILED, world.story
    return world.state.rollout.error or ""


def test_a_canary_goes_up_its_steps_and_takes_all_traffic_in_the_end() -> None:
    world = shipped(desired(2, TENTH))
    failed, shares = world.clients.failed, list[int]()
    for _ in range(80):
        world.look()
        world.pass_time()
        if world.share not in shares[-1:]:
            shares.append(world.share)
    assert shares == [0, 1000, 5000, 10000]
    world.settle()
    assert [entry.weights for _, entry in world.ledger][1:] == [
        {"0" * 63 + "1": 1.0},
        {"0" * 63 + "1": 0.9, "0" * 63 + "2": 0.1},
        {"0" * 63 + "1": 0.5, "0" * 63 + "2": 0.5},
        {"0" * 63 + "2": 1.0},
        {"0" * 63 + "2": 1.0},
    ]
    rollout = world.state.rollout
    assert rollout is not None
    assert [each.verdict for each in rollout.analyses] == [Verdict.PASS, Verdict.PASS]
    assert [each["weight"] for each in rollout.figures["steps"]] == [0.1, 0.5, 1.0]
    assert all(each["seconds"] >= 20 for each in rollout.figures["steps"][:2])
    assert world.clients.failed == failed


def test_the_share_is_decided_in_the_look_in_which_the_stage_may_begin() -> None:
    world = shipped(desired(2, BlueGreen()))
    while not world.golden or Colour.GREEN not in world.apps or not world.asked:
        world.look()
        world.pass_time()
    world.look()  # The golden answers are there.
    world.look()  # HAProxy lets the replicas in.
    assert world.share == 10_000


def test_a_failing_canary_is_rolled_back_within_ten_seconds_and_few_notice() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(10):
        world.look()
        world.pass_time()
    began, before = world.now, (world.clients.sent, world.clients.failed)
    world.apps[Colour.GREEN].wanted = desired(2, TENTH, behaviour="fails")
    while world.share != 0:
        world.look()
        world.pass_time()
    assert world.now - began <= 10
    sent, failed = world.clients.sent - before[0], world.clients.failed - before[1]
    assert 0 < failed <= sent / 100
    world.settle()
    assert "the analysis of 2-fine with 10 % of the traffic failed: success rate 9" in error_of(world)
    assert "at least 99 %" in error_of(world)
    assert set(world.apps) == {Colour.BLUE}


def test_the_look_that_finds_the_failure_moves_the_traffic_before_anything_else() -> None:
    world = until_phase(shipped(desired(2, TENTH, behaviour="fails_all")), Phase.ANALYSING)
    while world.state.rollout is not None and world.state.rollout.phase is Phase.ANALYSING:
        decision = decide(world.state, world.observe(), world.clock)
        world.look()
        world.pass_time()
    assert decision.actions[0] == SetShare(0)
    assert decision.state.slot(Colour.GREEN).desired is not None, "the candidate goes only once nothing goes to it"


@pytest.mark.parametrize("strategy", [TENTH, BlueGreen(after=RATE), Rolling(analysis=RATE)])
def test_what_was_rolled_back_is_not_shipped_again_until_it_changes_or_somebody_says_so(strategy: Strategy) -> None:
    wanted = desired(2, strategy, behaviour="fails_all")
    world = shipped(wanted)
    world.settle()
    with pytest.raises(RefusedError) as caught:
        world.declare(wanted)
    text = str(caught.value)
    for part in ("2-fails_all", "rollout 2", "success rate 0 %", "1-fine serves", "--retry-refused", "2001-09-09 01:"):
        assert part in text, text
    assert caught.value.refused == world.state.refused[0]
    world.declare(desired(2, strategy, behaviour="fails_all", timeout=21))
    world.settle()
    assert world.state.rollout is not None
    assert world.state.rollout.number == 3
    world.declare(wanted, retry=True)
    world.settle()
    assert world.state.rollout.number == 4
    assert len(world.state.refused) == 2


def test_a_slow_canary_is_held_against_what_serves_meanwhile() -> None:
    world = shipped(desired(2, Canary(steps=(CanaryStep(weight=10),), analysis=TWICE), behaviour="slow"))
    world.settle()
    assert "latency p99" in error_of(world)
    assert "at most 2 times what serves" in error_of(world)


def test_blue_green_is_analysed_with_all_traffic_and_goes_back_without_a_start() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(after=RATE), behaviour="fails")), Phase.ANALYSING)
    names = {replica.name for replica in world.apps[Colour.BLUE].replicas}
    assert world.share == 10_000
    assert world.state.live is Colour.BLUE, "not through yet"
    assert serving(world.state) == world.state.declared
    world.settle()
    assert "all of the traffic" in error_of(world)
    assert {replica.name for replica in world.serving()} == names


def test_before_it_gets_traffic_a_candidate_answers_replayed_requests() -> None:
    for behaviour, end in (("fine", Phase.SUCCEEDED), ("fails", Phase.FAILED)):
        world = shipped(desired(2, BlueGreen(before=RATE), behaviour=behaviour), per_second=0.0)
        world.settle()
        assert world.analyst.asks == 1
        assert world.state.rollout is not None
        assert world.state.rollout.phase is end
        moved = any(record.weights.get("0" * 63 + "2") for _, record in world.ledger)
        assert moved is (end is Phase.SUCCEEDED)


def test_a_shadow_never_has_traffic_before_it_passed() -> None:
    world = shipped(desired(2, Shadow(analysis=SAME, sampling_percentage=25)), "disagrees")
    until_phase(world, Phase.ANALYSING)
    decision = decide(world.state, world.observe(), world.clock)
    (asked,) = [action for action in decision.actions if isinstance(action, Analyse)]
    assert (asked.shadow_share, asked.candidate) == (0.25, Colour.GREEN)
    for _ in range(60):
        world.look()
        assert world.share == 0
        world.pass_time()
    world.settle()
    assert "disagreement 50 %" in error_of(world)
    good = shipped(desired(2, Shadow(analysis=SAME)))
    good.settle()
    assert good.state.live is Colour.GREEN


def test_rolling_is_analysed_after_each_batch_and_after_the_last() -> None:
    way = Rolling(percentage=50, max_surge=2, min_healthy_percentage=75, analysis=RATE)
    world = serving_one(way, 4)
    world.declare(desired(2, way, 4))
    shares = set()
    for _ in range(120):
        world.look()
        world.pass_time()
        if world.state.rollout is not None and world.state.rollout.phase is Phase.ANALYSING:
            shares.add(world.share)
            assert len(world.serving()) >= 4
    world.settle()
    assert shares == {3333, 10_000}
    assert world.state.rollout is not None
    assert [each.step for each in world.state.rollout.analyses] == [0, 1]
    assert world.state.rollout.phase is Phase.SUCCEEDED


def test_a_rolling_update_that_is_aborted_late_keeps_its_promise_on_the_way_back() -> None:
    way = Rolling(percentage=25, max_surge=1, min_healthy_percentage=75)
    world = serving_one(way, 4)
    world.declare(desired(2, way, 4))
    while world.share < 7000:
        world.look()
        world.pass_time()
    world.abort()
    for _ in range(60):
        world.look()
        world.pass_time()
        assert len(world.serving()) >= 3
    assert len(world.usable(Colour.BLUE)) == 4
    assert "ada aborted it" in error_of(world)


def test_traffic_that_is_on_its_way_does_not_come_back_for_a_gentler_strategy() -> None:
    world = shipped(desired(2, BlueGreen()))
    while world.state.share == 0:
        world.look(acts=0)
        world.look(acts=0 if len(world.usable(Colour.GREEN)) == 2 else None)
        world.pass_time()
    world.declare(desired(2, Canary(steps=(CanaryStep(weight=1),))))
    world.look()
    assert world.share == 10_000


def test_a_rolling_update_that_fails_its_analysis_moves_the_replicas_back() -> None:
    way = Rolling(percentage=25, max_surge=1, min_healthy_percentage=75, analysis=RATE)
    world = serving_one(way, 4)
    world.declare(desired(2, way, 4, behaviour="fails"))
    for _ in range(200):
        world.look()
        world.pass_time()
        assert len(world.serving()) >= 3
    world.settle()
    assert "1 of 4 replicas" in error_of(world)
    assert len(world.usable(Colour.BLUE)) == 4


def test_without_clients_the_golden_requests_decide() -> None:
    for behaviour, end in (("fine", Phase.SUCCEEDED), ("fails_all", Phase.FAILED)):
        world = shipped(desired(2, TENTH, behaviour=behaviour), "golden", per_second=0.0)
        world.settle()
        assert world.state.rollout is not None
        assert world.state.rollout.phase is end


@pytest.mark.parametrize("manner", ["mute", "breaks"])
def test_where_nothing_can_be_measured_it_goes_back_and_is_not_held_against_it(manner: str) -> None:
    world = shipped(desired(2, TENTH), manner, per_second=0.0)
    world.settle()
    assert "came to no verdict" in error_of(world)
    assert world.state.refused == ()


def test_an_analyst_is_asked_only_where_counters_do_not_tell() -> None:
    world = shipped(desired(2, TENTH))
    world.settle()
    assert world.analyst.asks == 0
    quiet = until_phase(shipped(desired(2, TENTH), per_second=5.0), Phase.ANALYSING)
    began = quiet.now
    while not quiet.analyst.asks:
        quiet.look()
        quiet.pass_time()
    assert quiet.now - began == pytest.approx(11, abs=1), "when half of its time is over"


def test_figures_that_move_are_shown_and_not_kept() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(5):
        world.look()
        world.pass_time()
    before = world.state
    (live,) = analyses(world.state, world.observe(), world.clock)
    assert (live.step, live.verdict, live.ended_at) == (0, None, None)
    assert live.findings[0].requests == 20 * 5
    world.pass_time()
    world.look()
    assert world.state == before
    (later,) = analyses(world.state, world.observe(), world.clock)
    assert later.findings[0].requests > live.findings[0].requests


def test_a_verdict_of_replays_is_shown_with_its_figures_while_a_pause_brings_too_few() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=3600),), analysis=RATE)
    world = until_phase(shipped(desired(2, way), per_second=0.0), Phase.PAUSED)
    world.look()
    (shown,) = analyses(world.state, world.observe(), world.clock)
    assert shown.verdict is Verdict.PASS
    assert [finding.verdict for finding in shown.findings] == [Verdict.PASS]


def test_a_pause_lasts_its_time_and_a_late_failure_ends_it() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=3600),), analysis=RATE)
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    began = gathering(world.state)
    assert began is not None
    assert until(world.state) == began.began_at + 3600
    for _ in range(60):
        world.look()
        world.pass_time(20)
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.PAUSED
    world.apps[Colour.GREEN].wanted = desired(2, way, behaviour="fails")
    at = world.now
    while world.share != 0:
        world.look()
        world.pass_time()
    assert world.now - at <= 15
    assert until_phase(shipped(desired(2, way)), Phase.RETAINING, most=4000).share == 10_000


def waiting(manner: str = "fine", way: Strategy | None = None, per_second: float = 200.0) -> World:
    way = way or Canary(steps=(CanaryStep(weight=10, approval=True),), analysis=RATE, approval_timeout_seconds=600)
    return until_phase(shipped(desired(2, way), manner, per_second), Phase.WAITING)


def test_a_step_waits_for_a_person_and_goes_on_when_one_approves() -> None:
    world = waiting()
    assert until(world.state) == pytest.approx(world.clock + 600, abs=2)
    for _ in range(30):
        world.look()
        world.pass_time()
    assert world.share == 1000
    world.approve()
    world.look()
    assert world.share == 10_000, "at once"
    assert any("ada lets it go on" in line for line in world.story)
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
    world.look()
    assert world.share == 0
    world.settle()
    assert "ada aborted it" in error_of(world)
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
        orders.abort(world.state, Word(by="ada", rollout=7), 0.0)
    assert before.refused == world.state.refused == ()


def test_what_cannot_be_judged_waits_for_a_person_where_that_is_asked() -> None:
    unsure = RATE.model_copy(update={"on_inconclusive": OnInconclusive.WAIT})
    way = Canary(steps=(CanaryStep(weight=10),), analysis=unsure, approval_timeout_seconds=600)
    world = waiting("breaks", way, per_second=0.0)
    assert world.state.rollout is not None
    assert world.state.rollout.analyses[0].verdict is Verdict.INCONCLUSIVE
    world.approve()
    world.look()
    assert world.share == 10_000


def test_a_candidate_that_dies_with_traffic_gives_it_back_with_its_traceback() -> None:
    for way in (TENTH, BlueGreen(after=RATE)):
        world = until_phase(shipped(desired(2, way)), Phase.ANALYSING)
        world.apps[Colour.GREEN].replicas.clear()
        world.apps[Colour.GREEN].failed = True
        world.look()
        assert world.share == 0
        world.settle()
        assert "2-fine died" in error_of(world)
        assert "ValueError: no such column" in error_of(world)


def test_a_candidate_without_a_replica_that_answers_is_given_two_seconds() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.apps[Colour.GREEN].replicas.clear()
    began = world.now
    while world.share:
        world.look()
        world.apps[Colour.GREEN].replicas.clear()
        world.now += 0.5
    assert 2 <= world.now - began <= 3.5
    world.settle()
    assert "no replica of 2-fine answered" in error_of(world)


def test_one_replica_of_the_candidate_that_dies_is_replaced_tested_and_the_rollout_goes_on() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.kill_replica(Colour.GREEN)
    names = set()
    for _ in range(15):
        world.look()
        world.pass_time()
        names |= {replica.name for replica in world.usable(Colour.GREEN)}
        assert all(name in world.golden for name in names)
    assert len(names) == 2 + 1 - 0 or len(names) == 2
    world.settle()
    assert world.state.live is Colour.GREEN


def test_a_cluster_that_loses_the_candidate_starts_it_again_without_traffic() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.lose_serve()
    world.look()
    assert world.share == 0
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.STARTING
    world.settle()
    assert world.state.rollout.number == 2
    assert world.state.live is Colour.GREEN


def test_while_nobody_can_look_no_patience_runs_out_and_nothing_is_held_against_it() -> None:
    world = shipped(desired(2, TENTH, behaviour="never_healthy"))
    until_phase(world, Phase.STARTING)
    world.cluster_is_away(3600)
    world.look()
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.STARTING
    world.settle()
    assert "0 of 2 replicas" in error_of(world)
    assert world.state.refused == ()


def test_a_clock_that_was_set_back_makes_nothing_wait_for_it() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.skew -= 86400 * 365
    world.settle(looks=120)
    assert world.state.live is Colour.GREEN


def test_a_controller_that_starts_again_counts_anew_and_goes_on() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(18):
        world.look()
        world.pass_time()
    began = world.now
    world.restart_controller()
    world.restart_haproxy()
    until_phase(world, Phase.SHIFTING, Phase.ROLLING_BACK)
    assert world.now - began < 20
    world.settle()
    assert world.state.live is Colour.GREEN
    assert world.state.refused == ()


def test_what_serves_is_made_anew_once_where_serve_gave_it_up_also_in_a_pause() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=3600),))
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    for old in (world, serving_one()):
        made = [old.apps[Colour.BLUE]]
        made[0].failed = True
        made[0].replicas.clear()
        for _ in range(90):
            old.look()
            old.pass_time()
            app = old.apps.get(Colour.BLUE)
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
    world.restart_haproxy()
    world.look()
    assert world.share == share == 2000


def test_shorter_steps_are_adopted_while_it_runs() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=86400),))
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    world.declare(desired(2, Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50, approval=True)))))
    world.look()
    assert world.share == 5000
    world.look()
    assert world.state.rollout is not None
    assert (world.state.rollout.number, world.state.rollout.phase) == (2, Phase.WAITING)
    world.declare(desired(2, BlueGreen()))
    world.look()
    assert world.share == 10_000


def test_a_new_analysis_is_asked_for_where_the_old_one_had_passed() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=600),), analysis=RATE)
    world = until_phase(shipped(desired(2, way)), Phase.PAUSED)
    strict = way.model_copy(update={"analysis": SAME})
    world.declare(desired(2, strict))
    world.look()
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.ANALYSING
    assert world.analyst.asks == 1
    assert until(world.state) == world.clock + 20, "it has its own time"
    world.declare(desired(2, way.model_copy(update={"analysis": RATE})))
    world.look()
    world.look()
    assert world.state.rollout.phase is Phase.ANALYSING
    until_phase(world, Phase.PAUSED)
    assert [each.findings[0].check for each in world.state.rollout.analyses] == ["success rate"]


def test_the_same_declaration_changes_nothing_at_any_stage() -> None:
    wanted = desired(2, Canary(steps=(CanaryStep(weight=10, pause_seconds=5, approval=True),), analysis=RATE))
    world = shipped(wanted)
    seen = set()
    for _ in range(60):
        world.look()
        assert world.state.rollout is not None
        seen.add(world.state.rollout.phase)
        before = world.state
        world.declare(wanted)
        assert world.state == before
        if world.state.rollout.phase is Phase.WAITING:
            world.approve()
        world.pass_time()
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
        world.look()
    assert (world.share, world.now) == (0, at)
    assert world.state.rollout is not None
    assert world.state.rollout.direct
    assert world.state.rollout.analyses == ()


def test_a_new_version_is_analysed_though_another_one_is_kept_in_its_place() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=600)))
    until_phase(world, Phase.RETAINING)
    world.declare(desired(3, TENTH))
    world.look()
    until_phase(world, Phase.ANALYSING)
    assert world.share == 9000


def test_a_canary_that_was_interrupted_has_proven_nothing() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.declare(desired(3, TENTH))
    world.look()
    world.declare(desired(2, TENTH))
    world.look()
    world.look()
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
    world.go_back(desired(1, way))
    world.settle()
    assert world.state.live is Colour.BLUE
    assert world.state.rollout is not None
    assert (world.state.rollout.direct, world.state.rollout.analyses) == (True, ())
    with pytest.raises(RefusedError, match="ada went back to 1-fine"):
        world.declare(desired(2, way))
    with pytest.raises(OrderError, match="1-fine serves already"):
        world.go_back(desired(1, way))
    world.go_back(desired(2, way))
    world.settle()
    assert world.state.live is Colour.GREEN
    assert [each.label for each in world.state.refused] == ["1-fine"]


def test_what_was_left_in_vain_may_be_declared_again_and_ships_nothing() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    world.go_back(desired(1, BlueGreen(), behaviour="crashes"))
    world.settle()
    assert world.state.live is Colour.GREEN
    number = world.state.rollout.number if world.state.rollout is not None else 0
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    assert world.state.rollout is not None
    assert world.state.rollout.number == number


def test_an_aborted_number_of_replicas_of_what_serves_is_refused_too() -> None:
    world = serving_one(Recreate())
    world.declare(desired(2, Recreate()))
    world.look()
    world.declare(desired(1, Recreate(), 3))
    world.look()
    world.look()
    world.abort()
    world.settle()
    assert world.state.live is not None
    with pytest.raises(RefusedError):
        world.declare(desired(1, Recreate(), 3))


def test_going_back_by_hand_in_the_middle_of_a_canary_refuses_the_canary() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.go_back(desired(1, BlueGreen()))
    for _ in range(3):
        world.look()
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
    world.apps[Colour.BLUE].replicas.clear()
    while world.state.rollout is not None and world.state.rollout.phase is not Phase.FAILED:
        world.look()
        assert world.serving()
        world.pass_time()
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
