"""The pictures of what each platform makes: drawn from the plans that were reviewed, and not stale."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "platform_pictures.py"
KINDS = ("kubernetes", "aws", "gcp")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def pictures(made: dict[str, Any]) -> dict[Path, str]:
    drawn: dict[Path, str] = made["pictures"]()
    return drawn


def test_the_committed_pictures_are_those_that_the_script_draws(pictures: dict[Path, str]) -> None:
    assert {path.stem for path in pictures} == set(KINDS)
    stale = [path.name for path, text in pictures.items() if path.read_text() != text]
    assert stale == [], "python scripts/platform_pictures.py draws them anew"


@pytest.mark.parametrize("kind", KINDS)
def test_every_resource_of_a_plan_is_in_one_box(made: dict[str, Any], kind: str) -> None:
    plan = made["reviewed"](kind)
    around, parts = plan.boxes()
    drawn: Counter[str] = sum((box.inside for box in (*around, *parts)), Counter())
    components = {"ServiceRole", *made["CONTAINERS"], made["SERVICES"]}
    declared = Counter(
        each["type"].rpartition(":")[2]
        for each in plan.entries
        if not each["type"].startswith(("pulumi:", "heliostat:aws:", "heliostat:gcp:"))
    )
    assert drawn == Counter({each: count for each, count in declared.items() if each not in components})


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_names_every_component_of_the_plan(pictures: dict[Path, str], made: dict[str, Any], kind: str) -> None:
    text = next(text for path, text in pictures.items() if path.stem == kind)
    shown = {each.text for each in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")}
    types = {
        each["type"]
        for each in made["reviewed"](kind).entries
        if each["type"].startswith(("heliostat:aws:", "heliostat:gcp:"))
    }
    components = {each.rpartition(":")[2] for each in types} - {"Underlay", "Foundation"}
    assert {made["words"](each) for each in components} - shown == set()
    assert {"ray", "mlflow", "redis", "controller", "traffic", "What runs in the cluster"} - shown == set()


def test_a_box_stands_below_all_that_it_needs_and_is_led_to_by_the_nearest_alone(made: dict[str, Any]) -> None:
    boxes = {title: made["Box"](title) for title in ("a", "b", "c")}
    boxes["a"].needs, boxes["b"].needs = {"b", "c"}, {"c"}
    order = made["ordered"](boxes)
    assert [box.title for box in order] == ["c", "b", "a"]
    assert [box.needs for box in order] == [set(), {"c"}, {"b"}]


def test_arrows_that_would_lie_on_each_other_have_lanes_of_their_own(made: dict[str, Any]) -> None:
    boxes = [made["Box"](title) for title in ("a", "b", made["SERVICES"], "d")]
    boxes[2].needs, boxes[3].needs = {"a"}, {"b"}
    lanes = made["lanes"](made["place"](boxes, []))
    assert sorted(lanes.values()) == [0, 1]
