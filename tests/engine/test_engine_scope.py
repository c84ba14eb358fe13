"""`--target` and `--exclude`: what an operation is about, and what stays as it is."""

from __future__ import annotations

import pytest
from engine_harness import Lab

THREE = """
a = Lab('a', v={n})
Lab('b', v={n}, of=a.made)
Lab('c', v={n})
"""


def values(lab: Lab) -> dict[str, int]:
    return {name: one.inputs["v"] for name, one in lab.resources().items() if "v" in one.inputs}


async def test_what_is_excluded_stays_as_it_is_and_what_depends_on_it_comes_along_when_asked(lab: Lab) -> None:
    await lab.up(THREE.format(n=1))
    await lab.up(THREE.format(n=2), excludes=(lab.urn("a"),))
    assert values(lab) == {"a": 1, "b": 2, "c": 2}
    await lab.up(THREE.format(n=3), excludes=("**::a",), exclude_dependents=True)
    assert values(lab) == {"a": 1, "b": 2, "c": 3}


async def test_what_is_excluded_is_kept_with_all_that_it_needs_though_nobody_declares_it(lab: Lab) -> None:
    await lab.up(THREE.format(n=1))
    summary = await lab.up("Lab('d', v=1)", excludes=(lab.urn("b"),))
    assert summary.succeeded
    assert lab.calls("delete") == ["delete c"]
    assert lab.names() == ["d", "a", "b"]


async def test_destroying_leaves_the_excluded_and_what_it_needs_or_all_that_hangs_on_it(lab: Lab) -> None:
    await lab.up(THREE.format(n=1))
    assert (await lab.destroy(excludes=(lab.urn("b"),))).succeeded
    assert lab.names() == ["a", "b"]
    assert (await lab.destroy(excludes=(lab.urn("a"),), exclude_dependents=True)).succeeded
    assert lab.names() == ["a", "b"]
    assert (await lab.destroy(excludes=(lab.urn("a"),))).succeeded
    assert lab.names() == ["a"]


async def test_a_refresh_reads_all_but_the_excluded(lab: Lab) -> None:
    await lab.up(THREE.format(n=1))
    await lab.refresh(excludes=(lab.urn("a"),))
    assert sorted(lab.calls("read")) == ["read b", "read c"]
    await lab.refresh(excludes=(lab.urn("a"),), exclude_dependents=True)
    assert lab.calls("read") == ["read c"]


async def test_what_needs_an_excluded_resource_that_is_not_there_yet_is_refused_with_the_way_out(lab: Lab) -> None:
    for operate in (lab.preview, lab.up):
        summary = await operate(THREE.format(n=1), excludes=(lab.urn("a"),))
        assert not summary.succeeded
        assert f"'{lab.urn('b')}' depends on '{lab.urn('a')}', which --exclude leaves out" in lab.said("error")
        assert "--exclude-dependents" in lab.said("error")
    assert (await lab.up(THREE.format(n=1), excludes=(lab.urn("a"),), exclude_dependents=True)).succeeded
    assert lab.names() == ["c"]


async def test_names_that_fit_nothing_are_told(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)")
    nowhere = lab.urn("nowhere")
    assert (await lab.up("Lab('a', v=2)", excludes=(nowhere, "**::nothing"))).succeeded
    assert lab.said("warning") == f"--exclude names '{nowhere}', which could not be found in the stack."
    assert not (await lab.refresh(excludes=(nowhere,))).succeeded
    assert lab.said("error") == f"Excluded resource '{nowhere}' could not be found in the stack."
    assert not (await lab.up("Lab('a', v=3)", replace=(nowhere,))).succeeded
    assert lab.said("error") == f"Resource to replace '{nowhere}' could not be found in the stack."
    assert lab.calls() == [], "nothing began"


async def test_a_component_is_excluded_with_its_children(lab: Lab) -> None:
    program = "box = Box('box')\nLab('a', Options(parent=box), v={n})\nLab('b', v={n})"
    await lab.up(program.format(n=1))
    await lab.up(program.format(n=2), excludes=("**::box",), exclude_dependents=True)
    assert values(lab) == {"a": 1, "b": 2}


@pytest.mark.parametrize(("ignore", "left"), [(False, ["a"]), (True, [])])
async def test_protection_is_ignored_on_demand_only(lab: Lab, ignore: bool, left: list[str]) -> None:
    await lab.up("Lab('a', Options(protect=True), replace_v=1)")
    summary = await lab.up("Lab('a', Options(protect=True), replace_v=2)", ignore_protect=ignore)
    assert summary.succeeded == ignore
    assert lab.calls("create", "delete") == (["create a", "delete a"] if ignore else [])
    assert (await lab.destroy(ignore_protect=ignore)).succeeded == ignore
    assert lab.names() == left
