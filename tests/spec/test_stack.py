"""A stack's config: what is taken, what is refused and how it is told."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from heliostat.spec.analysis import Analysis, SuccessRate
from heliostat.spec.base import PROJECT
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.platforms.ray import RayPlatform
from heliostat.spec.problem import Problem
from heliostat.spec.stack import ConfigError, json_schema, parse, schema_text
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow
from heliostat.spec.tasks import Binary
from workloads.flights.parameters import Training

ROOT = Path(__file__).parents[2]
FILE = "configs/Pulumi.test.yaml"
CHECK = {"kind": "success-rate", "atLeast": 0.9}


def mistakes_of(sections: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(sections, FILE, ["flights"], problem_of=lambda _: Problem())
    return str(refused.value).splitlines()


def flights(**serving: Any) -> dict[str, Any]:
    return {"platform": {"kind": "local"}, "workloads": {"flights": {"serving": serving}}}


def test_the_committed_schema_is_the_one_that_the_models_make() -> None:
    committed = (ROOT / "configs" / "stack.schema.json").read_text()
    assert committed == schema_text({"flights": Training}, {"flights": Problem(task=Binary())}), (
        "the schema is stale: run `make schema` and commit it"
    )


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_committed_config_is_valid(path: Path) -> None:
    config = YAML(typ="safe").load(path.read_text())["config"]
    known = [folder.parent.name for folder in (ROOT / "workloads").glob("*/workload.py")]
    parse({key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}, path.name, known)


def test_a_platform_alone_is_a_stack() -> None:
    assert parse({"platform": {"kind": "local"}}, FILE, []).workloads == {}


def test_every_mistake_is_told_at_once_with_file_and_path() -> None:
    told = mistakes_of(
        {
            "platform": {"kind": "local", "publicPort": "eighty", "colour": "red", "store": {"kind": "s3"}},
            "workloads": {"flights": {"gate": {"slices": [{"column": 1}]}}, "birds": {}},
        }
    )
    assert told[0] == f"5 mistakes in {FILE}:"
    paths = {line.split(": ")[1] for line in told[1:]}
    assert paths == {
        "heliostat:platform.publicPort",
        "heliostat:platform.colour",
        "heliostat:platform.store.bucket",
        "heliostat:workloads.flights.gate.slices[0].column",
        "heliostat:workloads.birds",
    }
    assert all(line.startswith(f"  {FILE}: ") for line in told[1:])


def test_the_path_of_a_mistake_is_the_file_s_own_without_the_name_of_the_chosen_kind() -> None:
    told = mistakes_of(flights(strategy={"kind": "rolling", "percentage": 300}))
    assert "heliostat:workloads.flights.serving.strategy.percentage:" in told[1]


def test_an_unknown_strategy_is_refused_and_the_known_ones_are_named() -> None:
    (_, told) = mistakes_of(flights(strategy={"kind": "big-bang"}))
    assert "strategy.kind: 'big-bang' is none of recreate, rolling, blue-green, canary, shadow" in told


def test_the_strategies_that_the_local_config_suggests_can_be_put_there() -> None:
    lines = (ROOT / "configs" / "Pulumi.local.yaml").read_text().splitlines()
    suggested = [YAML(typ="safe").load(line.strip(" #")) for line in lines if line.strip().startswith("#   {kind")]
    chosen = [
        parse(flights(strategy=each), FILE, ["flights"]).workloads["flights"].serving.strategy.kind for each in suggested
    ]
    assert chosen == ["recreate", "rolling", "canary", "shadow"]


CHECKS = {"checks": [{"kind": "success-rate", "atLeast": 0.99}]}
ANALYSIS = Analysis(checks=(SuccessRate(at_least=0.99),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kind": "recreate"}, Recreate()),
        ({"kind": "rolling", "percentage": 25, "maxSurge": 2}, Rolling(percentage=25, max_surge=2)),
        ({"kind": "blue-green", "after": CHECKS}, BlueGreen(after=ANALYSIS)),
        (
            {"kind": "canary", "steps": [{"weight": 10}, {"weight": 50, "approval": True}], "analysis": CHECKS},
            Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50, approval=True)), analysis=ANALYSIS),
        ),
        ({"kind": "shadow", "analysis": CHECKS, "samplingPercentage": 5}, Shadow(analysis=ANALYSIS, sampling_percentage=5)),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_strategy_is_chosen_by_its_kind(given: dict[str, Any], expected: object) -> None:
    stack = parse(flights(strategy=given), FILE, ["flights"])
    assert stack.workloads["flights"].serving.strategy == expected


def strategy_mistakes(**strategy: Any) -> dict[str, str]:
    """What is told of a strategy, by its place in it."""
    place = "heliostat:workloads.flights.serving.strategy"
    lines = mistakes_of(flights(strategy=strategy))[1:]
    told = (line.removeprefix(f"  {FILE}: ").partition(": ") for line in lines)
    return {path.removeprefix(place).removeprefix("."): text for path, _, text in told}


def test_every_mistake_of_a_strategy_is_told_at_once_where_it_stands_and_nothing_that_only_follows_from_one() -> None:
    wrong = {"checks": [{"kind": "latency"}, {"kind": "sucess-rate"}, {"kind": "model-metric", "metric": "auc", "field": "x"}]}
    told = strategy_mistakes(
        kind="canary",
        steps=[{"weight": 50, "analysis": wrong}, {"weight": 20}, {"weigth": 60}, {"weight": 120, "pauseSeconds": -1}],
        analysis={"checks": [{"atLeast": 1}]},
    )
    assert told == {
        "steps[0].analysis.checks[0]": "a check without a limit passes everything: give `atMostMs`, `times`, or both",
        "steps[0].analysis.checks[1].kind": "'sucess-rate' is none of success-rate, rejection-rate, latency, disagreement, "
        "prediction-distance, model-metric, custom; did you mean `success-rate`?",
        "steps[0].analysis.checks[2].metric": "'auc' is none of roc_auc, average_precision, log_loss, brier_score, "
        "accuracy, balanced_accuracy, f1, precision, recall, matthews_corrcoef, mean_bias, r2, root_mean_squared_error, "
        "mean_absolute_error, mean_squared_error, median_absolute_error, mean_absolute_percentage_error; did you mean "
        "`roc_auc`?",
        "steps[0].analysis.checks[2]": "a check without a limit passes everything: give `limit`, `margin`, or both",
        "steps[1].weight": "the weights of a canary's steps must rise: 20 does not, after 50",
        "steps[2].weight": "is missing",
        "steps[2].weigth": "there is no such key; did you mean `weight`?",
        "steps[3].weight": "input should be less than or equal to 100 (given: 120)",
        "steps[3].pauseSeconds": "input should be greater than or equal to 0 (given: -1 seconds)",
        "analysis.checks[0].kind": "is missing; one of success-rate, rejection-rate, latency, disagreement, "
        "prediction-distance, model-metric, custom",
    }


def test_a_list_that_is_empty_needs_something() -> None:
    assert strategy_mistakes(kind="canary", steps=[]) == {"steps": "needs at least 1"}


def test_a_strategy_that_is_no_mapping_is_told_what_it_has_to_be() -> None:
    (_, told) = mistakes_of(flights(strategy="canary"))
    assert "strategy: needs keys and values, with a `kind` of recreate, rolling, blue-green, canary, shadow" in told


COMPARING = (
    {"kind": "latency", "times": 1.5},
    {"kind": "disagreement", "atMost": 0.1},
    {"kind": "success-rate", "margin": 0.1},
)


@pytest.mark.parametrize("check", COMPARING)
def test_without_surge_nothing_stands_beside_the_last_batch_to_compare_it_with(check: dict[str, Any]) -> None:
    told = strategy_mistakes(kind="rolling", maxSurge=0, analysis={"checks": [check, {"kind": "latency", "atMostMs": 9}]})
    assert f"the checks {check['kind']} would have nothing" in told[""]
    alone = {"checks": [{"kind": "latency", "atMostMs": 9}]}
    for fine in ({"maxSurge": 1, "analysis": {"checks": [check]}}, {"maxSurge": 0, "analysis": alone}):
        parse(flights(strategy={"kind": "rolling", **fine}), FILE, ["flights"])


def test_what_a_rolling_update_cannot_compare_is_told_beside_its_other_mistakes() -> None:
    told = strategy_mistakes(kind="rolling", maxSurge=0, percentage=101, analysis={"checks": [COMPARING[0]]})
    assert told["percentage"] == "input should be less than or equal to 100 (given: 101 percent)"
    assert "the checks latency would have nothing" in told[""]


def test_a_check_of_ones_own_that_says_both_ways_or_none_is_told_beside_its_other_mistakes() -> None:
    both = {"kind": "custom", "name": "Mine", "function": "a.b:c", "command": ["true"]}
    told = strategy_mistakes(kind="shadow", analysis={"checks": [both, {"kind": "custom", "name": "mine"}]})
    needs = "a check of one's own needs either `function` or `command`"
    assert told["analysis.checks[0]"] == told["analysis.checks[1]"] == needs
    assert "analysis.checks[0].name" in told


def test_weights_that_are_written_as_text_have_to_rise_too() -> None:
    """`config set --path` keeps a number with a point as text."""
    told = strategy_mistakes(kind="canary", steps=[{"weight": "50"}, {"weight": "10.5"}])
    assert told == {"steps[1].weight": "the weights of a canary's steps must rise: 10.5 does not, after 50"}
    parse(flights(strategy={"kind": "canary", "steps": [{"weight": "0.5"}, {"weight": "10.5"}]}), FILE, ["flights"])


def test_a_key_in_snake_case_is_told_as_it_was_written() -> None:
    told = strategy_mistakes(kind="rolling", max_surge=-1)
    assert told == {"max_surge": "input should be greater than or equal to 0 (given: -1)"}


def test_what_several_kinds_of_a_value_say_is_one_mistake() -> None:
    config = {"platform": {"kind": "local"}, "workloads": {"flights": {"training": {"parameters": {"rounds": [1]}}}}}
    (count, told) = mistakes_of(config)
    assert count.startswith("1 mistake ")
    assert "parameters.rounds: " in told


def test_a_metric_of_the_gate_that_does_not_exist_is_refused() -> None:
    (_, told) = mistakes_of({"platform": {"kind": "local"}, "workloads": {"flights": {"gate": {"metric": "auc"}}}})
    assert "heliostat:workloads.flights.gate.metric: 'auc' is none of roc_auc, average_precision" in told


def test_a_missing_platform_is_told_beside_other_mistakes() -> None:
    told = mistakes_of({"workloads": {"flights": {"serving": {"replicas": 0}}}})
    assert told[0].startswith("2 mistakes")
    assert any("platformStack" in line for line in told)


def test_a_whole_value_made_in_code_is_refused_for_the_same_reasons() -> None:
    with pytest.raises(ValidationError, match="20 does not, after 50"):
        Canary(steps=(CanaryStep(weight=50), CanaryStep(weight=20)))
    with pytest.raises(ValidationError, match="give `atLeast`, `margin`, or both"):
        SuccessRate()


def test_workloads_without_a_platform_are_refused() -> None:
    (_, told) = mistakes_of({"workloads": {"flights": {}}})
    assert "platformStack" in told


def test_a_platform_and_a_platform_stack_exclude_each_other() -> None:
    (_, told) = mistakes_of({"platform": {"kind": "local"}, "platformStack": "organization/heliostat/platform-prod"})
    assert "exclude each other" in told


def test_a_stack_that_declares_nothing_is_refused() -> None:
    (_, told) = mistakes_of({})
    assert "declares nothing" in told


def test_a_pinned_model_names_a_registered_version() -> None:
    good = parse({"platform": {"kind": "local"}, "workloads": {"flights": {"model": "models:/flights/7"}}}, FILE, ["flights"])
    assert good.workloads["flights"].model == "models:/flights/7"
    (_, told) = mistakes_of({"platform": {"kind": "local"}, "workloads": {"flights": {"model": "flights@latest"}}})
    assert "heliostat:workloads.flights.model" in told


@pytest.mark.parametrize(
    ("serving", "told"),
    [
        ({"startupTimeoutSeconds": "5m"}, "is a number of seconds, without a unit: write 300 (given: '5m')"),
        ({"startupTimeoutSeconds": -1}, "input should be greater than 0 (given: -1 seconds)"),
        ({"startupTimeoutSeconds": "soon"}, "is a number of seconds, without a unit (given: 'soon')"),
        (
            {"strategy": {"kind": "canary", "steps": [{"weight": 5}], "analysis": {"seconds": "2 min", "checks": [CHECK]}}},
            "is a number of seconds, without a unit: write 120 (given: '2 min')",
        ),
        ({"limits": {"maxBodyBytes": 0}}, "input should be greater than or equal to 1 (given: 0 bytes)"),
    ],
)
def test_a_duration_and_a_size_are_told_with_their_unit(serving: dict[str, Any], told: str) -> None:
    assert any(line.endswith(told) for line in mistakes_of(flights(**serving))), mistakes_of(flights(**serving))


def test_a_mistake_has_the_line_and_the_column_where_it_stands() -> None:
    places: dict[tuple[str | int, ...], tuple[int, int]] = {("workloads", "flights", "serving", "replicas"): (7, 9)}
    with pytest.raises(ConfigError) as refused:
        parse(flights(replicas=0, colour="red"), FILE, ["flights"], places.get)
    lines = str(refused.value).splitlines()
    assert lines[1].startswith(f"  {FILE}:7:9: heliostat:workloads.flights.serving.replicas: ")
    assert lines[2].startswith(f"  {FILE}: heliostat:workloads.flights.serving.colour: ")


def test_every_mistake_in_a_training_s_parameters_is_told_with_all_others() -> None:
    parameters = {"num_leavs": 7, "rounds": "many", "learning_rate": 0, "seed": 1.5, "lambda_l2": 1}
    config = {
        "platform": {"kind": "lokal"},
        "workloads": {"flights": {"training": {"parameters": parameters}}, "gone": {"training": {"parameters": {"a": 1}}}},
    }
    with pytest.raises(ConfigError) as refused:
        parse(config, "file", ["flights"], parameters_of=lambda name: Training())
    told = str(refused.value)
    place = "heliostat:workloads.flights.training.parameters"
    assert f"{place}.num_leavs: there is no such key; did you mean `num_leaves`?" in told
    assert f"{place}.rounds: input should be a valid integer (given: 'many')" in told
    assert f"{place}.learning_rate: input should be greater than 0 (given: 0)" in told
    assert f"{place}.seed: input should be a valid integer (given: 1.5)" in told
    assert "lambda_l2" not in told
    assert told.startswith("6 mistakes in file:"), told


def test_parameters_that_fit_override_the_workload_s_own() -> None:
    assert Training().overridden({"rounds": 7}).values() == {**Training().values(), "rounds": 7}
    assert Training().overridden({"learning_rate": 1}).values()["learning_rate"] == 1.0, "JSON knows one kind of number"


def test_what_no_cluster_of_the_stack_could_hold_is_told_beside_all_else() -> None:
    ray = {"head": {"cpus": 2}, "workers": {"cpus": 4, "count": 1}}
    workload = {"serving": {"replicas": 7}, "training": {"scaling": {"workers": 2, "cpusPerWorker": 3}}, "gate": {"margn": 1}}
    config = {"platform": {"kind": "local", "ray": ray}, "workloads": {"flights": workload}}

    def told() -> list[str]:
        with pytest.raises(ConfigError) as refused:
            parse(config, FILE, ["flights"])
        return str(refused.value).splitlines()[1:]

    assert len(told()) == 1, "a workload that is wrong otherwise is not weighed"
    del workload["gate"]
    replicas, workers = told()
    assert (
        "heliostat:workloads.flights.serving.replicas: 7 replicas of 1 CPUs need more than there is: the cluster's" in replicas
    )
    assert "nodes have 2, 4 CPUs, room for 6; declare fewer, or more below platform.ray" in replicas
    assert "heliostat:workloads.flights.training.scaling.workers: 2 workers of 3 CPUs" in workers
    assert "room for 1" in workers
    config["workloads"] = {"flights": {"serving": {"replicas": 60, "cpusPerReplica": 0.1}, "model": "models:/flights/1"}}
    assert parse(config, FILE, ["flights"]), "sixty tenths fit into six, and a pinned model is not trained"
    config["workloads"] = {"flights": {"serving": {"replicas": 999, "cpusPerReplica": 0}}}
    assert parse(config, FILE, ["flights"])


RAY = {
    "kind": "ray",
    "ray": {"url": "http://10.0.0.2:8265"},
    "tracking": {"uri": "http://10.0.0.3:5000"},
    "store": {"kind": "s3", "bucket": "things"},
}


def test_a_platform_need_not_say_that_it_is_the_local_one() -> None:
    assert isinstance(parse({"platform": {"publicPort": 8080}}, FILE, []).platform, LocalPlatform)


def test_a_cluster_that_exists_is_a_platform() -> None:
    found = parse({"platform": RAY}, FILE, []).platform
    assert isinstance(found, RayPlatform)
    assert (found.ray.credential, found.controller.host, found.controller.credential) == (None, "127.0.0.1", None)


def test_what_is_missing_of_a_cluster_that_exists_is_told_at_once() -> None:
    (_, *told) = mistakes_of({"platform": {"kind": "ray", "ray": {"url": "10.0.0.2:8265"}, "publicPort": 1}})
    paths = [line.partition(": ")[2].partition(": ")[0] for line in told]
    assert [path.removeprefix("heliostat:platform.") for path in paths] == ["ray.url", "tracking", "store", "publicPort"]


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    (_, *told) = mistakes_of({"platform": {**RAY, "tracking": {"uri": "http://ada:hush-hush@10.0.0.3"}}})
    (line,) = told
    assert "heliostat:platform.tracking.uri" in line
    assert "hush-hush" not in line
    assert "ada" not in line


def test_what_fits_on_a_cluster_that_exists_is_not_known_from_the_config() -> None:
    flights = {"serving": {"replicas": 500}}
    assert parse({"platform": RAY, "workloads": {"flights": flights}}, FILE, ["flights"]).workloads


def test_every_key_of_a_config_says_what_it_is() -> None:
    schema = json_schema({})
    models = {"Stack": {"properties": schema["properties"]["config"]["properties"]}, **schema["$defs"]}
    said = {
        f"{name}.{key}": field.get("description")
        for name, model in models.items()
        for key, field in model.get("properties", {}).items()
    }
    assert len(said) > 100
    assert [key for key, text in said.items() if not text] == []
