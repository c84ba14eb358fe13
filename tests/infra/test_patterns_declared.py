"""A workload's package, its predictions made beforehand and a lookup over them, as the program declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
from test_program import LOCAL, run

from heliostat.resources.expectations import resolved
from heliostat.resources.postprocessing import below
from heliostat.spec.base import shared
from heliostat.spec.expectations import Expectations
from heliostat.spec.model_resources import ModelPackageInputs
from heliostat.spec.monitor_resources import MonitorInputs
from heliostat.spec.postprocessing import ListSource, PostprocessingStep
from heliostat.spec.serving_resources import ApplicationInputs, BatchPredictionInputs
from heliostat.spec.stack import ConfigError, parse
from heliostat.spec.workload import AnswerSettings, Workload

TABLE = {"sink": {"kind": "sqlite"}, "key": ["carrier", "origin"]}


def declared(**flights: Any) -> dict[str, Any]:
    found: dict[str, Any] = run({"platform": LOCAL, "workloads": {"flights": flights}})
    return found


def test_a_workload_that_says_nothing_has_neither() -> None:
    found = declared()
    assert not {"heliostat:index:ModelPackage", "heliostat:index:BatchPrediction"} & found.keys()
    assert "lookup" not in found["heliostat:index:Application"]
    written = Workload().model_dump(mode="json")
    assert not {"package", "batch"} & written.keys(), "what was written before they came is what is written still"
    assert "lookup" not in written["serving"]


def test_a_package_is_of_the_version_that_serves() -> None:
    found = declared(package={"distribution": "acme-flights", "onDestroy": "delete"})
    package = ModelPackageInputs.model_validate(found["heliostat:index:ModelPackage"])
    application = ApplicationInputs.model_validate(found["heliostat:index:Application"])
    assert (package.name, package.distribution, package.on_destroy.value) == ("flights", "acme-flights", "delete")
    assert (package.model_uri, package.contract) == (application.model_uri, application.contract)
    plain = declared(package={})
    assert plain["heliostat:index:ModelPackage"]["distribution"] == "flights-model"


def test_predictions_are_of_the_version_that_will_serve_and_know_the_snapshot() -> None:
    found = declared(batch={"nightly": {"schedule": "0 3 * * *", "workers": 3}})
    batch = BatchPredictionInputs.model_validate(found["heliostat:index:BatchPrediction"])
    application = ApplicationInputs.model_validate(found["heliostat:index:Application"])
    assert (batch.name, batch.application, batch.schedule, batch.workers) == ("flights-nightly", "flights", "0 3 * * *", 3)
    assert batch.model_uri == application.model_uri
    assert batch.dataset is not None
    other = declared(batch={"nightly": {"source": {"kind": "parquet", "uri": "s3://b/rows"}}})
    assert "dataset" not in other["heliostat:index:BatchPrediction"]


def test_a_monitor_is_of_the_version_that_serves_and_knows_its_data() -> None:
    assert "heliostat:index:Monitor" not in declared()
    found = declared(monitor={"field": "late_probability", "drift": {}, "alarms": {"repeatSeconds": None}})
    monitor = MonitorInputs.model_validate(found["heliostat:index:Monitor"])
    application = ApplicationInputs.model_validate(found["heliostat:index:Application"])
    assert (monitor.name, monitor.model_uri, monitor.contract) == ("flights", application.model_uri, application.contract)
    assert monitor.dataset is not None and monitor.monitor.drift is not None
    assert monitor.monitor.alarms.repeat_seconds == 0, "never, on the way to the plugin too"
    assert monitor.problem is not None and monitor.problem.task is not None


def test_mistakes_of_a_monitor_are_told_with_their_place_in_the_config() -> None:
    wrong = {"field": "x", "quality": [{"metric": "rmse", "limit": 1}], "estimate": [{"metric": "log_loss", "margin": 1}]}
    with pytest.raises(pulumi.RunError) as refused:
        run({"platform": LOCAL, "workloads": {"flights": {"monitor": wrong}}})
    assert "workloads.flights.monitor.quality[0].metric" in str(refused.value)
    assert "workloads.flights.monitor.estimate[0].metric" in str(refused.value)


def test_an_application_looks_up_in_its_own_workload_s_predictions() -> None:
    found = declared(batch={"nightly": TABLE}, serving={"lookup": {"batch": "nightly", "maxAgeSeconds": 60}})
    application = ApplicationInputs.model_validate(found["heliostat:index:Application"])
    assert application.lookup is not None
    assert (application.lookup.batch, application.lookup.max_age_seconds) == ("flights-nightly", 60)
    assert shared(application, AnswerSettings)["lookup"] == application.lookup


STEP = {"name": "noted", "function": "workloads.flights.features:transform", "parameters": {"most": 3}}


def test_steps_of_the_config_are_behind_the_service_the_package_and_what_is_predicted_beforehand() -> None:
    found = declared(batch={"nightly": {}}, package={}, serving={"postprocessing": [STEP]})
    application = ApplicationInputs.model_validate(found["heliostat:index:Application"])
    batch = BatchPredictionInputs.model_validate(found["heliostat:index:BatchPrediction"])
    package = ModelPackageInputs.model_validate(found["heliostat:index:ModelPackage"])
    [step] = application.postprocessing
    assert (step.name, step.parameters, len(step.code_digest)) == ("noted", {"most": 3}, 64)
    assert application.postprocessing == batch.postprocessing == package.postprocessing
    plain = declared()["heliostat:index:Application"]
    assert "postprocessing" not in plain
    assert "workloads/flights/features.py" in application.code.files


def test_a_workload_s_own_steps_come_first_and_are_named_from_its_folder() -> None:
    own = PostprocessingStep(
        name="own", function="steps:remove",
        lists={"near": ListSource(source="near.txt"), "far": ListSource(source="store:far.txt")},
    )  # fmt: skip
    found = below("workloads.flights", own)
    assert found.function == "workloads.flights.steps:remove"
    assert {name: each.source for name, each in found.lists.items()} == {
        "near": "workloads/flights/near.txt", "far": "store:far.txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flights", "told"),
    [
        ({"serving": {"lookup": {"batch": "nightly"}}}, "serving.lookup.batch is 'nightly': of `batch` there are none"),
        (
            {"batch": {"nightly": {}}, "serving": {"lookup": {"batch": "nightly"}}},
            "give batch.nightly `sink: {kind: sqlite}`",
        ),
        ({"batch": {"nightly": {"sink": {"kind": "sqlite"}}}}, "a sqlite sink needs `key`"),
        ({"batch": {"nightly": {**TABLE, "columns": ["origin"]}}}, "origin stands twice in `key` and `columns`"),
        ({"batch": {"nightly": {"key": ["prediction"]}}}, "`prediction` is the name of what is predicted"),
        ({"batch": {"nightly": {"schedule": "0 25 * * *"}}}, "'0 25 * * *' is no schedule (Bad hour)"),
        ({"batch": {"nightly": {"schedule": "0 0 30 2 *"}}}, "is no schedule"),
        ({"batch": {"nightly": {"key": ["a b"]}}}, "batch.nightly.key[0]"),
        ({"package": {"distribution": "Flights_Model"}}, "package.distribution"),
        ({"package": {"index": {"url": "https://u:p@x/"}}}, "package.index.url"),
        ({"serving": {"postprocessing": [STEP, STEP]}}, "there is more than one step 'noted'"),
        (
            {"serving": {"postprocessing": [{**STEP, "lists": {"a": {"source": "../a.txt"}}}]}},
            "'../a.txt' leads out of the checkout",
        ),
        ({"serving": {"postprocessing": [{**STEP, "onError": "ignore"}]}}, "serving.postprocessing[0].onError"),
    ],
)
def test_what_cannot_work_is_refused_with_the_config(flights: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse({"platform": {"kind": "local"}, "workloads": {"flights": flights}}, "Pulumi.test.yaml", ["flights"])
    assert told in str(refused.value)


def test_requests_are_held_to_the_schema_where_that_is_declared() -> None:
    assert "expectations" not in declared()["heliostat:index:Application"]
    found = ApplicationInputs.model_validate(
        declared(serving={"expectations": {"breach": "count"}})["heliostat:index:Application"]
    )
    assert found.expectations is not None and found.expectations.breach == "count"
    assert found.expectations.columns.keys() > {"carrier", "origin"}
    assert "late" not in found.expectations.columns
    own = {"carrier": {"type": "string"}}
    given = declared(serving={"expectations": {"columns": own}})["heliostat:index:Application"]
    assert ApplicationInputs.model_validate(given).expectations.columns.keys() == own.keys()  # type: ignore[union-attr]


def test_the_schema_that_requests_are_held_to_has_to_be_there_and_to_say_something(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError, match=r"workloads\.rents\.serving\.expectations: there is no rents/schema\.yaml"):
        resolved("rents", Expectations(), tmp_path / "rents" / "schema.yaml")
    (tmp_path / "schema.yaml").write_text("columns: {a: {type: double, absentIn: [serving]}}")
    with pytest.raises(pulumi.RunError, match="has no feature that serving has"):
        resolved("rents", Expectations(), tmp_path / "schema.yaml")
    assert resolved("rents", None, tmp_path / "gone") is None


def test_a_budget_of_retrainings_knows_how_wide_the_training_runs() -> None:
    policy = {"triggers": [{"kind": "upstream"}], "budgetUsd": 10}
    watched = {"field": "late_probability", "drift": {}, "retraining": policy}
    found = MonitorInputs.model_validate(declared(monitor=watched)["heliostat:index:Monitor"])
    assert found.scaling is not None and found.group is None
    plain = declared(monitor={**watched, "retraining": {"triggers": [{"kind": "upstream"}]}})["heliostat:index:Monitor"]
    assert not {"scaling", "group"} & plain.keys(), "what is no matter of a monitor changes none"
