"""Transforms and hooks: functions of the program that the engine calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_harness import Lab

from heliostat.engine.state.checkpoint import encode_resource
from heliostat.engine.state.snapshot import Secret
from heliostat.engine.state.stored import in_clear

NOTES = """
import json, pathlib
notes = pathlib.Path("notes.jsonl")
notes.write_text("")

def note(*said):
    with notes.open("a") as file:
        file.write(json.dumps(said) + "\\n")
"""
HOOKS = """
from pulumi import ErrorHook, ResourceHook, ResourceHookBinding, ResourceHookOptions

def tell(args):
    note(args.name, args.id, args.new_inputs, args.old_inputs, args.new_outputs, args.old_outputs)

def raises(args):
    raise ValueError("not this one")

told = ResourceHook("told", tell)
"""


def notes(lab: Lab) -> list[Any]:
    return [json.loads(line) for line in (lab.folder / "notes.jsonl").read_text().splitlines()]


# --- transforms


async def test_a_resources_own_transform_goes_before_its_parents_and_the_stacks(lab: Lab) -> None:
    program = """
        def adds(word):
            def add(args):
                if args.type_ == "lab:index:Lab":
                    return pulumi.ResourceTransformResult({**args.props, "v": args.props["v"] + [word]}, args.opts)
            return add

        pulumi.runtime.register_resource_transform(adds("stack"))
        box = Box("box", Options(transforms=[adds("parent")]))
        inner = Box("inner", Options(parent=box))
        Lab("a", Options(parent=inner, transforms=[adds("first"), adds("second")]), v=[])
        Lab("b", v=[])
    """
    assert (await lab.up(program)).succeeded, lab.said("error")
    assert lab.resources()["a"].inputs == {"v": ["first", "second", "parent", "stack"]}
    assert lab.resources()["b"].inputs == {"v": ["stack"]}
    await lab.up(program)
    assert lab.calls("create", "update") == []


async def test_a_transform_changes_options_and_finds_those_that_a_resource_takes_from_its_parent(lab: Lab) -> None:
    program = (
        NOTES
        + """
def change(args):
    if args.name == "a":
        note(args.custom, args.opts.protect, args.opts.ignore_changes, args.opts.delete_before_replace, args.opts.import_)
        opts = Options.merge(args.opts, Options(ignore_changes=["w"], additional_secret_outputs=["made"]))
        opts.protect = False
        return pulumi.ResourceTransformResult(args.props, opts)

pulumi.runtime.register_resource_transform(change)
box = Box("box", Options(protect=True))
Lab("a", Options(parent=box, ignore_changes=["v"], delete_before_replace=False), v=1)
Lab("b", Options(parent=box), v=1)
"""
    )
    assert (await lab.up(program)).succeeded, lab.said("error")
    assert notes(lab) == [[True, True, ["v"], False, None]]
    a, b = lab.resources()["a"], lab.resources()["b"]
    assert (a.protect, a.ignore_changes, a.outputs["made"]) == (False, ["v", "w"], Secret("a"))
    assert (b.protect, b.ignore_changes) == (True, [])


async def test_what_a_property_depends_on_goes_through_a_transform_and_one_may_add_to_it(lab: Lab) -> None:
    program = """
        def same(args):
            return None

        def more(args):
            return pulumi.ResourceTransformResult(args.props, Options.merge(args.opts, Options(depends_on=[c])))

        a = Lab("a", v=1)
        c = Lab("c", v=1)
        Lab("b", Options(transforms=[same]), v=a.made, secret=pulumi.Output.secret(a.made), w=2)
        Lab("d", Options(transforms=[more]), v=a.made)
    """
    assert (await lab.up(program)).succeeded, lab.said("error")
    b, d = lab.resources()["b"], lab.resources()["d"]
    assert b.inputs == {"v": "a", "secret": Secret("a"), "w": 2}
    assert b.dependencies == [lab.urn("a")]
    assert b.property_dependencies == {"v": [lab.urn("a")], "secret": [lab.urn("a")], "w": []}
    assert sorted(d.dependencies) == [lab.urn("a"), lab.urn("c")]


async def test_a_transform_gets_what_is_secret_or_unknown_as_outputs_and_hashes_what_it_adds(lab: Lab) -> None:
    program = (
        NOTES
        + """
def look(args):
    if args.name == "b":
        kinds = {key: isinstance(value, pulumi.Output) for key, value in args.props.items()}
        note(kinds)
        return pulumi.ResourceTransformResult({**args.props, "asset": pulumi.StringAsset("same")}, args.opts)

pulumi.runtime.register_resource_transform(look)
a = Lab("a", v=1)
Lab("b", v=a.made, secret=pulumi.Output.secret("s"), deep=[pulumi.Output.secret("t")], plain=1)
"""
    )
    assert (await lab.preview(program)).succeeded, lab.said("error")
    assert notes(lab) == [[{"v": True, "secret": True, "deep": False, "plain": False}]]
    assert (await lab.up(program)).succeeded, lab.said("error")
    inputs = lab.resources()["b"].inputs
    assert inputs["asset"]["hash"] == "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"
    assert (inputs["v"], inputs["secret"], inputs["deep"]) == ("a", Secret("s"), [Secret("t")])


async def test_a_transform_that_raises_fails_the_program_with_its_own_words(lab: Lab) -> None:
    summary = await lab.up("def fail(args): raise ValueError('no such rule')\nLab('a', Options(transforms=[fail]), v=1)")
    assert not summary.succeeded
    assert "invoke transform" in lab.said("error")
    assert "no such rule" in lab.said("error")
    assert lab.names() == []


async def test_a_transform_of_calls_changes_their_arguments(lab: Lab) -> None:
    program = """
        def other(args):
            if args.token == "pulumi:pulumi:getResource":
                return pulumi.InvokeTransformResult({{**args.args, "urn": "{0}"}}, args.opts)

        pulumi.runtime.register_invoke_transform(other)
        a = Lab("a", v=5)
        found = a.urn.apply(lambda urn: pulumi.runtime.invoke("pulumi:pulumi:getResource", {{"urn": "nowhere"}}).value)
        pulumi.export("found", found.apply(lambda it: it["state"]["v"]))
    """
    assert (await lab.up(program.format(lab.urn("a")))).succeeded, lab.said("error")
    assert lab.resources()["lab-dev"].outputs == {"found": 5}


# --- hooks


async def test_hooks_are_called_before_and_after_what_they_are_bound_to(lab: Lab) -> None:
    bound = ["before_create", "after_create", "before_update", "after_update", "before_delete", "after_delete"]
    program = (
        NOTES
        + HOOKS
        + f"""
binding = ResourceHookBinding({", ".join(f"{name}=[told]" for name in bound)})
"""
    )
    made, one, two = {"made": "a"}, {"v": 1}, {"v": 2}
    assert (await lab.up(program + "Lab('a', Options(hooks=binding), v=1)")).succeeded, lab.said("error")
    assert notes(lab) == [["a", "", one, None, None, None], ["a", "a-id", one, None, one | made, None]]
    assert encode_resource(lab.resources()["a"], in_clear)["resourceHooks"] == {
        "".join(part.title() for part in name.split("_")): ["told"] for name in bound
    }
    await lab.up(program + "Lab('a', Options(hooks=binding), v=2)")
    assert notes(lab) == [["a", "a-id", two, one, None, one | made], ["a", "a-id", two, one, two | made, one | made]]
    assert (await lab.up(program + "Lab('a', Options(hooks=binding), v=2)")).succeeded
    assert notes(lab) == []
    assert (await lab.up(program)).succeeded, lab.said("error")
    assert notes(lab) == [["a", "a-id", None, two, None, two | made]] * 2
    assert lab.names() == []


async def test_a_preview_calls_only_the_hooks_that_are_for_it(lab: Lab) -> None:
    program = (
        NOTES
        + HOOKS
        + """
early = ResourceHook("early", lambda args: note("early", args.name), ResourceHookOptions(on_dry_run=True))
Lab('a', Options(hooks=ResourceHookBinding(before_create=[told, early])), v=1)
"""
    )
    assert (await lab.preview(program)).succeeded
    assert notes(lab) == [["early", "a"]]


async def test_a_hook_that_fails_before_a_step_prevents_it_and_after_one_leaves_what_is_done(lab: Lab) -> None:
    program = NOTES + HOOKS + "failing = ResourceHook('failing', raises)\n"
    summary = await lab.up(program + "Lab('a', Options(hooks=ResourceHookBinding(before_create=[failing])), v=1)")
    assert not summary.succeeded
    assert 'before hook "failing" failed: not this one' in lab.said("error")
    assert (lab.calls("create"), lab.names(), lab.pending()) == ([], [], [])
    after = "a = Lab('a', Options(hooks=ResourceHookBinding(after_create=[failing])), v=1)\nLab('b', v=a.made)"
    summary = await lab.up(program + after)
    assert not summary.succeeded
    assert 'after hook "failing" failed: not this one' in lab.said("error")
    assert (lab.names(), lab.pending()) == (["a"], [])


async def test_a_hook_whose_errors_are_ignored_warns(lab: Lab) -> None:
    program = (
        NOTES
        + HOOKS
        + """
lenient = ResourceHook("lenient", raises, ResourceHookOptions(ignore_errors=True))
Lab('a', Options(hooks=ResourceHookBinding(before_create=[lenient], after_create=[lenient])), v=1)
"""
    )
    assert (await lab.up(program)).succeeded, lab.said("error")
    assert 'BeforeCreate hook "lenient" failed: not this one' in lab.said("warning")
    assert 'AfterCreate hook "lenient" failed: not this one' in lab.said("warning")


async def test_a_components_hook_for_its_end_waits_for_its_outputs(lab: Lab) -> None:
    program = (
        NOTES
        + HOOKS
        + """
class Whole(pulumi.ComponentResource):
    def __init__(self, name, opts):
        super().__init__("lab:index:Box", name, {}, opts)
        inside = Lab("inside", Options(parent=self), v=1)
        self.register_outputs({"made": inside.made})

Whole("box", Options(hooks=ResourceHookBinding(before_create=[told], after_create=[told])))
"""
    )
    assert (await lab.up(program)).succeeded, lab.said("error")
    assert notes(lab) == [["box", "", None, None, None, None], ["box", "", None, None, {"made": "inside"}, None]]
    await lab.up(program)
    assert notes(lab) == []


@pytest.mark.parametrize(("tries", "succeeds"), [(3, True), (1, False)])
async def test_a_step_that_fails_is_tried_again_as_long_as_its_error_hook_wants(lab: Lab, tries: int, succeeds: bool) -> None:
    program = (
        NOTES
        + HOOKS
        + f"""
def again(args):
    note(args.failed_operation, args.errors)
    if len(args.errors) == 2:
        pathlib.Path("{lab.gate}").touch()
    return len(args.errors) < {tries}

Lab('a', Options(hooks=ResourceHookBinding(on_error=[ErrorHook("again", again)])), fail_until_open=True)
"""
    )
    summary = await lab.up(program, continue_on_error=False)
    told = [["create", ["create of a was told to fail"] * number] for number in range(1, max(tries, 2))]
    assert notes(lab) == told
    assert summary.succeeded is succeeds
    assert lab.calls("create") == ["create a"] * tries
    assert ("retrying create due to on-error hook request (1/100)" in lab.said("warning")) is succeeds


async def test_a_destroy_without_the_program_names_the_hook_that_is_not_there(lab: Lab) -> None:
    program = NOTES + HOOKS + "Lab('a', Options(hooks=ResourceHookBinding(before_delete=[told])), v=1)"
    await lab.up(program)
    assert not (await lab.destroy()).succeeded
    assert 'hook "told" was not registered' in lab.said("error")
    assert lab.names() == ["a"]


async def test_two_hooks_of_one_name_are_a_mistake(lab: Lab) -> None:
    program = NOTES + HOOKS + "Lab('a', Options(hooks=ResourceHookBinding(before_create=[ResourceHook('told', tell)])), v=1)"
    assert not (await lab.up(program)).succeeded
    assert 'already registered for name "told"' in lab.said("error")
