"""What a strategy is made of, and what becomes of it when it changes half way."""

from __future__ import annotations

from rollout_world import desired

from heliostat.rollout.model import SHARES, Colour, Phase, Progress, State
from heliostat.rollout.rolling import batches
from heliostat.rollout.stages import Stage, approval_timeout, followed_on, is_last, key, present, retention, stages, stages_of
from heliostat.rollout.steps import steps_of
from heliostat.spec.analysis import Analysis, Latency, SuccessRate
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy

ONE = Analysis(checks=(SuccessRate(at_least=0.99),))
OTHER = Analysis(checks=(Latency(at_most_ms=50),), seconds=90)


def progress(strategy: Strategy, stage: int = 0, **more: object) -> Progress:
    target, previous = desired(2, strategy, 4), desired(1, strategy, 4)
    fields = {"number": 1, "phase": Phase.ANALYSING, "strategy": strategy, "candidate": Colour.GREEN, "target": target}
    return Progress.model_validate(
        {**fields, "previous": previous, "way_back": strategy, "started_at": 0, "since": 0, "stage": stage, **more}
    )


def canary(*weights: float, **more: object) -> Canary:
    return Canary.model_validate({"steps": [{"weight": weight} for weight in weights], **more})


def test_recreate_and_a_first_version_go_straight_to_all_traffic() -> None:
    assert stages(Recreate()) == (Stage(SHARES),)
    assert stages_of(progress(canary(10, 50, analysis=ONE), previous=None)) == (Stage(SHARES),)
    assert stages_of(progress(BlueGreen(before=ONE, after=ONE), direct=True)) == (Stage(SHARES),)


def test_blue_green_analyses_before_and_after_the_switch() -> None:
    assert stages(BlueGreen()) == (Stage(SHARES),)
    assert stages(BlueGreen(before=ONE, after=OTHER)) == (Stage(0, ONE), Stage(SHARES, OTHER))
    assert stages(BlueGreen(after=OTHER)) == (Stage(SHARES, OTHER),)


def test_a_canary_ends_with_all_traffic_and_its_steps_share_its_analysis() -> None:
    steps = (CanaryStep(weight=12.5), CanaryStep(weight=50, analysis=OTHER, pause_seconds=60, approval=True))
    assert stages(Canary(steps=steps, analysis=ONE)) == (
        Stage(1250, ONE),
        Stage(5000, OTHER, pause_seconds=60, approval=True),
        Stage(SHARES),
    )
    assert stages(canary(10, 100, analysis=ONE)) == (Stage(1000, ONE), Stage(SHARES, ONE))
    assert stages(canary(0.01))[0].weight == 1


def test_a_shadow_has_no_traffic_until_it_passed() -> None:
    way = Shadow(analysis=ONE, sampling_percentage=25, approval=True, after=OTHER)
    assert stages(way) == (Stage(0, ONE, 0.25, approval=True), Stage(SHARES, OTHER))


def test_patience_and_retention_are_the_strategys_own() -> None:
    assert approval_timeout(canary(10, approval_timeout_seconds=60)) == 60
    assert approval_timeout(BlueGreen()) == 7 * 86400
    assert retention(Shadow(analysis=ONE, retention_seconds=7)) == 7
    assert retention(Recreate()) == retention(Rolling()) == 0


def test_steps_are_told_in_words() -> None:
    steps = (CanaryStep(weight=10), CanaryStep(weight=50, pause_seconds=300, approval=True))
    assert steps_of(progress(Canary(steps=steps, analysis=ONE))) == (
        "10 % of the traffic, analysed for 30 s",
        "50 % of the traffic, analysed for 30 s, for 5 min at least, until a person approves",
        "all of the traffic",
    )
    assert steps_of(progress(Shadow(analysis=OTHER))) == (
        "copies of 100 % of the requests, analysed for 1.5 min",
        "all of the traffic",
    )
    assert steps_of(progress(BlueGreen(before=ONE)))[0] == "replayed requests, no traffic, analysed for 30 s"
    assert steps_of(progress(Rolling(percentage=50, max_surge=2, analysis=ONE))) == (
        "2 of 4 replicas, analysed for 30 s",
        "4 of 4 replicas, analysed for 30 s",
    )
    assert steps_of(progress(Recreate(), in_place=True)) == ("4 replicas, in place",)


def test_batches_are_counted_as_they_move() -> None:
    assert batches(Rolling(percentage=25, max_surge=1), 4, 4) == (1, 2, 3, 4)
    assert batches(Rolling(percentage=50, max_surge=4), 4, 4) == (2, 4)
    assert batches(Rolling(percentage=50, max_surge=0, min_healthy_percentage=50), 4, 4) == (2, 4)
    assert batches(Rolling(percentage=100, max_surge=1), 1, 5) == (1,)
    assert batches(Rolling(percentage=10, max_surge=0, min_healthy_percentage=0), 3, 1)[-1] == 3


def test_a_changed_canary_goes_on_where_it_is_and_to_less_traffic_only_for_a_gate() -> None:
    at = progress(canary(10, 50), stage=1, stage_at=5.0, approved=True)
    same = followed_on(at, canary(10, 50, 80), 5000)
    assert (same.stage, same.stage_at, same.approved) == (1, 5.0, True)
    fewer = followed_on(at, canary(80), 5000)
    assert (present(fewer).weight, fewer.stage_at, fewer.approved) == (8000, None, False)
    lower = followed_on(at, canary(1, 2), 5000)
    assert present(lower).weight == SHARES
    assert is_last(lower)
    assert present(followed_on(at, BlueGreen(), 5000)) == Stage(SHARES)
    assert present(followed_on(at, BlueGreen(before=ONE), 5000)) == Stage(0, ONE)
    gated = canary(1, 2, analysis=ONE)
    assert present(followed_on(at, gated, 5000)) == Stage(200, ONE)
    assert present(followed_on(at, gated, SHARES)) == Stage(200, ONE)
    through = progress(gated, stage=2)
    assert present(followed_on(through, canary(1, 2, 100, analysis=ONE), SHARES)) == Stage(SHARES, ONE)
    kept = followed_on(at.model_copy(update={"phase": Phase.RETAINING}), gated, 0)
    assert (is_last(kept), kept.strategy) == (True, gated)


def test_a_shadow_that_becomes_a_canary_begins_with_its_first_step() -> None:
    changed = followed_on(progress(Shadow(analysis=ONE), stage_at=5.0), canary(10, 50), 0)
    assert (changed.stage, present(changed).weight, changed.stage_at) == (0, 1000, None)


def test_another_analysis_stage_or_attempt_asks_the_analysis_runner_anew() -> None:
    state = State(name="flights")
    base = progress(canary(10, 50, analysis=ONE), analysis_at=5.0)
    others = [
        base.model_copy(update={"number": 2}),
        base.model_copy(update={"stage": 1}),
        base.model_copy(update={"analysis_at": 6.0}),
        base.model_copy(update={"strategy": canary(10, 50, analysis=OTHER)}),
    ]
    assert key(state, base) == key(state, base.model_copy(update={"phase": Phase.PAUSED}))
    assert len({key(state, each) for each in [base, *others]}) == 5
