"""`ignoreChanges`, with the values that the official CLI gives (since 3.194)."""

from __future__ import annotations

from typing import Any

import pytest
from engine_harness import Lab

from heliostat.engine.protocol.ignored import ignoring
from heliostat.engine.state.snapshot import UNKNOWN, Secret

ASSET = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"a": 1, "b": {"c": 20, "d": 21}, "l": [{"x": 3}, {"x": 4}]}),
        ("b.c", {"a": 10, "b": {"c": 2, "d": 21}, "l": [{"x": 3}, {"x": 4}]}),
        ("b[*]", {"a": 10, "b": {"c": 2}, "l": [{"x": 3}, {"x": 4}]}),
        ('["b"].d', {"a": 10, "b": {"c": 20}, "l": [{"x": 3}, {"x": 4}]}),
        ("l[1].x", {"a": 10, "b": {"c": 20, "d": 21}, "l": [{"x": 3}, {"x": 2}]}),
        ("l[*].x", {"a": 10, "b": {"c": 20, "d": 21}, "l": [{"x": 1}, {"x": 2}]}),
        ("gone", {"a": 10, "b": {"c": 20, "d": 21}, "l": [{"x": 3}, {"x": 4}], "gone": 5}),
    ],
)
def test_ignored_properties_are_as_they_were(path: str, expected: dict[str, Any]) -> None:
    olds = {"a": 1, "b": {"c": 2}, "l": [{"x": 1}, {"x": 2}], "gone": 5}
    news = {"a": 10, "b": {"c": 20, "d": 21}, "l": [{"x": 3}, {"x": 4}]}
    found = ignoring(news, olds, [path])
    assert (found.inputs, found.partly, found.nowhere) == (expected, (), ())
    assert news == {"a": 10, "b": {"c": 20, "d": 21}, "l": [{"x": 3}, {"x": 4}]}, "the declared inputs stay as they are"


@pytest.mark.parametrize(
    ("path", "old", "new", "expected", "whole"),
    [
        ("v[*]", [1, 2], [7, 8, 9], [1, 2, 9], False),
        ("v[*]", [1, 2, 3], [7], [1], False),
        ("v[*]", [1, 2], [7, 8], [1, 2], True),
        ("v[0]", [1, 2], [7, 8, 9], [1, 8, 9], True),
        ("v[2]", [1, 2], [7, 8, 9], [7, 8, 9], False),
        (
            "v[*].c",
            [{"p": 1, "c": "a"}],
            [{"p": 2, "c": "X"}, {"p": 3, "c": "b"}],
            [{"p": 2, "c": "a"}, {"p": 3, "c": "b"}],
            False,
        ),
        ("v[*].c", [{"c": 1}, {"c": 2}], [{"c": 7}], [{"c": 1}], False),
        ("v[1].c", [{"c": 1}], [{"c": 7}, {"c": 8}], [{"c": 7}, {"c": 8}], False),
        ("v[0][*]", [[1]], [[5, 6], [7]], [[1, 6], [7]], False),
        ("v.*.c", {"x": {"c": 1}, "y": {"c": 2}}, {"y": {"c": 8}, "z": {"c": 9}}, {"y": {"c": 2}, "z": {"c": 9}}, False),
        ("v.x.c", {"x": {"c": 1}}, {}, {}, False),
        ("v.x.c", {}, {"x": {"c": 1, "d": 2}}, {"x": {"d": 2}}, True),
        ("v.x", [1], {"x": 5}, {}, True),
        ("v.x", {"x": 5}, [1], [1], False),
        ("v[0]", {"x": 5}, [1], [1], False),
        ("v[*]", None, [1], [1], False),
    ],
)
def test_what_was_added_or_removed_is_not_ignored_and_told(path: str, old: Any, new: Any, expected: Any, whole: bool) -> None:
    found = ignoring({"v": new}, {"v": old}, [path])
    assert found.inputs == {"v": expected}
    assert found.partly == (() if whole else (path,))
    assert found.nowhere == ()


@pytest.mark.parametrize("path", ["w", "v.x", "v[5]", "v[*].x", "w[*]", "w.x[0]"])
def test_a_path_that_leads_to_nothing_is_told_as_such(path: str) -> None:
    found = ignoring({"v": [1]}, {"v": [2]}, [path])
    assert (found.inputs, found.partly, found.nowhere) == ({"v": [1]}, (), (path,))


def test_a_list_that_is_empty_is_there() -> None:
    assert ignoring({"v": []}, {"v": []}, ["v[*]"]).nowhere == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Secret({"b": 1}), Secret({"b": 2}), Secret({"b": 1})),
        (Secret({"b": 1}), {"b": 2}, {"b": Secret(1)}),
        ({"b": 1}, Secret({"b": 2}), Secret({"b": 1})),
        ({"b": Secret(1)}, {"b": 2}, {"b": Secret(1)}),
    ],
)
def test_ignoring_reaches_into_secrets_and_lets_none_out(old: Any, new: Any, expected: Any) -> None:
    assert ignoring({"a": new}, {"a": old}, ["a.b"]).inputs == {"a": expected}


def test_an_element_of_a_list_that_was_secret_stays_secret() -> None:
    assert ignoring({"a": [3, 4]}, {"a": Secret([1])}, ["a[*]"]).inputs == {"a": [Secret(1), 4]}


def test_an_asset_is_ignored_as_a_whole_and_not_by_its_parts() -> None:
    old, new = {**ASSET, "path": "old"}, {**ASSET, "path": "new"}
    assert ignoring({"a": new}, {"a": old}, ["a"]).inputs == {"a": old}
    assert ignoring({"a": new}, {"a": old}, ["a.path"]).inputs == {"a": new}


def test_what_a_preview_does_not_know_yet_is_not_told() -> None:
    found = ignoring({"a": UNKNOWN}, {"a": [1]}, ["a[*]"])
    assert (found.inputs, found.partly, found.nowhere) == ({"a": UNKNOWN}, (), ())
    assert ignoring({"a": UNKNOWN}, {"a": [1]}, ["a"]).inputs == {"a": [1]}


PROGRAM = "Lab('a', Options(ignore_changes=['rules[*]', 'nosuch', 'v']), v={v}, rules={rules})"


async def test_paths_that_were_not_wholly_ignored_are_told_in_preview_and_update(lab: Lab) -> None:
    await lab.up(PROGRAM.format(v=1, rules=[1, 2]))
    assert lab.said("warning") == "", "a resource that is made ignores nothing"
    changed = PROGRAM.format(v=2, rules=[7, 8, 9])
    for operate in (lab.preview, lab.up):
        await operate(changed)
        told = lab.said("warning").splitlines()
        assert len(told) == 2
        assert "added or removed" in told[0]
        assert '"rules[*]"' in told[0]
        assert '"nosuch"' in told[1]
    assert lab.resources()["a"].inputs["rules"] == [1, 2, 9]
    assert lab.resources()["a"].inputs["v"] == 1
