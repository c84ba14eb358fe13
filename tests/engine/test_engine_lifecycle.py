from __future__ import annotations

import pytest
from engine_harness import Lab, Stacks

from heliostat.engine.events import Op, Outputs
from heliostat.engine.state.snapshot import OperationType, Secret
from heliostat.engine.state.unreadable import stand_in
from heliostat.engine.state.urns import name_of


async def test_independent_resources_are_made_side_by_side(lab: Lab) -> None:
    summary = await lab.up("for name in 'abc': Lab(name, wait_for=3)", parallel=3)
    assert summary.succeeded
    assert sorted(lab.names()) == ["a", "b", "c"]


async def test_one_at_a_time_means_one_at_a_time(lab: Lab) -> None:
    await lab.up("for name in 'abc': Lab(name, v=1)", parallel=1)
    began = [s.pending_operations for s in lab.checkpoint.history]
    assert max(len(operations) for operations in began) == 1


async def test_every_act_stands_in_the_checkpoint_before_it_begins(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)")
    kinds = [p.type for s in lab.checkpoint.history for p in s.pending_operations if p.resource.type == "lab:index:Lab"]
    assert kinds == [OperationType.CREATING]
    assert lab.pending() == []


async def test_nothing_to_do_calls_nothing_and_saves_once(lab: Lab) -> None:
    program = "a = Lab('a', v=1)\npulumi.export('made', a.made)"
    await lab.up(program)
    saves = lab.checkpoint.saves
    summary = await lab.up(program)
    assert summary.succeeded
    assert summary.changes == {Op.SAME: 2}
    assert lab.calls() == ["cancel"]
    assert lab.checkpoint.saves <= saves + 1


async def test_nothing_to_do_saves_no_resource_of_its_own_after_a_look_at_the_world(lab: Lab) -> None:
    program = "made = [Lab(name, v=1).made for name in 'abcdef']\nLab('g', v=1, made_of=pulumi.Output.all(*made))"
    for seed in ("1", "2", "3"):  # the SDK collects dependencies in sets, whose order the seed decides
        lab.environment = {"PYTHONHASHSEED": seed}
        saves = lab.checkpoint.saves
        assert (await lab.up(program, refresh=True)).succeeded, lab.said("error")
    assert lab.checkpoint.saves <= saves + 2


async def test_a_preview_saves_nothing(lab: Lab) -> None:
    summary = await lab.preview("a = Lab('a', v=1)\nLab('b', v=a.made)")
    assert summary.succeeded
    assert summary.changes == {Op.CREATE: 3}
    assert lab.checkpoint.saves == 0


async def test_a_thousand_resources_are_previewed(lab: Lab) -> None:
    summary = await lab.preview("for i in range(1000): Lab(f'r{i}', v=i)")
    assert summary.changes == {Op.CREATE: 1001}


async def test_deleting_first_takes_along_what_would_be_replaced_and_makes_it_again(lab: Lab) -> None:
    program = """
        a = Lab('a', replace_size={n}, first=True)
        Lab('needs', replace_on=a.replace_size)
        Lab('follows', v=a.replace_size)
        Lab('after', Options(depends_on=[a]), v=1)
    """
    program = program.replace("Lab('needs'", "a.replace_size = a.made\n        Lab('needs'")
    await lab.up(program.format(n=1))
    summary = await lab.up(program.format(n=2))
    assert summary.succeeded
    calls = lab.calls("create", "delete", "update")
    assert calls == ["delete needs", "delete a", "create a", "create needs"]
    assert sorted(lab.names()) == ["a", "after", "follows", "needs"]
    assert not any(r.pending_replacement for r in lab.checkpoint.snapshot.resources)


async def test_a_dependent_deleted_first_and_no_longer_declared_is_gone(lab: Lab) -> None:
    await lab.up("a = Lab('a', replace_size=1, first=True)\nLab('b', replace_on=a.made)")
    summary = await lab.up("a = Lab('a', replace_size=2, first=True)")
    assert summary.succeeded
    assert lab.calls("create", "delete") == ["delete b", "delete a", "create a"]
    assert lab.names() == ["a"]


async def test_replacing_twice_in_a_row_of_dependents_deletes_the_old_ones_backwards(lab: Lab) -> None:
    program = "a = Lab('a', replace_size={n})\nb = Lab('b', replace_on=a.made, replace_size={n})"
    await lab.up(program.format(n=1))
    await lab.up(program.format(n=2))
    assert lab.calls("create", "delete") == ["create a", "create b", "delete b", "delete a"]
    assert lab.names() == ["a", "b"]


async def test_children_keep_their_state_when_their_parent_is_renamed_with_an_alias(lab: Lab) -> None:
    await lab.up("box = Box('old')\nLab('old-a', Options(parent=box), v=1)")
    summary = await lab.up("""
        box = Box('new', Options(aliases=[pulumi.Alias(name='old')]))
        Lab('new-a', Options(parent=box), v=1)
    """)
    assert summary.succeeded
    assert lab.calls("create", "delete", "update") == []
    assert lab.resources()["new-a"].id == "old-a-id"
    assert lab.resources()["new-a"].parent == lab.resources()["new"].urn


async def test_a_component_keeps_its_outputs(lab: Lab) -> None:
    await lab.up("box = Box('box')\nbox.register_outputs({'size': 3})")
    assert lab.resources()["box"].outputs == {"size": 3}
    await lab.up("box = Box('box')\nbox.register_outputs({'size': 4})")
    assert lab.resources()["box"].outputs == {"size": 4}


async def test_targets_leave_the_rest_alone_and_dependents_come_along_when_asked(lab: Lab) -> None:
    program = "a = Lab('a', v={n})\nb = Lab('b', v={n}, w=a.made)\nc = Lab('c', v={n})"
    await lab.up(program.format(n=1))
    await lab.up(program.format(n=2), targets=(lab.urn("a"),))
    assert lab.calls("update") == ["update a"]
    await lab.up(program.format(n=3), targets=(lab.urn("a"),), target_dependents=True)
    assert lab.calls("update") == ["update a", "update b"]
    assert lab.resources()["c"].inputs == {"v": 1}


async def test_a_target_that_needs_something_new_beside_it_fails(lab: Lab) -> None:
    summary = await lab.up("a = Lab('a', v=1)\nLab('b', v=a.made)", targets=(lab.urn("b"),))
    assert not summary.succeeded
    assert "--target list" in lab.said("error")
    assert lab.names() == []


async def test_a_target_that_is_nowhere_fails(lab: Lab) -> None:
    summary = await lab.up("Lab('a', v=1)", targets=(lab.urn("nobody"),))
    assert not summary.succeeded
    assert "nobody" in lab.said("error")


async def test_destroying_a_target_with_dependents_needs_their_mention(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nLab('b', v=a.made)")
    summary = await lab.destroy(targets=(lab.urn("a"),))
    assert not summary.succeeded
    assert lab.calls("delete") == []
    summary = await lab.destroy(targets=(lab.urn("a"),), target_dependents=True)
    assert summary.succeeded
    assert lab.calls("delete") == ["delete b", "delete a"]


async def test_a_protected_resource_is_not_replaced(lab: Lab) -> None:
    program = "Lab('a', Options(protect=True), replace_size={n})"
    await lab.up(program.format(n=1))
    summary = await lab.up(program.format(n=2))
    assert not summary.succeeded
    assert "marked for protection" in lab.said("error")
    assert lab.calls("create", "delete") == []


async def test_what_is_asked_to_be_replaced_is_replaced(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)\nLab('b', v=1)")
    summary = await lab.up("Lab('a', v=1)\nLab('b', v=1)", replace=(lab.urn("a"),))
    assert lab.calls("create", "delete") == ["create a", "delete a"]
    assert summary.changes == {Op.REPLACE: 1, Op.SAME: 2}


async def test_a_provider_whose_configuration_forces_it_takes_its_resources_along(lab: Lab) -> None:
    program = "p = pulumi.ProviderResource('lab', 'mine', {{'replace_region': '{n}'}})\nLab('a', Options(provider=p), v=1)"
    await lab.up(program.format(n="north"))
    summary = await lab.up(program.format(n="south"))
    assert summary.succeeded, lab.said("error")
    assert lab.calls("create", "delete") == ["create a", "delete a"]
    providers = [r for r in lab.checkpoint.snapshot.resources if r.type == "pulumi:providers:lab"]
    assert [p.outputs for p in providers] == [{"replace_region": "south"}]


async def test_the_default_provider_is_configured_from_the_stack(lab: Lab) -> None:
    lab.config, lab.secret = {"lab:region": "north", "lab:key": "hush"}, ("lab:key",)
    await lab.up("Lab('a', v=1)")
    assert [c["region"] for c in lab.logged() if c["call"] == "create"] == ["north"]
    assert lab.resources()["default"].inputs == {"region": "north", "key": Secret("hush")}


async def test_importing_takes_a_resource_under_management_without_making_it(lab: Lab) -> None:
    program = "Lab('a', Options({more}), v=1)"
    summary = await lab.up(program.format(more="import_='found'"))
    assert summary.succeeded, lab.said("error")
    assert lab.calls("create", "read", "update") == ["read a"]
    assert lab.resources()["a"].id == "found"
    summary = await lab.up(program.format(more=""))
    assert lab.calls("create", "read", "update") == []


async def test_an_import_that_differs_is_updated(lab: Lab) -> None:
    await lab.up("Lab('a', Options(import_='found'), v=2)")
    assert lab.calls("read", "update") == ["read a", "update a"]
    assert lab.resources()["a"].inputs == {"v": 2}


async def test_a_stack_reference_reads_another_stack_and_keeps_its_secrets(lab: Lab) -> None:
    lab.stacks = Stacks({"organization/platform/prod": {"url": "http://x", "token": Secret("hush")}})
    summary = await lab.up("""
        other = pulumi.StackReference('organization/platform/prod')
        Lab('a', url=other.require_output('url'), token=other.require_output('token'))
        pulumi.export('token', other.require_output('token'))
    """)
    assert summary.succeeded, lab.said("error")
    assert lab.resources()["a"].inputs == {"url": "http://x", "token": Secret("hush")}
    outputs = next(e for e in lab.events if isinstance(e, Outputs))
    assert outputs.new == {"token": Secret("hush")}


async def test_of_a_stack_whose_secrets_are_unreadable_the_rest_is_used_and_a_secret_fails_with_its_name(lab: Lab) -> None:
    name = "organization/platform/prod"
    lab.stacks = Stacks({name: {"url": "http://x", "token": Secret(stand_in(name, "token")), "deep": [Secret("hush")]}})
    program = (
        f"other = pulumi.StackReference('{name}')\nLab('a', url=other.require_output('url'), deep=other.get_output('deep'))\n"
    )
    assert (await lab.up(program)).succeeded, lab.said("error")
    assert lab.resources()["a"].inputs == {"url": "http://x", "deep": Secret(["hush"])}
    expected = f"the output 'token' of stack '{name}' is secret and cannot be decrypted"
    uses = [
        "Lab('b', t=other.get_output('token'))",
        "pulumi.export('t', pulumi.Output.concat('x-', other.get_output('token')))",
    ]
    for use in uses:
        for operate in (lab.preview, lab.up):
            assert not (await operate(program + use)).succeeded
            assert expected in lab.said("error")
    assert lab.names() == ["a"]


async def test_a_stash_keeps_what_it_was_made_with(lab: Lab) -> None:
    program = "s = pulumi.Stash('s', input={0})\npulumi.export('kept', s.output)\npulumi.export('now', s.input)"
    assert (await lab.up(program.format("[1, pulumi.Output.secret(2)]"))).succeeded, lab.said("error")
    summary = await lab.up(program.format("3"))
    assert summary.changes == {Op.SAME: 1, Op.UPDATE: 1}
    assert lab.resources()["lab-dev"].outputs == {"kept": Secret([1, 2]), "now": 3}


async def test_a_stack_reference_to_nowhere_says_so(lab: Lab) -> None:
    summary = await lab.up("pulumi.StackReference('organization/platform/nowhere')")
    assert not summary.succeeded
    assert "there is no stack organization/platform/nowhere" in lab.said("error")


async def test_secrets_deep_in_outputs_and_inputs_stay_secret(lab: Lab) -> None:
    await lab.up("a = Lab('a', secret_out=True, nested={'list': [pulumi.Output.secret('hush')]})\nLab('b', got=a.tokens)")
    a, b = lab.resources()["a"], lab.resources()["b"]
    assert a.outputs["tokens"] == [{"token": Secret("sesame")}]
    assert a.inputs["nested"] == a.outputs["nested"] == {"list": [Secret("hush")]}
    assert b.inputs["got"] == Secret([{"token": "sesame"}])


async def test_named_outputs_become_secret(lab: Lab) -> None:
    await lab.up("Lab('a', Options(additional_secret_outputs=['made']), v=1)")
    assert lab.resources()["a"].outputs["made"] == Secret("a")


async def test_a_large_value_goes_through(lab: Lab) -> None:
    summary = await lab.up("a = Lab('a', text='x' * 6_000_000)\nLab('b', size=a.text.apply(len) if hasattr(a, 'text') else 1)")
    assert summary.succeeded, lab.said("error")
    assert len(lab.resources()["a"].outputs["text"]) == 6_000_000


async def test_refresh_reads_side_by_side_and_repairs_the_state(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nbox = Box('box')\nLab('b', Options(parent=box), v=a.made)\nLab('c', v=1)")
    lab.environment = {"LAB_GONE": "a-id"}
    summary = await lab.refresh()
    assert summary.succeeded
    assert summary.changes == {Op.DELETE: 1, Op.SAME: 4}, "the stack and the component, too"
    assert sorted(lab.names()) == ["b", "c"]
    assert lab.resources()["b"].dependencies == []


async def test_up_with_refresh_uses_what_it_finds_in_the_same_run(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)")
    lab.environment = {"LAB_GONE": "a-id"}
    summary = await lab.up("Lab('a', v=1)", refresh=True)
    assert summary.succeeded
    assert lab.calls("read", "create") == ["read a", "create a"]


async def test_planning_to_destroy_changes_nothing(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)")
    saves = lab.checkpoint.saves
    summary = await lab.destroy(preview_only=True)
    assert summary.changes[Op.DELETE] == 2
    assert lab.calls("delete") == []
    assert lab.checkpoint.saves == saves


@pytest.mark.parametrize("option", ["retain_on_delete=True", "deleted_with=a"])
async def test_what_is_retained_or_goes_with_another_is_not_deleted_itself(lab: Lab, option: str) -> None:
    await lab.up(f"a = Lab('a', v=1)\nLab('b', Options({option}), v=1)")
    await lab.destroy()
    assert lab.calls("delete") == ["delete a"]
    assert lab.checkpoint.snapshot.resources == []


async def test_what_a_failed_resource_still_needs_is_not_deleted(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nLab('b', v=a.made)\nLab('c', v=1)")
    summary = await lab.up("Lab('b', v=2, fail='update')", continue_on_error=True)
    assert not summary.succeeded
    assert lab.calls("delete") == ["delete c"]
    assert lab.names() == ["b", "a"] or lab.names() == ["a", "b"]


async def test_one_plugin_serves_the_refresh_and_the_update(lab: Lab) -> None:
    await lab.up("Lab('a', v=1)")
    await lab.up("Lab('a', v=2)", refresh=True)
    assert lab.calls() == ["read a", "update a", "cancel"]


async def test_a_failed_refresh_ends_the_update_before_it_begins(lab: Lab) -> None:
    await lab.up("Lab('a', fail='read', v=1)")
    summary = await lab.up("Lab('a', v=2)", refresh=True)
    assert not summary.succeeded
    assert lab.calls("update") == []


async def test_what_is_not_to_be_deleted_stays_with_all_that_it_may_need(lab):
    asked = []

    async def agree(condemned):
        asked.append([name_of(one.urn) for one in condemned])
        return "not without a word"

    await lab.up('Lab("a"); Lab("b")')
    assert not (await lab.up('Lab("a"); Lab("c")', agree=agree)).succeeded
    assert asked == [["b"]]
    assert lab.said("error") == "not without a word"
    assert sorted(lab.names()) == ["a", "b", "c"]
    assert (await lab.preview('Lab("a"); Lab("c")', agree=agree)).succeeded
    assert (await lab.up('Lab("a"); Lab("b"); Lab("c")', agree=agree)).succeeded, "nothing is to go"
    assert asked == [["b"]]


async def test_a_refresh_counts_components_too_and_a_reference_to_a_stack_is_no_read(lab):
    lab.stacks.others["other"] = {"a": 1}
    program = """
        Box("box")
        Lab("a", v=1)
        pulumi.StackReference("other")
    """
    first = await lab.up(program)
    assert first.changes == {Op.CREATE: 3}, "the stack, the component and the resource"
    assert (await lab.up(program)).changes == {Op.SAME: 3}
    refreshed = await lab.refresh()
    assert refreshed.changes == {Op.SAME: 4}


async def test_what_a_program_leaves_for_its_end_is_done_and_told(lab: Lab) -> None:
    program = """
        import atexit, sys, threading

        def late():
            threading.main_thread().join()
            print('a thread that was waited for')

        threading.Thread(target=late).start()
        atexit.register(lambda: sys.stdout.write('a line without its end'))
        atexit.register(lambda: print('registered for the end'))
    """
    assert (await lab.up(program)).succeeded
    assert lab.said("info").split("\n")[-3:] == [
        "a thread that was waited for",
        "registered for the end",
        "a line without its end",
    ]
