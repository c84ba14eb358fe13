"""Post-processing steps of what is declared: what their lists hold now, and what is told of a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_inspecting import CONTRACT, application, workload

from heliostat.provider import inspecting, postprocessing
from heliostat.provider.properties import UNKNOWN
from heliostat.spec.postprocessing import PostprocessingStep, changes
from heliostat.systems import step_lists
from heliostat.systems.objects import Directory

__all__ = ["workload"]

STEPS = """
from typing import Annotated
from pydantic import Field
from heliostat.ml.postprocessing import Given
from heliostat.spec.parameters import JobParameters

class Most(JobParameters):
    most: Annotated[int, Field(ge=1)] = 2

def shorten(rows, answers, given: "Given[Most]"):
    return answers

def unread(rows, answers, given: "Given[Nothing]"):
    return answers

def short(rows, answers):
    return answers
"""


def step(function: str = "shorten", **changes: Any) -> dict[str, Any]:
    return {"name": function, "function": f"workloads.w.steps:{function}", **changes}


def given(root: Path, *steps: dict[str, Any], store: Any = None) -> dict[str, Any]:
    return {"code": {"root": str(root), "files": [], "digest": "0" * 64}, "postprocessing": list(steps), "store": store}


async def test_lists_of_the_checkout_and_of_the_store_get_the_digest_of_what_they_hold_now(tmp_path: Path) -> None:
    objects = Directory(tmp_path / "objects")
    objects.put("legal/withdrawn.txt", b"dune\n")
    (tmp_path / "hidden.txt").write_text("alien\n")
    lists = {"hidden": {"source": "hidden.txt"}, "withdrawn": {"source": "store:legal/withdrawn.txt"}}
    wanted = given(tmp_path, step(), step("short", lists=lists), store={"uri": f"file://{tmp_path}/objects"})
    found, failures = await postprocessing.with_digests(wanted)
    assert failures == []
    first, second = found["postprocessing"]
    assert first == step()
    assert {name: each["digest"] for name, each in second["lists"].items()} == {
        "hidden": step_lists.digest_of(b"alien\n"), "withdrawn": step_lists.digest_of(b"dune\n"),
    }  # fmt: skip


async def test_every_list_that_cannot_be_read_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"am\xe9lie\n")
    lists = {"gone": {"source": "gone.txt"}, "latin": {"source": "latin.txt"}, "other": {"source": "store:a.txt"}}
    store = {"uri": f"file://{tmp_path}/objects"}
    _, failures = await postprocessing.with_digests(given(tmp_path, step(lists=lists), store=store))
    told = {each.path: each.reason for each in failures}
    assert "gone.txt cannot be read" in told["postprocessing[0].lists.gone.source"]
    assert "no text of UTF-8 (byte 2)" in told["postprocessing[0].lists.latin.source"]
    assert "put the list there, or correct its source" in told["postprocessing[0].lists.other.source"]


@pytest.mark.parametrize("store", [UNKNOWN, None, {"uri": UNKNOWN}])
async def test_a_list_in_a_store_that_is_not_known_yet_is_no_mistake(tmp_path: Path, store: Any) -> None:
    wanted = given(tmp_path, step(lists={"a": {"source": "store:a.txt"}}), store=store)
    found, failures = await postprocessing.with_digests(wanted)
    assert (found["postprocessing"][0]["lists"], failures) == ({"a": {"source": "store:a.txt"}}, [])


async def test_steps_that_cannot_work_are_told_before_anything_starts(workload: Any) -> None:
    workload.write(steps=STEPS, contract=f"from workloads.w import steps\n{CONTRACT}")
    inputs = application(workload)
    inputs["postprocessing"] = [step(parameters={"most": 0}), step("unread"), step("short"), step("gone")]
    told = {each.path: each.reason for each in await inspecting.of_application(inputs)}
    assert (
        "the parameters do not fit Most: most: Input should be greater than or equal to 1"
        in told["postprocessing[0].function"]
    )
    assert "its annotations cannot be read" in told["postprocessing[1].function"]
    assert "it must take three arguments" in told["postprocessing[2].function"]
    assert "cannot be imported" in told["postprocessing[3].function"]
    inputs["postprocessing"] = [step(parameters={"most": 3})]
    assert await inspecting.of_application(inputs) == []


def test_a_change_is_told_by_what_changed() -> None:
    def listed(digest: str, **more: Any) -> PostprocessingStep:
        lists = {"withdrawn": {"source": "a.txt", "digest": digest * 64}}
        return PostprocessingStep.model_validate({"name": "legal", "function": "a:b", "lists": lists, **more})

    other = PostprocessingStep(name="boost", function="a:c")
    old, new = listed("a"), listed("b", parameters={"x": 1})
    assert changes([old], [old]) == []
    assert changes([old], [new]) == [f"legal {old.version} becomes {new.version} (the list withdrawn, its parameters)"]
    assert changes([old], [old, other]) == [f"boost {other.version} is new"]
    assert changes([old, other], [old]) == [f"boost {other.version} is gone"]
    assert changes([old, other], [other, old]) == ["their order becomes boost, legal"]
