"""A stack's config: what is taken, what is refused and how it is told."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from heliostat.spec.stack import PROJECT, ConfigError, parse, schema_text
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling

ROOT = Path(__file__).parents[2]
FILE = "configs/Pulumi.test.yaml"


def mistakes_of(sections: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(sections, FILE, ["flights"])
    return str(refused.value).splitlines()


def flights(**serving: Any) -> dict[str, Any]:
    return {"platform": {"kind": "local"}, "workloads": {"flights": {"serving": serving}}}


def test_the_committed_schema_is_the_one_that_the_models_make() -> None:
    committed = (ROOT / "configs" / "stack.schema.json").read_text()
    assert committed == schema_text(), "the schema is stale: run `make schema` and commit it"


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
    assert all(kind in told for kind in ("recreate", "rolling", "blue-green"))


@pytest.mark.parametrize(("kind", "expected"), [("recreate", Recreate()), ("rolling", Rolling()), ("blue-green", BlueGreen())])
def test_a_strategy_is_chosen_by_its_kind(kind: str, expected: object) -> None:
    stack = parse(flights(strategy={"kind": kind}), FILE, ["flights"])
    assert stack.workloads["flights"].serving.strategy == expected


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
