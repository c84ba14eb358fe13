"""What is no number is no limit either; what was measured and came to none is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from heliostat.spec.analysis import CheckResult, Measurement, Verdict
from heliostat.spec.base import Model
from heliostat.spec.stack import ConfigError, parse
from heliostat.spec.training_resources import TrainJobOutputs

FILE = "configs/Pulumi.test.yaml"
NAN, INFINITY = float("nan"), float("inf")


def told(**workload: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse({"platform": {"kind": "local"}, "workloads": {"flights": workload}}, FILE, ["flights"])
    prefix = f"  {FILE}: heliostat:workloads.flights."
    return [line.removeprefix(prefix) for line in str(refused.value).splitlines()[1:]]


@pytest.mark.parametrize(
    ("check", "limit"),
    [
        ({"kind": "success-rate"}, "atLeast"),
        ({"kind": "success-rate"}, "margin"),
        ({"kind": "latency"}, "atMostMs"),
        ({"kind": "latency"}, "times"),
        ({"kind": "disagreement"}, "atMost"),
        ({"kind": "disagreement", "atMost": 0.1}, "tolerance"),
        ({"kind": "prediction-distance", "field": "score"}, "atMost"),
        ({"kind": "model-metric", "metric": "roc_auc", "field": "score"}, "limit"),
        ({"kind": "model-metric", "metric": "roc_auc", "field": "score"}, "margin"),
        ({"kind": "custom", "name": "own", "command": ["true"]}, "atLeast"),
        ({"kind": "custom", "name": "own", "command": ["true"]}, "atMost"),
        ({"kind": "custom", "name": "own", "command": ["true"]}, "timeoutSeconds"),
    ],
)
@pytest.mark.parametrize("number", [NAN, INFINITY, -INFINITY], ids=str)
def test_a_limit_that_is_no_finite_number_is_refused_with_its_path(check: dict[str, Any], limit: str, number: float) -> None:
    strategy = {"kind": "canary", "steps": [{"weight": 10}], "analysis": {"checks": [{**check, limit: number}]}}
    place = f"serving.strategy.analysis.checks[0].{limit}"
    assert told(serving={"strategy": strategy}) == [f"{place}: input should be a finite number (given: {number})"]


def test_numbers_beside_the_checks_are_held_to_the_same() -> None:
    wrong = told(
        gate={"beatBaselineBy": NAN},
        training={"parameters": {"rate": INFINITY}, "timeoutSeconds": INFINITY},
        serving={"cpusPerReplica": INFINITY, "strategy": {"kind": "blue-green", "retentionSeconds": NAN}},
    )
    assert {line.partition(": ")[0] for line in wrong} == {
        "gate.beatBaselineBy",
        "training.parameters.rate",
        "training.timeoutSeconds",
        "serving.cpusPerReplica",
        "serving.strategy.retentionSeconds",
    }
    assert all("finite number" in line for line in wrong)


def test_every_model_refuses_what_is_no_finite_number() -> None:
    class Told(Model):
        seconds: float

    with pytest.raises(ValidationError, match="finite number"):
        Told(seconds=NAN)
    with pytest.raises(ValidationError, match="finite number"):
        Told.model_validate_json('{"seconds": Infinity}')
    assert Told(seconds=1e300).seconds == 1e300


@pytest.mark.parametrize("number", [NAN, INFINITY, -INFINITY], ids=str)
def test_a_measurement_that_came_to_no_number_is_none_and_can_be_written_as_json(number: float) -> None:
    measured: tuple[BaseModel, ...] = (
        Measurement(candidate=number, serving=number, rows=5),
        CheckResult(check="own", verdict=Verdict.FAIL, candidate=number, serving=number, limit="at most 1"),
    )
    for each in measured:
        written = json.loads(each.model_dump_json())
        assert (written["candidate"], written["serving"]) == (None, None)
        assert type(each).model_validate_json(each.model_dump_json()) == each
    assert Measurement(candidate=0.5, serving=2).serving == 2.0


def test_a_training_may_have_logged_what_is_no_number() -> None:
    with pytest.raises(ValidationError) as refused:
        TrainJobOutputs.model_validate({"metrics": {"loss": INFINITY, "auc": NAN}})
    missing = {str(mistake["loc"][0]) for mistake in refused.value.errors()}
    assert "dataset" in missing
    assert "metrics" not in missing
