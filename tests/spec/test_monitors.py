from __future__ import annotations

import pytest
from pydantic import ValidationError

from heliostat.spec.mistakes import mistakes_in
from heliostat.spec.monitors import Monitor, metric_of, mistakes_of
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary, Embedding, Free, Multiclass, Regression
from heliostat.spec.watches import QualityWatch

GIVEN = {
    "windows": {"kind": "calendar", "every": "week", "graceSeconds": 600},
    "quality": [{"metric": "roc_auc", "margin": 0.02, "slices": ["carrier"]}],
    "bias": {"lowest": 0.8, "calibrationError": 0.05},
    "estimate": [{"metric": "f1", "margin": 0.05}],
    "conceptDrift": [{"detector": "page-hinkley"}],
    "skew": {},
    "fragility": {"mostChange": 0.2},
    "feedback": {"key": "carrier", "columns": ["delay"], "holdout": "held"},
    "recency": {"labelsSeconds": 86400},
    "alarms": {"escalateSeconds": 3600},
    "sinks": [
        {"kind": "webhook", "name": "hook", "url": "https://example.org/hook", "credential": {"variable": "TOKEN"}},
        {"kind": "slack", "name": "chat", "url": {"kind": "environment", "variable": "CHAT"}, "onlyEscalated": True},
        {"kind": "email", "name": "post", "host": "mail.example.org", "sender": "a@example.org", "to": ["b@example.org"]},
    ],
    "retraining": {"triggers": [{"kind": "new-data", "share": 0.2}, {"kind": "finding"}]},
}
INPUTS = ("carrier", "delay", "held")


def test_a_monitor_is_read_as_it_is_written_and_says_nothing_twice():
    monitor = Monitor.model_validate(GIVEN)
    assert Monitor.model_validate_json(monitor.model_dump_json()) == monitor
    assert mistakes_of(monitor, Problem(task=Binary()), INPUTS) == []


def test_every_mistake_is_told_at_once_with_its_path():
    wrong = {
        "windows": {"kind": "daily"},
        "schedule": "now and then",
        "quality": [{"metric": "roc_auc"}, {"margin": -1}],
        "bias": {"lowest": 1.2},
        "fragility": {"epsilons": [0.2, 0.1], "mostChange": 1},
        "feedback": {"key": "carrier", "columns": ["carrier"]},
        "recency": {},
        "sinks": [{"kind": "slack", "name": "chat", "url": "https://hooks.slack.com/T0P"}, {"kind": "email", "name": "x"}],
        "retraining": {"triggers": []},
        "drfit": {},
    }
    with pytest.raises(ValidationError) as caught:
        Monitor.model_validate(wrong)
    found = {".".join(map(str, mistake.path)): mistake.text for mistake in mistakes_in(Monitor, caught.value, wrong)}
    assert {
        "windows.kind", "schedule", "quality.0", "quality.1.margin", "bias.lowest", "fragility.epsilons", "feedback",
        "recency", "sinks.1.host", "sinks.1.sender", "sinks.1.to", "retraining.triggers", "drfit",
    } <= set(found)  # fmt: skip
    assert any(path.startswith("sinks.0.url") for path in found)
    assert "T0P" not in "".join(text for path, text in found.items() if path.startswith("sinks.0"))


def test_a_monitor_that_watches_nothing_is_refused_and_so_are_two_sinks_of_one_name():
    with pytest.raises(ValidationError, match="needs something to watch"):
        Monitor.model_validate({"sinks": []})
    twice = {"skew": {}, "sinks": [GIVEN["sinks"][0]] * 2}
    with pytest.raises(ValidationError, match="two sinks are called hook"):
        Monitor.model_validate(twice)


def test_what_only_the_workload_tells_is_told_with_its_path_too():
    monitor = Monitor.model_validate({**GIVEN, "alarms": {}})
    found = mistakes_of(monitor, Problem(task=Regression()), ("delay",))
    assert {mistake.path for mistake in found} == {
        ("quality", 0, "metric"), ("bias", "calibrationError"), ("estimate", 0, "metric"), ("quality", 0, "slices", 0),
        ("feedback", "key"), ("feedback", "holdout"), ("sinks", 1, "onlyEscalated"),
    }  # fmt: skip
    assert all(mistake.text for mistake in found)
    assert mistakes_of(monitor, Problem(task=Binary()), None)[0].path == ("sinks", 1, "onlyEscalated")


def test_what_no_window_has_rows_enough_for_is_a_mistake():
    given = {
        "field": "p", "windows": {"kind": "count", "rows": 300}, "bias": {}, "drift": {}, "predictionDrift": {"minRows": 301},
        "quality": [{"metric": "roc_auc", "margin": 0.1, "minRows": 300}, {"metric": "roc_auc", "limit": 0.5}],
    }  # fmt: skip
    found = mistakes_of(Monitor.model_validate(given), Problem(task=Binary()))
    assert [each.path for each in found] == [("quality", 1, "minRows"), ("bias", "minRows"), ("predictionDrift", "minRows")]
    assert "of fewer than 500 rows nothing is told, and a window has 300" in found[0].text
    by_day = Monitor.model_validate({**given, "windows": {"kind": "calendar", "every": "day"}})
    assert mistakes_of(by_day, Problem(task=Binary())) == [], "how many a day has nobody knows"


def test_a_task_whose_predictions_have_no_mean_has_no_bias():
    monitor = Monitor.model_validate({"bias": {}})
    assert [mistake.path for mistake in mistakes_of(monitor, Problem(task=Embedding(dimensions=3)))] == [("bias",)]
    assert mistakes_of(monitor, Problem(task=Multiclass(classes=("a", "b")))) == []


def test_the_watched_metric_is_the_tasks_first_where_none_is_named():
    assert metric_of(QualityWatch(limit=1), Problem(task=Regression())) == "r2"
    assert metric_of(QualityWatch(limit=1), Problem()) == "roc_auc"
    assert metric_of(QualityWatch(limit=1, metric="rmse"), Problem()) == "root_mean_squared_error"
    with pytest.raises(ValueError, match="name one in `metric`"):
        metric_of(QualityWatch(limit=1), Problem(task=Free()))
    monitor = Monitor(quality=(QualityWatch(limit=1),))
    assert [mistake.path for mistake in mistakes_of(monitor, Problem(task=Free()))] == [("quality", 0)]
