"""Tasks: what they know, and what a gate and checks may ask of each, told in the preview."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from heliostat.spec.analysis import ModelMetric
from heliostat.spec.judging import (
    gate_mistakes,
    judged_by,
    metric_functions,
    resolved_gate,
    resolved_strategy,
    strategy_mistakes,
)
from heliostat.spec.metrics import FORMER, Needs, canonical, former, higher_is_better, needs
from heliostat.spec.problem import CustomMetric, Problem, scores_are_numbers
from heliostat.spec.stack import ConfigError, json_schema, parse
from heliostat.spec.strategies import BlueGreen
from heliostat.spec.tasks import (
    Binary,
    Embedding,
    Forecasting,
    Free,
    Multiclass,
    Multilabel,
    Quantiles,
    Ranking,
    Regression,
    Task,
)
from heliostat.spec.workload import Gate, Slice
from workloads.flights.parameters import Training

EACH: list[Task] = [
    Binary(),
    Multiclass(classes=("cat", "dog")),
    Multilabel(labels=("red", "round")),
    Regression(),
    Quantiles(levels=(0.1, 0.9)),
    Ranking(group="query"),
    Forecasting(time="day"),
    Embedding(dimensions=3),
    Free(),
]
COST = CustomMetric(name="cost", function="costs:cost", higher_is_better=False)


@pytest.mark.parametrize("task", EACH, ids=lambda task: task.kind)
def test_a_task_is_the_same_after_it_was_written_and_read(task: Task) -> None:
    assert TypeAdapter(Task).validate_json(task.model_dump_json(by_alias=True)) == task


@pytest.mark.parametrize("task", EACH, ids=lambda task: task.kind)
def test_a_task_has_a_metric_to_judge_by_or_none_at_all_and_says_how_wide_a_prediction_is(task: Task) -> None:
    assert task.default_metric == (task.metrics[0] if task.metrics else None)
    assert len(set(task.metrics)) == len(task.metrics)
    assert task.width in (None, len(task.columns))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Multiclass(classes=("cat",)), "at least 2"),
        (lambda: Multiclass(classes=("cat", "dog", "cat")), "'cat' is there more than once"),
        (lambda: Multilabel(labels=("red", "red")), "'red' is there more than once"),
        (lambda: Quantiles(levels=(0.9, 0.1)), "must rise, and 0.1 does not"),
        (lambda: Quantiles(levels=(0.5, 0.5)), "must rise"),
        (lambda: Quantiles(levels=(0.0, 0.5)), "greater than 0"),
        (lambda: Forecasting(time="day", horizon=0), "greater than or equal to 1"),
        (lambda: Embedding(dimensions=0), "greater than or equal to 1"),
        (lambda: Problem(task=Binary(), metrics=(COST.model_copy(update={"name": "f1"}),)), "'f1' is the task's own"),
        (lambda: Problem(task=Regression(), metrics=(COST.model_copy(update={"name": "rmse"}),)), "'rmse' is the task's own"),
        (lambda: Problem(metrics=(COST, COST)), "two metrics have the same name"),
    ],
)
def test_a_task_that_cannot_be_is_refused(make: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        make()


def test_former_names_of_metrics_lead_to_the_present_ones_and_back() -> None:
    assert {name: canonical(name) for name in FORMER} == FORMER
    assert [former(now) for now in FORMER.values()] == [*FORMER]
    assert Gate(metric="rmse").metric == "root_mean_squared_error"
    assert ModelMetric(metric="pr_auc", field="p", limit=0.1).metric == "average_precision"


def test_each_metric_knows_its_direction_with_its_parameter_or_without() -> None:
    assert [
        name for name in ("r2", "ndcg_at_5", "accuracy", "cosine_similarity", "f1_macro") if not higher_is_better(name)
    ] == []
    lower = ("mean_pinball_loss_0.9", "brier", "mean_absolute_error", "crossing_rate", "hamming_loss", "log_loss")
    assert [name for name in lower if higher_is_better(name)] == []
    assert not ModelMetric(metric="mae", field="x", margin=0.1).higher_is_better
    assert (needs("r2"), needs("roc_auc_ovo"), needs("log_loss")) == (Needs.UNLIKE, Needs.EVERY_CLASS, Needs.ANY)


def test_what_was_taken_anyway_is_no_other_identity_and_all_else_is() -> None:
    assert [task.kind for task in EACH if task.identity is None] == ["binary", "regression"]
    assert Problem(task=Binary()).says_nothing
    assert Problem(task=Binary(), metrics=(COST,)).task_identity is None, "a metric trains nothing anew"
    assert not Problem(task=Binary(), metrics=(COST,)).says_nothing
    two, three = Multiclass(classes=("a", "b")), Multiclass(classes=("a", "b", "c"))
    assert two.identity != three.identity


def told_of(gate: Gate, problem: Problem | None) -> dict[str, str]:
    return {".".join(map(str, path)): text for path, text in gate_mistakes(gate, problem)}


def test_a_gate_s_metric_is_one_of_the_task_or_of_the_workload_s_own() -> None:
    regression = Problem(task=Regression())
    assert told_of(Gate(metric="mae"), regression) == {}
    assert told_of(Gate(), regression) == {}
    assert "'f1' is none of r2, mean_bias" in told_of(Gate(metric="f1"), regression)["metric"]
    assert "the metrics of the task regression" in told_of(Gate(metric="f1"), regression)["metric"]
    assert told_of(Gate(metric="cost"), Problem(task=Regression(), metrics=(COST,))) == {}
    assert "did you mean `cost`" in told_of(Gate(metric="costs"), Problem(task=Regression(), metrics=(COST,)))["metric"]
    assert told_of(Gate(metric="rmse"), None) == {}, "without a task the labels decide"


def test_where_there_is_no_baseline_none_can_be_beaten() -> None:
    assert told_of(Gate(beat_baseline_by=0.1), Problem(task=Regression())) == {}
    assert "has no baseline" in told_of(Gate(beat_baseline_by=0.1), Problem(task=Free(), metrics=(COST,)))["beat_baseline_by"]


def test_without_any_metric_no_slice_can_be_judged() -> None:
    gate = Gate(slices=(Slice(column="origin"),))
    assert "no metric to judge a slice by" in told_of(gate, Problem(task=Free()))["slices.0"]
    assert told_of(gate, Problem(task=Free(), metrics=(COST,))) == {}


def test_a_gate_that_names_no_metric_judges_by_the_task_s_first() -> None:
    assert judged_by(Gate(), None) == "roc_auc"
    assert resolved_gate(Gate(margin=0.1), Problem(task=Multiclass(classes=("a", "b")))).metric == "accuracy"
    assert judged_by(Gate(), Problem(task=Free())) is None
    assert judged_by(Gate(), Problem(task=Free(), metrics=(COST,))) == "cost"


def blue_green(**check: Any) -> dict[str, Any]:
    return {"kind": "blue-green", "before": {"checks": [check]}}


@pytest.mark.parametrize(
    ("check", "task", "told"),
    [
        ({"kind": "model-metric", "metric": "f1", "field": "p"}, Multiclass(classes=("a", "b")), "'f1' is none of accuracy"),
        ({"kind": "model-metric", "metric": "f1_macro", "field": "p"}, Multiclass(classes=("a", "b")), ""),
        ({"kind": "model-metric", "metric": "pr_auc", "field": "p"}, Binary(), ""),
        ({"kind": "model-metric", "metric": "ndcg", "field": "p"}, Ranking(group="q"), ""),
        ({"kind": "model-metric", "metric": "accuracy", "field": "p"}, Ranking(group="q"), "none of ndcg"),
        ({"kind": "model-metric", "metric": "roc_auc", "field": "p"}, Multilabel(labels=("red", "round")), ""),
        ({"kind": "model-metric", "metric": "cosine_similarity", "field": "p"}, Embedding(dimensions=2), ""),
        ({"kind": "prediction-distance", "field": "p", "atMost": 1}, Ranking(group="q"), "of the task ranking"),
        ({"kind": "prediction-distance", "field": "p", "atMost": 1}, Embedding(dimensions=2), "of the task embedding"),
        ({"kind": "prediction-distance", "field": "p", "atMost": 1}, Regression(), ""),
        ({"kind": "disagreement", "atMost": 0.1}, Ranking(group="q"), ""),
        ({"kind": "success-rate", "atLeast": 0.1}, Ranking(group="q"), ""),
    ],
)
def test_a_comparison_that_says_nothing_of_the_task_is_refused(check: dict[str, Any], task: Task, told: str) -> None:
    found = [text for _, text in strategy_mistakes(blue_green(**check), Problem(task=task))]
    assert bool(found) is bool(told)
    assert all(told in text for text in found)


def test_a_check_of_the_model_s_metric_travels_with_its_task_and_the_one_metric_that_it_names() -> None:
    problem = Problem(task=Regression(), metrics=(COST, COST.model_copy(update={"name": "other", "function": "costs:other"})))
    strategy = BlueGreen.model_validate(blue_green(kind="model-metric", metric="cost", field="p", margin=0.1))
    resolved: Any = resolved_strategy(strategy, problem)
    (check,) = resolved.before.checks
    assert check.of == Problem(task=Regression(), metrics=(COST,))
    assert not check.higher_is_better
    assert metric_functions(resolved) == ("costs:cost",)
    assert resolved_strategy(strategy, Problem(task=Binary())) == strategy, "as if nothing had been declared"


def test_a_strategy_that_needs_no_task_is_written_as_it_always_was() -> None:
    strategy = BlueGreen.model_validate(blue_green(kind="model-metric", metric="f1", field="p", margin=0.1))
    written = strategy.model_dump(mode="json", by_alias=True)
    assert "of" not in written["before"]["checks"][0]
    regression = Problem(task=Regression())
    assert metric_functions(resolved_strategy(strategy, regression)) == ()


def test_the_config_s_mistakes_are_told_by_the_workload_s_task_beside_all_others() -> None:
    serving = {"strategy": blue_green(kind="model-metric", metric="mea", field="p", limit=1), "replicas": 0}
    gate = {"metric": "roc_auc", "beatBaselineBy": 0.1}
    config = {"platform": {"kind": "local"}, "workloads": {"prices": {"gate": gate, "serving": serving}}}
    with pytest.raises(ConfigError) as refused:
        parse(config, "file", ["prices"], problem_of=lambda name: Problem(task=Regression()))
    told = str(refused.value)
    assert "heliostat:workloads.prices.gate.metric: 'roc_auc' is none of r2" in told
    assert "heliostat:workloads.prices.serving.strategy.before.checks[0].metric: 'mea' is none of r2" in told
    assert "replicas" in told
    assert "3 mistakes" in told


def test_where_nobody_knows_the_task_any_metric_may_be() -> None:
    config = {"platform": {"kind": "local"}, "workloads": {"prices": {"gate": {"metric": "cost"}}}}
    assert parse(config, "file", ["prices"]).workloads["prices"].gate.metric == "cost"


def test_editors_are_told_the_metrics_of_each_workload() -> None:
    schema = json_schema({"flights": Training}, {"flights": Problem(task=Regression(), metrics=(COST,))})
    (_, own) = schema["properties"]["config"]["properties"]["heliostat:workloads"]["properties"]["flights"]["allOf"]
    known = own["properties"]["gate"]["properties"]["metric"]["enum"]
    assert {"r2", "cost", "rmse"} <= set(known)
    assert "roc_auc" not in known


def test_predictions_are_one_number_a_row_or_several() -> None:
    of_numbers = {task.kind for task in EACH if scores_are_numbers(Problem(task=task))}
    assert of_numbers == {"binary", "regression", "ranking", "forecasting"}
    assert scores_are_numbers(None)
