"""How versions are rolled out in a simulation: the declared strategy, but for checks that only replicas answer."""

from __future__ import annotations

import pytest

from heliostat.cli.simulation.strategies import usual, without_replicas
from heliostat.spec.analysis import Analysis, CustomCheck, Disagreement, Latency, ModelMetric, RejectionRate, SuccessRate
from heliostat.spec.problem import Problem
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow

KEPT = (SuccessRate(at_least=0.99), Disagreement(at_most=0.1))
MORE = (Latency(at_most_ms=10), CustomCheck(name="mine", command=("true",)), RejectionRate(at_most=0.1))
MIXED, LEFT = Analysis(checks=(*KEPT, *MORE), seconds=7), Analysis(checks=KEPT, seconds=7)


@pytest.mark.parametrize(
    ("declared", "simulated"),
    [
        (Rolling(analysis=MIXED), Rolling(analysis=LEFT)),
        (BlueGreen(before=MIXED, after=MIXED), BlueGreen(before=LEFT, after=LEFT)),
        (
            Canary(steps=(CanaryStep(weight=5), CanaryStep(weight=9, analysis=MIXED)), analysis=MIXED),
            Canary(steps=(CanaryStep(weight=5), CanaryStep(weight=9, analysis=LEFT)), analysis=LEFT),
        ),
        (Shadow(analysis=MIXED, approval=True), Shadow(analysis=LEFT, approval=True)),
    ],
    ids=lambda strategy: strategy.kind,
)
def test_checks_that_only_replicas_answer_are_left_out_and_named(declared, simulated):
    assert without_replicas(declared) == (simulated, ("latency", "mine", "rejection-rate"))


def test_a_strategy_without_such_checks_is_as_it_was():
    for strategy in (Recreate(), BlueGreen(), usual(Problem(), "score", "roc_auc")):
        assert without_replicas(strategy) == (strategy, ())


def test_where_no_check_is_left_the_step_takes_its_time_all_the_same():
    strategy, left_out = without_replicas(Shadow(analysis=Analysis(checks=MORE, seconds=60)))
    assert isinstance(strategy, Shadow) and strategy.analysis.seconds == 60
    assert strategy.analysis.checks == (SuccessRate(at_least=0.0),) and len(left_out) == 3


def test_the_usual_canary_is_approved_once_and_held_to_the_metric_where_there_is_one():
    canary = usual(Problem(), "score", "roc_auc")
    assert [(step.weight, step.approval) for step in canary.steps] == [(10, True), (50, False)]
    assert canary.analysis is not None and [type(check) for check in canary.analysis.checks] == [SuccessRate, ModelMetric]
    without = usual(Problem(), "score", None).analysis
    assert without is not None and [type(check) for check in without.checks] == [SuccessRate]
