"""Strategies in memory: what a user's own tests ask of them, and that nobody is told of a rollout that was none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliostat.rollout.model import Colour
from heliostat.rollout.orders import OrderError, RefusedError
from heliostat.spec.analysis import (
    Analysis,
    Check,
    CustomCheck,
    Disagreement,
    Latency,
    ModelMetric,
    OnInconclusive,
    PredictionDistance,
    RejectionRate,
    Source,
    SuccessRate,
    Verdict,
)
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy
from heliostat.testing import RolloutSimulation, Traffic, VersionBehaviour, desired, simulate

RATE = Analysis(checks=(SuccessRate(at_least=0.99),), seconds=20)
CANARY = Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), analysis=RATE)
FAILS = VersionBehaviour(error_rate=0.05)
QUIET = Traffic(requests_per_second=0)


def test_a_canary_promotes_a_good_version_step_by_step_and_loses_no_request() -> None:
    outcome = simulate(CANARY)
    assert (outcome.promoted, outcome.phase, outcome.error) == (True, Phase.SUCCEEDED, "")
    assert outcome.weights == (0.1, 0.5, 1.0)
    assert outcome.failed_requests == 0
    assert 40 <= outcome.seconds <= 60, "two analyses of 20 s, and a start"
    assert 0.1 < outcome.candidate_requests / outcome.requests < 0.9
    assert [each.verdict for each in outcome.analyses] == [Verdict.PASS, Verdict.PASS]
    assert [each.phase for each in outcome.events][-1] is Phase.SUCCEEDED


def test_a_canary_refuses_one_failure_in_twenty_and_few_notice() -> None:
    outcome = simulate(CANARY, candidate=FAILS)
    assert not outcome.promoted
    assert outcome.weights == (0.1, 0.0)
    assert "success rate 95 %" in outcome.error
    assert 0 < outcome.failed_requests < outcome.requests / 100
    assert outcome.failed_requests == pytest.approx(0.05 * outcome.candidate_requests, abs=1)
    assert outcome.seconds < 20


def checked(*checks: Check) -> BlueGreen:
    return BlueGreen(before=Analysis(checks=checks, seconds=5))


@pytest.mark.parametrize(
    ("strategy", "bad"),
    [
        (CANARY, VersionBehaviour(starts=False)),
        (CANARY, VersionBehaviour(healthy=False)),
        (CANARY, VersionBehaviour(passes_golden=False)),
        (Rolling(analysis=RATE), FAILS),
        (BlueGreen(after=RATE), FAILS),
        (BlueGreen(after=Analysis(checks=(Latency(times=1.5),))), VersionBehaviour(latency_ms=30)),
        (Shadow(analysis=Analysis(checks=(Disagreement(at_most=0.02),))), VersionBehaviour(disagreement=0.1)),
        (checked(RejectionRate(at_most=0.01)), VersionBehaviour(rejection_rate=0.2)),
        (checked(PredictionDistance(field="p", at_most=0.1)), VersionBehaviour(prediction_distance=0.3)),
        (checked(ModelMetric(metric="roc_auc", field="p", margin=0.01)), VersionBehaviour(model_metric=0.7)),
        (checked(CustomCheck(name="mine", command=("x",))), VersionBehaviour(custom_check=Verdict.FAIL)),
        (checked(CustomCheck(name="mine", command=("x",), at_most=1)), VersionBehaviour(custom_check=2.0)),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_each_way_to_be_bad_is_refused_by_what_looks_at_it_and_a_good_version_is_not(
    strategy: Strategy, bad: VersionBehaviour
) -> None:
    assert not simulate(strategy, bad).promoted
    assert simulate(strategy).promoted


def test_what_no_check_looks_at_is_promoted() -> None:
    assert simulate(BlueGreen(), FAILS).promoted
    assert simulate(CANARY, VersionBehaviour(disagreement=1.0)).promoted


def test_a_candidate_is_held_against_what_serves() -> None:
    relative = Canary(steps=(CanaryStep(weight=50),), analysis=Analysis(checks=(SuccessRate(margin=0.01),)))
    assert not simulate(relative, FAILS).promoted
    assert simulate(relative, FAILS, stable=FAILS).promoted


def test_a_candidate_with_all_traffic_is_held_against_what_served_before() -> None:
    relative = BlueGreen(after=Analysis(checks=(Latency(times=1.5),), seconds=20))
    nothing_to_replay = Traffic(recorded_requests=0)
    outcome = simulate(relative, VersionBehaviour(latency_ms=30), traffic=nothing_to_replay)
    ((finding,),) = (each.findings for each in outcome.analyses)
    assert (finding.verdict, finding.source) == (Verdict.FAIL, Source.TRAFFIC)
    assert simulate(relative, traffic=nothing_to_replay).promoted


def test_recreate_has_a_gap_in_which_requests_fail() -> None:
    outcome = simulate(Recreate())
    assert outcome.promoted
    assert outcome.failed_requests > 0


@pytest.mark.parametrize("approve", [True, False])
def test_who_is_waited_for_approves_or_says_nothing(approve: bool) -> None:
    strategy = Canary(steps=(CanaryStep(weight=10, approval=True),), approval_timeout_seconds=3600)
    outcome = simulate(strategy, approve=approve)
    assert outcome.promoted is approve
    assert approve or "nobody approved" in outcome.error, outcome.error


def test_where_nobody_asks_what_is_recorded_decides_and_without_that_the_golden_requests() -> None:
    assert not simulate(CANARY, FAILS, traffic=QUIET).promoted
    assert simulate(CANARY, FAILS, traffic=Traffic(0, recorded_requests=0)).promoted, "five requests do not show 5 %"
    truth = checked(ModelMetric(metric="roc_auc", field="p", margin=0.01))
    unknown = simulate(truth, traffic=Traffic(0, recorded_requests=0))
    assert "no row's truth is known yet" in unknown.error


def test_a_pause_of_days_passes_in_a_moment_and_its_requests_are_counted() -> None:
    slow = Canary(steps=(CanaryStep(weight=10, pause_seconds=3 * 86400),), analysis=RATE)
    outcome = simulate(slow, traffic=Traffic(1.0))
    assert outcome.promoted
    assert outcome.seconds == pytest.approx(3 * 86400, rel=0.05)
    assert outcome.candidate_requests == pytest.approx(0.1 * outcome.requests, rel=0.01)


@pytest.mark.parametrize("rate", [0.3, 7.0, 200.0])
def test_shares_of_few_requests_add_up(rate: float) -> None:
    outcome = simulate(
        Canary(steps=(CanaryStep(weight=10, pause_seconds=3000),)), replace(FAILS, rejection_rate=0.2), traffic=Traffic(rate)
    )
    assert outcome.requests == pytest.approx(3000 * rate, rel=0.1)
    assert outcome.failed_requests == pytest.approx(outcome.candidate_requests * 0.8 * 0.05, abs=1 + outcome.requests / 1000)


def test_the_same_simulation_comes_to_the_same() -> None:
    assert simulate(CANARY, FAILS) == simulate(CANARY, FAILS)


def test_a_strategy_that_cannot_work_is_told_with_the_fix() -> None:
    with pytest.raises(ValueError, match="give maxSurge 1 or more"):
        simulate(Rolling(max_surge=0, min_healthy_percentage=100))


def test_a_stable_version_that_does_not_come_to_serve_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match=r"the stable version does not come to serve.*no such column"):
        simulate(CANARY, stable=VersionBehaviour(starts=False))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"error_rate": 5}, "error_rate is 5: give a share from 0 to 1"),
        ({"rejection_rate": -0.1}, "rejection_rate is -0.1"),
        ({"disagreement": 1.1}, "disagreement is 1.1"),
        ({"latency_ms": 0}, "latency_ms is 0: give more than 0"),
    ],
)
def test_a_behaviour_beyond_its_limits_is_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        VersionBehaviour(**changes)  # type: ignore[arg-type]


def test_traffic_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="requests_per_second is -1: give 0 or more"):
        Traffic(-1)


def started(*versions: VersionBehaviour) -> RolloutSimulation:
    simulation = RolloutSimulation()
    for number, behaviour in enumerate(versions, 1):
        simulation.declare(desired(number), behaviour)
        simulation.settle()
    return simulation


def test_a_version_that_gets_worse_under_load_is_rolled_back_from_where_it_is() -> None:
    simulation, candidate = started(VersionBehaviour()), desired(2, CANARY)
    simulation.declare(candidate)
    simulation.run_until(Phase.ANALYSING)
    simulation.behaviours[candidate.version.digest] = FAILS
    simulation.run_until(Phase.FAILED)
    assert simulation.share == 0
    with pytest.raises(RefusedError, match="--retry-refused"):
        simulation.declare(candidate)
    simulation.declare(candidate, VersionBehaviour(), retry=True)
    simulation.settle()
    assert simulation.phase is Phase.SUCCEEDED


def test_people_approve_abort_and_go_back() -> None:
    simulation = started(VersionBehaviour())
    gated = Canary(steps=(CanaryStep(weight=10, approval=True),))
    with pytest.raises(OrderError, match="no rollout is on its way"):
        simulation.approve()
    simulation.declare(desired(2, gated))
    simulation.run_until(Phase.WAITING)
    simulation.abort()
    simulation.settle()
    assert simulation.phase is Phase.FAILED
    simulation.declare(desired(3, gated))
    simulation.run_until(Phase.WAITING)
    simulation.approve()
    simulation.settle()
    assert simulation.phase is Phase.SUCCEEDED
    simulation.roll_back(desired(1))
    simulation.settle()
    assert simulation.rollout is not None
    assert simulation.rollout.target.version == desired(1).version
    simulation.delete()
    simulation.settle()
    assert simulation.gone


def test_what_serves_outlives_the_loss_of_a_replica_the_cluster_the_router_and_the_controller() -> None:
    simulation = started(VersionBehaviour())
    assert simulation.state.live is Colour.BLUE
    for fault in (
        lambda: simulation.kill_replica(Colour.BLUE),
        simulation.lose_cluster,
        simulation.restart_router,
        simulation.restart_controller,
        lambda: simulation.look_away(60),
    ):
        fault()
        simulation.settle()
        assert len(simulation.cluster.usable(Colour.BLUE)) == 2


def test_a_router_that_starts_again_has_to_find_out_who_is_healthy() -> None:
    simulation = started(VersionBehaviour())
    assert len(simulation.observe().blue.healthy) == 2
    simulation.restart_router()
    assert simulation.observe().blue.healthy == frozenset()
    simulation.reconcile()
    assert len(simulation.observe().blue.healthy) == 2


def test_what_never_comes_is_told_with_the_story() -> None:
    simulation = started(VersionBehaviour())
    with pytest.raises(AssertionError, match=r"(?s)it never came to waiting: .*#1 succeeded"):
        simulation.run_until(Phase.WAITING, looks=10)
    simulation.declare(desired(2, CANARY))
    with pytest.raises(AssertionError, match="it does not end"):
        simulation.settle(looks=3)


def test_what_says_nothing_either_way_waits_where_the_strategy_says_so() -> None:
    waits = RATE.model_copy(update={"on_inconclusive": OnInconclusive.WAIT})
    strategy = Canary(steps=(CanaryStep(weight=10),), analysis=waits)
    simulation = started(VersionBehaviour())
    simulation.clients.per_second = 0.0
    simulation.analysis_runner.error = "the object store is away"
    simulation.declare(desired(2, strategy))
    simulation.run_until(Phase.WAITING)
    simulation.abort()
    simulation.settle()
    assert simulation.phase is Phase.FAILED
