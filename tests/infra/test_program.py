"""The program as a whole, on Pulumi's mocks: which resources the local stack's config declares, and how they hang together."""

import asyncio
import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from heliostat.data.ingestion import Ingestion
from heliostat.resources import Application, Platform, ServedVersion
from heliostat.resources.served_model_args import ServedModelArgs
from heliostat.spec.analysis import Analysis, Latency, SuccessRate
from heliostat.spec.code import controllers_digest
from heliostat.spec.ingestion import DataSettings
from heliostat.spec.parameters import JobParameters
from heliostat.spec.serving_resources import ApplicationInputs
from heliostat.spec.strategies import Affinity, Canary, CanaryStep
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Serving, Workload

ROOT = Path(__file__).parents[2]
LOCAL = {"kind": "local"}


class Recorder(Mocks):
    """An engine that says yes to everything, gives outputs like the plugin's, and keeps what was declared."""

    def __init__(self) -> None:
        self.declared: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.declared[args.typ] = dict(args.inputs)
        address = {"url": "http://127.0.0.1:1", "credential": {"kind": "file", "path": "/t"}}
        outputs = {
            "heliostat:index:RayCluster": {"address": address, "gcsAddress": "127.0.0.1:2", "session": "session_1"},
            "heliostat:index:TrackingServer": {"trackingUri": "http://127.0.0.1:3"},
            "heliostat:index:Controller": {"address": address, "publicUrl": "http://127.0.0.1:4"},
            "heliostat:index:Dataset": {"address": {"uri": "file:///d", "digest": "a" * 64}},
            "heliostat:index:TrainJob": {"runId": "run", "modelUri": "models:/m-1"},
            "heliostat:index:ModelVersion": {
                "servedModelUri": "models:/flights/1",
                "version": 1,
                "servedDataDigest": "d" * 64,
            },
            "heliostat:index:Application": {"url": "http://127.0.0.1:4/flights", "openapiUrl": "http://127.0.0.1:4/o"},
        }.get(args.typ, {})
        if args.typ == "pulumi:pulumi:StackReference":
            store = {"uri": "file:///o"}
            platform = {"store": store, "ray": address, "trackingUri": "t", "controller": address, "publicUrl": "p"}
            groups = {"groups": {"a10g": {"kind": "gpu"}}} if args.inputs["name"].endswith("/groups") else {}
            outputs = {"outputs": {"platform": platform | groups}}
        return f"{args.name}-id", {**args.inputs, **outputs}

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        return {}


def run(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Runs `infra/__main__.py` with that config and gives the resources' inputs by type."""
    recorder = Recorder()
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(recorder, project="heliostat", stack="test", preview=False)
    pulumi.runtime.settings.SETTINGS.root_directory = str(ROOT)
    for key, value in config.items():
        pulumi.runtime.set_config(f"heliostat:{key}", json.dumps(value) if isinstance(value, dict) else value)
    try:

        @pulumi.runtime.test
        def program() -> None:
            runpy.run_path(str(ROOT / "infra" / "__main__.py"), run_name="__main__")

        program()
    finally:
        pulumi.runtime.set_all_config({})
    return recorder.declared


def types(declared: dict[str, Any]) -> set[str]:
    return {name.removeprefix("heliostat:index:") for name in declared if name.startswith("heliostat:")}


PLATFORM = {"LocalPlatform", "ObjectStore", "TrackingServer", "RayCluster", "Controller"}
WORKLOAD = {"ServedModel", "Dataset", "TrainJob", "ModelVersion", "Application"}


def test_a_stack_with_a_platform_and_a_workload_declares_both() -> None:
    assert types(run({"platform": LOCAL, "workloads": {"flights": {}}})) == PLATFORM | WORKLOAD


def test_an_application_hangs_on_the_run_of_its_cluster_also_where_an_older_platform_does_not_tell_it() -> None:
    declared = run({"platform": LOCAL, "workloads": {"flights": {}}})
    assert declared["heliostat:index:Application"]["clusterSession"] == "session_1"
    apart = run({"platformStack": "organization/heliostat/platform", "workloads": {"flights": {}}})
    assert not apart["heliostat:index:Application"].get("clusterSession")


def test_snapshots_of_another_stack_and_samples_are_the_data_set_s_alone() -> None:
    stack = {"platformStack": "organization/heliostat/platform", "workloads": {"flights": {}}}
    assert {"origin", "sample"}.isdisjoint(run(stack)["heliostat:index:Dataset"])
    other = {"stack": "organization/heliostat/production", "sample": 0.1}
    found = run({**stack, "snapshots": other})
    assert found["heliostat:index:Dataset"]["origin"] == {"uri": "file:///o"}
    assert found["heliostat:index:Dataset"]["sample"] == 0.1
    assert found["heliostat:index:TrainJob"]["store"] == {"uri": "file:///o"}
    alone = run({**stack, "snapshots": {"sample": 0.1}})["heliostat:index:Dataset"]
    assert alone["sample"] == 0.1 and "origin" not in alone


def test_a_platform_stack_declares_no_workload() -> None:
    assert types(run({"platform": LOCAL})) == PLATFORM


def test_the_cluster_is_told_where_buckets_are_and_nothing_of_a_directory() -> None:
    store = {"kind": "s3", "bucket": "things", "endpoint": "http://127.0.0.1:9000", "region": "eu-central-1"}
    ray = run({"platform": {**LOCAL, "store": store}})["heliostat:index:RayCluster"]
    assert (ray["s3Endpoint"], ray["s3Region"]) == ("http://127.0.0.1:9000", "eu-central-1")
    at_aws = {"kind": "s3", "bucket": "things", "region": "eu-central-1"}
    for config in (LOCAL, {**LOCAL, "store": at_aws}):
        assert {"s3Endpoint", "s3Region"}.isdisjoint(run({"platform": config})["heliostat:index:RayCluster"])


def test_the_controller_is_declared_with_the_code_that_it_runs() -> None:
    assert run({"platform": LOCAL})["heliostat:index:Controller"]["code"] == controllers_digest()


def test_the_tracking_server_is_among_what_is_started_again_when_it_dies() -> None:
    declared = run({"platform": LOCAL})
    assert declared["heliostat:index:Controller"]["keeps"] == [declared["heliostat:index:TrackingServer"]["directory"]]


def test_a_workload_stack_takes_its_platform_from_the_stack_that_made_it() -> None:
    declared = run({"platformStack": "organization/heliostat/platform-prod", "workloads": {"flights": {}}})
    assert types(declared) == WORKLOAD
    assert declared["heliostat:index:Application"]["controller"]["url"] == "http://127.0.0.1:1"
    assert not any("trackingAccess" in inputs for inputs in declared.values()), "an older platform exports none"
    assert not any("group" in inputs for inputs in declared.values()), "nothing names one"


def test_a_workload_finds_the_group_that_it_names_in_the_platform_s_stack() -> None:
    workload = {"training": {"scaling": {"group": "a10g"}}, "serving": {"group": "v6e"}}
    declared = run({"platformStack": "organization/heliostat/groups", "workloads": {"flights": workload}})
    assert declared["heliostat:index:TrainJob"]["group"] == {"name": "a10g", "group": {"kind": "gpu"}}
    assert declared["heliostat:index:TrainJob"]["scaling"]["group"] == "a10g"
    assert declared["heliostat:index:Application"]["group"] == {"name": "v6e", "known": ["a10g"]}
    older = run({"platformStack": "organization/heliostat/platform-prod", "workloads": {"flights": workload}})
    assert older["heliostat:index:TrainJob"]["group"] == {"name": "a10g", "known": []}, "the plugin refuses it"


def test_in_an_environment_what_is_its_own_is_called_after_it_and_what_is_known_is_known() -> None:
    workload = {
        "package": {"index": {"url": "http://127.0.0.1:9/simple"}},
        "batch": {"all": {"source": {"kind": "snapshot", "split": "test"}, "key": ["flight"]}},
    }
    config = {"platformStack": "organization/heliostat/platform", "workloads": {"flights": workload}}
    plain, own = run(config), run({**config, "environment": {"name": "x-abcdefghij", "branch": "feature/x"}})

    def of(declared: dict[str, dict[str, Any]], kind: str, key: str) -> Any:
        return declared[f"heliostat:index:{kind}"].get(key)

    assert of(own, "Application", "name") == "flights-x-abcdefghij" == of(own, "ModelVersion", "application")
    assert of(own, "TrainJob", "experiment") == "flights@x-abcdefghij" and of(plain, "TrainJob", "experiment") is None
    for kind in ("Dataset", "TrainJob", "ModelVersion"):
        assert of(own, kind, "name") == of(plain, kind, "name") == "flights", f"{kind}: it is the same to all of them"
    assert of(own, "BatchPrediction", "application") == "flights-x-abcdefghij"
    assert of(own, "BatchPrediction", "name") == "flights-all-x-abcdefghij"
    assert of(plain, "ModelPackage", "index") and not of(own, "ModelPackage", "index"), "it publishes nowhere"


def test_an_environment_makes_no_platform() -> None:
    with pytest.raises(pulumi.RunError, match="a branch's environment makes no platform"):
        run({"platform": LOCAL, "workloads": {"flights": {}}, "environment": {"name": "x-abcdefghij", "branch": "x"}})


RAY = {
    "kind": "ray",
    "ray": {"url": "http://10.0.0.2:8265", "credential": {"kind": "environment", "variable": "RAY_TOKEN"}},
    "tracking": {"uri": "http://10.0.0.3:5000"},
    "store": {"kind": "s3", "bucket": "things", "endpoint": "http://10.0.0.4:9000"},
    "controller": {"host": "10.0.0.5", "apiPort": 9001, "credential": {"kind": "environment", "variable": "API_TOKEN"}},
    "publicPort": 8080,
}


def test_on_a_cluster_that_exists_the_controller_is_all_that_is_made() -> None:
    declared = run({"platform": RAY, "workloads": {"flights": {}}})
    assert types(declared) == WORKLOAD | {"RayPlatform", "Controller"}
    controller = declared["heliostat:index:Controller"]
    said = {key: value for key, value in controller.items() if key not in ("directory", "code", "keeps")}
    assert said == {
        "ray": RAY["ray"],
        "store": {"uri": "s3://things", "endpoint": "http://10.0.0.4:9000"},
        "trackingUri": "http://10.0.0.3:5000",
        "host": "10.0.0.5",
        "apiPort": 9001,
        "credential": {"kind": "environment", "variable": "API_TOKEN"},
        "publicPort": 8080,
    }
    assert controller["directory"].endswith("/.heliostat/stacks/test/controller")
    assert declared["heliostat:index:TrainJob"]["ray"] == RAY["ray"]
    assert declared["heliostat:index:Application"]["trackingUri"] == "http://10.0.0.3:5000"
    assert not any("trackingAccess" in inputs for inputs in declared.values())


def test_whoever_asks_mlflow_from_outside_of_a_kubernetes_cluster_is_told_how() -> None:
    proxy = {"kind": "kubernetes", "context": "prod"}
    inside = {
        "ray": {"url": "http://head.ml.svc:8265", "proxy": proxy},
        "tracking": {"uri": "http://mlflow.ml.svc:5000", "proxy": proxy},
    }
    declared = run({"platform": {**RAY, **inside}, "workloads": {"flights": {}}})
    for kind in ("Controller", "TrainJob", "ModelVersion", "Application"):
        found = declared[f"heliostat:index:{kind}"]
        assert (found["trackingUri"], found["trackingAccess"]) == ("http://mlflow.ml.svc:5000", {"proxy": proxy})
    assert declared["heliostat:index:TrainJob"]["ray"] == inside["ray"]


def test_a_pinned_model_is_served_without_a_training() -> None:
    declared = run({"platform": LOCAL, "workloads": {"flights": {"model": "models:/flights/7"}}})
    assert types(declared) == PLATFORM | WORKLOAD - {"TrainJob"}
    assert declared["heliostat:index:ModelVersion"]["pin"] == "models:/flights/7"


def test_the_config_s_parameters_override_the_workload_s_own() -> None:
    declared = run({"platform": LOCAL, "workloads": {"flights": {"training": {"parameters": {"rounds": 7}}}}})
    parameters = declared["heliostat:index:TrainJob"]["parameters"]
    assert parameters["rounds"] == 7
    assert parameters["num_leaves"] != 7, "the others stay as the workload has them"


def test_an_application_says_which_data_its_model_was_trained_on() -> None:
    declared = run({"platform": LOCAL, "workloads": {"flights": {}}})
    assert declared["heliostat:index:Application"]["dataDigest"] == "d" * 64


CANARY = {
    "kind": "canary",
    "steps": [{"weight": 10, "pauseSeconds": 60, "approval": False}, {"weight": 50, "pauseSeconds": 0, "approval": True}],
    "analysis": {
        "checks": [
            {"kind": "success-rate", "atLeast": 0.99},
            {"kind": "latency", "quantile": 0.99, "times": 1.5},
        ],
        "seconds": 60,
        "minRequests": 100,
        "onInconclusive": "rollback",
    },
    "affinity": {"cookie": "client"},
    "approvalTimeoutSeconds": 604800,
    "retentionSeconds": 30,
}


def test_a_strategy_of_the_config_reaches_the_application_whole() -> None:
    serving = {"strategy": CANARY, "gpusPerReplica": 0.5}
    declared = run({"platform": LOCAL, "workloads": {"flights": {"serving": serving}}})["heliostat:index:Application"]
    assert declared["strategy"] == CANARY
    assert declared["gpusPerReplica"] == 0.5


def test_the_code_of_one_s_own_checks_goes_along_with_the_application() -> None:
    check = {"kind": "custom", "name": "mine", "function": "workloads.flights.train:train"}
    strategy = {"kind": "blue-green", "after": {"checks": [check]}}
    declared = run({"platform": LOCAL, "workloads": {"flights": {"serving": {"strategy": strategy}}}})
    assert "workloads/flights/train.py" in declared["heliostat:index:Application"]["code"]["files"]
    plain = run({"platform": LOCAL, "workloads": {"flights": {}}})
    assert "workloads/flights/train.py" not in plain["heliostat:index:Application"]["code"]["files"]
    gone = {"kind": "custom", "name": "mine", "function": "workloads.flights.gone:check"}
    with pytest.raises(pulumi.RunError, match="gone"):
        run(
            {"platform": LOCAL, "workloads": {"flights": {"serving": {"strategy": {**strategy, "after": {"checks": [gone]}}}}}}
        )


def test_a_strategy_can_be_a_value_in_code() -> None:
    recorder = Recorder()
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(recorder, project="heliostat", stack="test", preview=False)
    strategy = Canary(
        steps=(CanaryStep(weight=10, pause_seconds=60), CanaryStep(weight=50, approval=True)),
        analysis=Analysis(checks=(SuccessRate(at_least=0.99), Latency(quantile=0.99, times=1.5)), seconds=60),
        affinity=Affinity(cookie="client"),
    )

    @pulumi.runtime.test
    def program() -> None:
        address = {"url": "http://127.0.0.1:1", "credential": {"kind": "file", "path": "/t"}}
        platform = Platform({"uri": "file:///o"}, address, "http://127.0.0.1:3", address, "http://127.0.0.1:4")
        code = Code(root="/r", files=("workloads/a.py",), digest="c" * 64)
        served = ServedVersion("models:/flights/1")
        Application("flights", code, "workloads.a:CONTRACT", served, Serving(strategy=strategy), platform)

    program()
    declared = recorder.declared["heliostat:index:Application"]
    assert declared["strategy"] == CANARY
    assert "dataDigest" not in declared
    parsed = ApplicationInputs.model_validate(declared)
    assert parsed.strategy == strategy, "the plugin reads what the program meant"


@pytest.mark.parametrize("access", [None, {"proxy": {"kind": "kubernetes"}}])
def test_a_stack_exports_how_mlflow_is_reached_only_where_there_is_something_to_say(access: dict[str, Any] | None) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(Recorder(), project="heliostat", stack="test", preview=False)
    found = []

    @pulumi.runtime.test
    def program() -> Any:
        address = {"url": "http://head.ml.svc:8265"}
        # As a stack reads it from another one: known in time.
        later = pulumi.Output.from_input(access)
        platform = Platform({"uri": "file:///o"}, address, "http://mlflow", address, "http://public", tracking_access=later)
        return platform.exported().apply(found.append)

    program()
    assert [each.get("trackingAccess", "none") for each in found] == [access or "none"]


def test_a_mistaken_config_is_one_error_with_every_mistake() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run({"platform": {**LOCAL, "publicPort": 1}, "workloads": {"flights": {"replicas": 3}}})
    assert "2 mistakes in configs/Pulumi.test.yaml" in str(refused.value)


def test_the_entry_points_of_a_workload_have_the_usual_names_unless_it_says_otherwise() -> None:
    declared = run({"platform": LOCAL, "workloads": {"flights": {}}})
    assert declared["heliostat:index:Dataset"]["entryPoint"] == "workloads.flights.dataset:snapshot"
    assert declared["heliostat:index:TrainJob"]["entryPoint"] == "workloads.flights.train:train"
    assert declared["heliostat:index:ModelVersion"]["entryPoint"] == "workloads.flights.predictor:FlightsPredictor"
    assert declared["heliostat:index:Application"]["contract"] == "workloads.flights.contract:CONTRACT"
    assert declared["heliostat:index:Dataset"]["parameters"]["first_day"] == "2013-01-01"


@pytest.mark.parametrize("field", ["data_parameters", "parameters"])
def test_parameters_that_an_earlier_release_took_are_refused_with_what_to_write(field: str) -> None:
    given: dict[str, Any] = {"data_parameters": JobParameters(), "parameters": JobParameters(), field: {"rounds": 300}}
    with pytest.raises(
        pulumi.RunError, match=r"parameters of mine\.\w+:f are a dict: declare them in a class .*JobParameters"
    ):
        ServedModelArgs(ROOT, "mine.data:f", "mine.train:f", "mine.predictor:Model", "mine.contract:CONTRACT", **given)


def test_a_workload_s_schema_goes_with_its_data_set() -> None:
    declared = run({"platform": LOCAL, "workloads": {"flights": {}}})["heliostat:index:Dataset"]
    assert declared["dataSchema"] == (ROOT / "workloads/flights/schema.yaml").read_text()
    assert not declared.get("ingestion")


def test_a_transformation_that_the_schema_names_goes_with_the_data_set_and_the_monitor(monkeypatch) -> None:
    text = (ROOT / "workloads/flights/schema.yaml").read_text()
    monitored = {"platform": LOCAL, "workloads": {"flights": {"monitor": {"field": "late_probability", "skew": {}}}}}
    own = "workloads/demand/train.py"
    plain = run(monitored)
    assert not any(own in plain[f"heliostat:index:{kind}"]["code"]["files"] for kind in ("Dataset", "Monitor"))
    assert "transformed" not in plain["heliostat:index:Monitor"]
    more = text + "transformed:\n  by: workloads.demand.train:train\n  columns:\n    weekday: {type: double}\n"
    monkeypatch.setattr(ServedModelArgs, "data_schema", lambda _: more)
    declared = run(monitored)
    assert all(own in declared[f"heliostat:index:{kind}"]["code"]["files"] for kind in ("Dataset", "Monitor"))
    assert declared["heliostat:index:Monitor"]["transformed"]["by"] == "workloads.demand.train:train"
    gone = more.replace("workloads.demand.train:train", "workloads.demand.gone:train")
    monkeypatch.setattr(ServedModelArgs, "data_schema", lambda _: gone)
    with pytest.raises(
        pulumi.RunError, match=r"flights/schema.yaml: transformed.by is workloads.demand.gone:train: module .* is not in"
    ):
        run(monitored)


def _args(ingestion: Ingestion | None) -> ServedModelArgs:
    parameters = JobParameters()
    return ServedModelArgs(
        ROOT,
        "w.d:snapshot",
        "w.t:train",
        "w.p:P",
        "w.c:C",
        data_parameters=parameters,
        parameters=parameters,
        ingestion=ingestion,
    )


def test_a_stack_says_from_where_and_up_to_when_rows_are_ingested() -> None:
    source = {"kind": "predictions", "application": "flights", "fields": ["carrier"]}
    split = {"kind": "group", "column": "request_id"}
    declared = Ingestion.model_validate({"source": source, "label": "late", "time": "time", "split": split})
    until = DataSettings.model_validate({"until": "2026-03-01T00:00:00Z"})
    found = _args(declared).ingested("flights", until)
    assert found is not None and found.until == until.until
    with pytest.raises(pulumi.RunError, match=r"workloads.flights.data: rows of a prediction log are taken up to a moment"):
        _args(declared).ingested("flights", None)
    with pytest.raises(pulumi.RunError, match="flights ingests nothing, its function reads by itself"):
        _args(None).ingested("flights", until)


def test_a_retraining_moves_until_when_rows_are_ingested_only_where_any_are() -> None:
    source = {"kind": "predictions", "application": "flights", "fields": ["carrier"]}
    split = {"kind": "group", "column": "request_id"}
    declared = Ingestion.model_validate({"source": source, "label": "late", "time": "time", "split": split})
    policy = {"triggers": [{"kind": "new-data", "rows": 9}], "dataParameter": "data.until"}
    spec = Workload.model_validate(
        {"monitor": {"drift": {}, "retraining": policy}, "data": {"until": "2026-03-01T01:00:00+01:00"}}
    )
    assert _args(declared).value_of_retraining("flights", spec, {}) == "2026-03-01T00:00:00Z"
    undated = spec.model_copy(update={"data": None})
    assert _args(declared).value_of_retraining("flights", undated, {}) is None
    with pytest.raises(pulumi.RunError, match=r"dataParameter of flights is data\.until: the workload ingests no rows"):
        _args(None).value_of_retraining("flights", spec, {})


@pytest.mark.parametrize(("kind", "told"), [("time", 1), ("latest", 0), ("group", 0)])
def test_a_retraining_that_brings_rows_which_none_is_trained_on_is_warned_of(kind: str, told: int, monkeypatch) -> None:
    splits = {
        "time": {"validationFrom": "2026-01-01T00:00:00Z", "testFrom": "2026-02-01T00:00:00Z"},
        "latest": {"validation": "P28D", "test": "P28D"},
        "group": {},
    }
    source = {"kind": "files", "uri": "file:///rows"}
    split = {"kind": kind, "column": "time", **splits[kind]}
    until = "2026-03-01T00:00:00Z"
    ingestion = Ingestion.model_validate({"source": source, "label": "late", "time": "time", "split": split, "until": until})
    monkeypatch.setattr(ServedModelArgs, "ingested", lambda *_: ingestion)
    monkeypatch.setattr(ServedModelArgs, "value_of_retraining", lambda *_: until)
    warned: list[str] = []
    monkeypatch.setattr(pulumi, "warn", lambda text, *_: warned.append(text))
    policy = {"triggers": [{"kind": "new-data", "rows": 9}], "dataParameter": "data.until"}
    run({"platform": LOCAL, "workloads": {"flights": {"monitor": {"drift": {}, "retraining": policy}}}})
    assert len([each for each in warned if "declare a LatestSplit" in each]) == told
