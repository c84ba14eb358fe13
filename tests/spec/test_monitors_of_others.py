"""What can be watched of a model of others, and what is refused with its reason."""

from __future__ import annotations

import pytest

from heliostat.spec.model_contracts import ModelContract
from heliostat.spec.monitors import Monitor, mistakes_of
from heliostat.spec.monitors_of_others import mistakes_of_others, problem_of
from heliostat.spec.problem import Problem
from heliostat.spec.stack import ConfigError, parse
from heliostat.spec.tasks import Binary, Free, Multiclass, Regression


def contract(task: str, **answer):
    given = {"title": "t", "description": "d", "task": task, "ranges": "open", "reads": "frame",
             "request": {"x": {"type": "double"}}, "answer": {"y": answer}, "examples": [{"x": 1.0}],
             "recorded": {"model": "models:/a/1", "digest": "d" * 64},
             "golden": [{"name": "one", "request": {"x": 1.0}, "answer": {"y": 1.0}}]}  # fmt: skip
    return ModelContract.model_validate(given)


@pytest.mark.parametrize(
    ("task", "answer", "expected"),
    [
        ("regression", {"type": "double"}, Regression()),
        ("binary", {"type": "double"}, Binary()),
        ("binary", {"type": "string", "choices": ["no", "yes"]}, Multiclass(classes=("no", "yes"))),
        ("multiclass", {"type": "long", "choices": [0, 1, 2]}, Multiclass(classes=("0", "1", "2"))),
        ("multiclass", {"type": "tensor", "dtype": "float64", "shape": [3]}, Multiclass(classes=("0", "1", "2"))),
        ("ranking", {"type": "double"}, Free()),
    ],
)
def test_the_task_is_that_of_the_answer_s_field(task, answer, expected):
    assert problem_of(contract(task, **answer), "y") == Problem(task=expected)


def test_classes_that_nobody_names_are_asked_for():
    with pytest.raises(ValueError, match=r"give `answer\.y` of its contract `choices`, as \[cat, dog\]"):
        problem_of(contract("multiclass", type="string"), "y")
    with pytest.raises(ValueError, match="whole numbers other than 0, 1 and so on"):
        problem_of(contract("multiclass", type="long", choices=[3, 5, 8]), "y")


def watched(**given):
    return Monitor.model_validate({"drift": {}, **given})


def test_what_needs_training_data_is_refused_each_with_its_reason():
    asked = watched(
        quality=[{"metric": "accuracy", "margin": 0.1}],
        estimate=[{"metric": "accuracy", "margin": 0.1}],
        conceptDrift=[{"of": "error"}, {"of": "prediction"}],
        drift={"season": "seen"},
        skew={},
        fragility={"mostChange": 1.0},
        recency={"trainingDataSeconds": 5, "trainingDataColumn": "seen"},
        retraining={"triggers": [{"kind": "schedule", "schedule": "0 3 1 * *"}]},
    )
    told = {".".join(map(str, each.path)): each.text for each in mistakes_of_others(asked)}
    assert told.keys() == {"estimate", "skew", "fragility", "retraining", "quality.0.margin", "conceptDrift.0.of",
                           "drift.season", "recency.trainingDataSeconds"}  # fmt: skip
    assert "give `limit` alone" in told["quality.0.margin"]
    right = watched(
        quality=[{"metric": "accuracy", "limit": 0.8}], predictionDrift={}, bias={}, feedback={"key": "a", "columns": ["b"]}
    )
    assert mistakes_of_others(right) == []


def test_the_config_of_a_model_of_others_is_refused_with_all_of_it_and_takes_the_rest():
    def stack(**monitor):
        workload = {"mlflow": "models:/rents/3", "monitor": {"drift": {}, **monitor}}
        return parse({"platform": {"kind": "local"}, "workloads": {"rents": workload}}, "f", ("rents",))

    assert stack(referenceRows=2_000).workloads["rents"].monitor.reference_rows == 2_000
    with pytest.raises(ConfigError, match=r"monitor\.estimate: .*; monitor\.skew: there is nothing to hold"):
        stack(estimate=[{"metric": "accuracy", "margin": 0.1}], skew={})


def test_the_first_answers_are_no_reference_where_there_are_training_data():
    assert [each.path for each in mistakes_of(watched(referenceRows=1_000), Problem())] == [("referenceRows",)]
    assert mistakes_of(watched(referenceRows=1_000), Problem(), of_others=True) == []


def test_quality_of_a_task_that_nothing_is_known_of_is_refused():
    [told] = mistakes_of(watched(quality=[{"metric": "mine", "limit": 1}]), Problem(task=Free()), of_others=True)
    assert "labels of the task free are no number each" in told.text
