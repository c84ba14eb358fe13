"""Canaries, shadows, analyses and people, in a world with clients."""

from __future__ import annotations

import pytest
from rollout_world import desired
from stage_world import RATE, SAME, TENTH, TWICE, error_of, serving_one, shipped, until_phase

from heliostat.rollout.decide import decide
from heliostat.rollout.model import Analyse, Colour, Phase, SetShare
from heliostat.rollout.orders import RefusedError
from heliostat.rollout.show import analyses, gathering, serving, until
from heliostat.spec.analysis import Verdict
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Rolling, Shadow, Strategy


def test_a_canary_goes_up_its_steps_and_takes_all_traffic_in_the_end() -> None:
    world = shipped(desired(2, TENTH))
    failed, shares = world.clients.failed, list[int]()
    for _ in range(80):
        world.reconcile()
        world.advance()
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
    while not world.golden or Colour.GREEN not in world.cluster.colours or not world.golden_asked:
        world.reconcile()
        world.advance()
    world.reconcile()  # The golden answers are there.
    world.reconcile()  # HAProxy lets the replicas in.
    assert world.share == 10_000


def test_a_failing_canary_is_rolled_back_within_ten_seconds_and_few_notice() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(10):
        world.reconcile()
        world.advance()
    began, before = world.now, (world.clients.sent, world.clients.failed)
    world.cluster.colours[Colour.GREEN].wanted = desired(2, TENTH, behaviour="fails")
    while world.share != 0:
        world.reconcile()
        world.advance()
    assert world.now - began <= 10
    sent, failed = world.clients.sent - before[0], world.clients.failed - before[1]
    assert 0 < failed <= sent / 100
    world.settle()
    assert "the analysis of 2-fine with 10 % of the traffic failed: success rate 9" in error_of(world)
    assert "at least 99 %" in error_of(world)
    assert set(world.cluster.colours) == {Colour.BLUE}


def test_the_look_that_finds_the_failure_moves_the_traffic_before_anything_else() -> None:
    world = until_phase(shipped(desired(2, TENTH, behaviour="fails_all")), Phase.ANALYSING)
    while world.state.rollout is not None and world.state.rollout.phase is Phase.ANALYSING:
        decision = decide(world.state, world.observe(), world.clock)
        world.reconcile()
        world.advance()
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
    names = {replica.name for replica in world.cluster.colours[Colour.BLUE].replicas}
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
        assert world.analysis_runner.asks == 1
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
        world.reconcile()
        assert world.share == 0
        world.advance()
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
        world.reconcile()
        world.advance()
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
        world.reconcile()
        world.advance()
    world.abort()
    for _ in range(60):
        world.reconcile()
        world.advance()
        assert len(world.serving()) >= 3
    assert len(world.usable(Colour.BLUE)) == 4
    assert "somebody aborted it" in error_of(world)


def test_traffic_that_is_on_its_way_does_not_come_back_for_a_gentler_strategy() -> None:
    world = shipped(desired(2, BlueGreen()))
    while world.state.share == 0:
        world.reconcile(acts=0)
        world.reconcile(acts=0 if len(world.usable(Colour.GREEN)) == 2 else None)
        world.advance()
    world.declare(desired(2, Canary(steps=(CanaryStep(weight=1),))))
    world.reconcile()
    assert world.share == 10_000


def test_a_rolling_update_that_fails_its_analysis_moves_the_replicas_back() -> None:
    way = Rolling(percentage=25, max_surge=1, min_healthy_percentage=75, analysis=RATE)
    world = serving_one(way, 4)
    world.declare(desired(2, way, 4, behaviour="fails"))
    for _ in range(200):
        world.reconcile()
        world.advance()
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


def test_an_analysis_runner_is_asked_only_where_counters_do_not_tell() -> None:
    world = shipped(desired(2, TENTH))
    world.settle()
    assert world.analysis_runner.asks == 0
    quiet = until_phase(shipped(desired(2, TENTH), per_second=5.0), Phase.ANALYSING)
    began = quiet.now
    while not quiet.analysis_runner.asks:
        quiet.reconcile()
        quiet.advance()
    assert quiet.now - began == pytest.approx(11, abs=1), "when half of its time is over"


def test_figures_that_move_are_shown_and_not_kept() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    for _ in range(5):
        world.reconcile()
        world.advance()
    before = world.state
    (live,) = analyses(world.state, world.observe(), world.clock)
    assert (live.step, live.verdict, live.ended_at) == (0, None, None)
    assert live.findings[0].requests == 20 * 5
    world.advance()
    world.reconcile()
    assert world.state == before
    (later,) = analyses(world.state, world.observe(), world.clock)
    assert later.findings[0].requests > live.findings[0].requests


def test_a_verdict_of_replays_is_shown_with_its_figures_while_a_pause_brings_too_few() -> None:
    way = Canary(steps=(CanaryStep(weight=10, pause_seconds=3600),), analysis=RATE)
    world = until_phase(shipped(desired(2, way), per_second=0.0), Phase.PAUSED)
    world.reconcile()
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
        world.reconcile()
        world.advance(20)
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.PAUSED
    world.cluster.colours[Colour.GREEN].wanted = desired(2, way, behaviour="fails")
    at = world.now
    while world.share != 0:
        world.reconcile()
        world.advance()
    assert world.now - at <= 15
    assert until_phase(shipped(desired(2, way)), Phase.RETAINING, most=4000).share == 10_000
