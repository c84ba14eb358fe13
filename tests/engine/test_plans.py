"""An update that is held to a plan does what the preview showed, or stops and says what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engine_harness import Lab

from heliostat.engine.events import Op
from heliostat.engine.planning import planfile
from heliostat.engine.planning.plans import Constraint, Plan, PlannedGoal, PropertyDiff, ResourcePlan
from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.secrets import Crypter
from heliostat.engine.state.snapshot import UNKNOWN, Resource, Secret

TWO = """
a = Lab('a', v={v})
Lab('b', Options(depends_on=[a]), w=a.made)
pulumi.export('w', a.made)
"""


async def planned(lab: Lab, program: str) -> Plan:
    """What a preview plans, as it comes back from its file."""
    plan = Plan()
    assert (await lab.preview(program, planned=plan)).succeeded
    file = lab.folder / "plan.json"
    planfile.write(file, plan, Crypter.new("pass"))
    return planfile.read(file, Crypter.new("pass"))


def told(lab: Lab) -> str:
    return lab.said("error")


async def test_what_was_planned_is_done_also_where_values_were_not_known(lab: Lab) -> None:
    plan = await planned(lab, TWO.format(v=1))
    assert (await lab.up(TWO.format(v=1), plan=plan)).succeeded, told(lab)
    assert lab.resources()["b"].inputs["w"] == lab.resources()["a"].outputs["made"]
    plan = await planned(lab, TWO.format(v=2))
    assert (await lab.up(TWO.format(v=2), plan=plan)).succeeded, told(lab)
    again = await lab.up(TWO.format(v=2), plan=plan)
    assert again.succeeded, "it is so already: " + told(lab)
    assert again.changes.keys() <= {Op.SAME}


async def test_another_value_stops_it_before_anything_is_done(lab: Lab) -> None:
    await lab.up(TWO.format(v=1))
    plan = await planned(lab, TWO.format(v=2))
    assert not (await lab.up(TWO.format(v=3), plan=plan)).succeeded
    assert "v is 3, planned was 2" in told(lab)
    assert lab.resources()["a"].inputs["v"] == 1
    assert [call for call in lab.logged() if call["call"] in {"create", "update", "delete"}] == []


async def test_a_resource_that_comes_or_goes_against_the_plan_stops_it(lab: Lab) -> None:
    await lab.up(TWO.format(v=1))
    plan = await planned(lab, TWO.format(v=1))
    assert not (await lab.up(TWO.format(v=1) + "Lab('c', v=1)\n", plan=plan)).succeeded
    assert "the plan does not have it" in told(lab)
    assert not (await lab.up("pulumi.export('w', 1)\n", plan=plan)).succeeded
    assert "delete was not planned" in told(lab)
    assert {"a", "b"} <= lab.resources().keys()


async def test_what_is_planned_and_no_longer_declared_is_told(lab: Lab) -> None:
    plan = await planned(lab, TWO.format(v=1) + "Lab('c', v=1)\n")
    assert not (await lab.up(TWO.format(v=1), plan=plan)).succeeded
    assert "::c: planned was create" in told(lab)


async def test_an_export_is_held_to_the_plan(lab: Lab) -> None:
    plan = await planned(lab, "pulumi.export('x', 1)\n")
    assert not (await lab.up("pulumi.export('x', 2)\n", plan=plan)).succeeded
    assert "x is 2, planned was 1" in told(lab)


def goal(**changes: object) -> PlannedGoal:
    return PlannedGoal(**{"type": "lab:index:Lab", "name": "a", "custom": True, "inputs": PropertyDiff(), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("steps", "taken", "fits"),
    [
        ([Op.CREATE], [Op.CREATE], True),
        ([Op.UPDATE], [Op.SAME], True),
        ([Op.SAME], [Op.UPDATE], False),
        ([Op.CREATE_REPLACEMENT, Op.REPLACE, Op.DELETE_REPLACED], [Op.UPDATE], True),
        (
            [Op.CREATE_REPLACEMENT, Op.REPLACE, Op.DELETE_REPLACED],
            [Op.CREATE_REPLACEMENT, Op.REPLACE, Op.DELETE_REPLACED],
            True,
        ),
        ([Op.DELETE_REPLACED, Op.CREATE_REPLACEMENT, Op.REPLACE], [Op.SAME], True),
        ([Op.UPDATE], [Op.CREATE_REPLACEMENT], False),
        ([Op.SAME], [Op.SAME, Op.DELETE], False),
        ([Op.DELETE], [Op.DELETE], True),
        ([Op.UPDATE], [Op.REFRESH, Op.UPDATE], True),
    ],
)
def test_less_than_planned_may_be_done_and_nothing_else(steps: list[Op], taken: list[Op], fits: bool) -> None:
    constraint = Constraint(Plan({"a": ResourcePlan(goal(), list(steps))}))
    violations = [constraint.step_violation("a", op) for op in taken]
    assert (not any(violations)) is fits


@pytest.mark.parametrize(
    ("planned_value", "value", "why"),
    [
        (UNKNOWN, 5, ""),
        ({"x": [1, UNKNOWN]}, {"x": [1, {"y": 2}]}, ""),
        (1, True, "v is true, planned was 1"),
        (Secret("a"), Secret("b"), "v is [secret], planned was [secret]"),
        (Secret("a"), Secret("a"), ""),
        ([1], [1, 2], "v is [1, 2], planned was [1]"),
    ],
)
def test_values_are_as_planned_where_they_were_known(planned_value: object, value: object, why: str) -> None:
    plan = Plan({"a": ResourcePlan(goal(outputs=PropertyDiff({"v": planned_value})), [])})
    assert Constraint(plan).outputs_violation("a", {}, {"v": value}) == why


def test_a_file_has_no_secret_in_clear_and_is_the_cli_s(tmp_path: Path) -> None:
    inputs = PropertyDiff({"p": Secret("hush"), "n": 1.0}, ("gone",), {"u": UNKNOWN})
    plan = Plan(
        {
            "urn:a": ResourcePlan(goal(inputs=inputs, parent="urn:p", delete_before_replace=False), [Op.UPDATE]),
            "urn:b": ResourcePlan(None, [Op.DELETE]),
        }
    )
    file, crypter = tmp_path / "plan.json", Crypter.new("pass")
    planfile.write(file, plan, crypter)
    assert "hush" not in file.read_text()
    said = json.loads(file.read_text())["resourcePlans"]
    assert said["urn:a"]["goal"]["inputDiff"]["deletes"] == ["gone"]
    assert said["urn:b"] == {"steps": ["delete"], "state": None}
    assert planfile.read(file, Crypter(crypter.salt, "pass")).resources == plan.resources
    with pytest.raises(StackError, match="no encryption salt"):
        planfile.read(file, None)
    with pytest.raises(StackError, match="no encryption salt"):
        planfile.write(file, plan, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"resourcePlans": {"a": {"steps": ["dance"]}}}'])
def test_what_is_no_plan_is_told_with_what_makes_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)
    with pytest.raises(StackError, match="--save-plan"):
        planfile.read(file, None)


def test_what_a_plan_left_out_may_stay_as_it_is() -> None:
    from heliostat.engine.planning.goals import Goal

    declared = Goal("lab:index:Lab", "a", True)
    old = Resource("a", declared.type, True, inputs={"v": 1})
    constraint = Constraint(Plan())
    assert constraint.goal_violation("a", declared, old, old) == ""
    assert constraint.goal_violation("b", declared, None, old) == "the plan does not have it"
    changed = Resource("a", declared.type, True, inputs={"v": 2})
    assert constraint.goal_violation("a", declared, old, changed) == "v is 2, planned was 1"


# What `apitype.DeploymentPlanV1` of the CLI's SDK v3.276.0 has, which reads a file of ours and refuses other keys.
_PLAN = {"manifest", "config", "resourcePlans"}
_RESOURCE = {"goal", "steps", "state", "seed"}
_DIFF = {"adds", "deletes", "updates"}
_GOAL = {
    *("type", "name", "custom", "inputDiff", "outputDiff", "parent", "protect", "dependencies", "provider"),
    *("propertyDependencies", "deleteBeforeReplace", "ignoreChanges", "additionalSecretOutputs", "aliases"),
    *("structuredAliases", "id", "customTimeouts"),
}
_ALWAYS = {"type", "name", "custom", "protect"}
"""What it writes of each goal, whatever is in them."""


async def test_a_file_has_what_the_cli_s_types_have_and_nothing_else(lab: Lab) -> None:
    await lab.up(TWO.format(v=1))
    await planned(lab, "a = Lab('a', Options(protect=True, ignore_changes=['x']), v=2)\npulumi.export('w', a.made)\n")
    said = json.loads((lab.folder / "plan.json").read_text())
    assert said.keys() <= _PLAN and said["manifest"].keys() <= {"time", "magic", "version", "plugins"}
    for each in said["resourcePlans"].values():
        assert {"steps", "state"} <= each.keys() <= _RESOURCE
        goal = each.get("goal") or dict.fromkeys(_ALWAYS)
        assert _ALWAYS <= goal.keys() <= _GOAL
        assert all((goal.get(name) or {}).keys() <= _DIFF for name in ("inputDiff", "outputDiff"))
    assert ["delete"] in [each["steps"] for each in said["resourcePlans"].values()]


def test_a_file_of_the_cli_s_with_all_that_it_may_have_is_read(tmp_path: Path) -> None:
    urn = "urn:pulumi:dev::demo::lab:index:Lab::a"
    goal = {
        "type": "lab:index:Lab", "name": "a", "custom": True, "protect": False,
        "inputDiff": {"adds": {"v": 2}}, "outputDiff": {}, "propertyDependencies": {"v": [urn]},
        "aliases": [urn], "structuredAliases": [{"urn": urn}],
        "customTimeouts": {"create": 60}, "dependencies": [urn],
    }  # fmt: skip
    plans = {
        urn: {"goal": goal, "steps": ["create"], "state": {"made": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}, "seed": "AAAA"}
    }
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "0" * 64, "version": "v3.276.0"}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"manifest": manifest, "config": {"demo:x": "1"}, "resourcePlans": plans}))
    found = planfile.read(file, None)
    planned_goal = found.resources[urn].goal
    assert planned_goal is not None and planned_goal.inputs.adds == {"v": 2} and planned_goal.dependencies == (urn,)
    assert (found.resources[urn].steps, found.config) == ([Op.CREATE], {"demo:x": "1"})
