"""What a provider leaves to itself is no failure: all that does not need it is done, and the next update does the rest."""

from __future__ import annotations

from engine_harness import Lab

from heliostat.engine.events import Op, StepFailed, StepLeft
from heliostat.engine.planning.plans import Plan
from heliostat.engine.state.urns import name_of

TRAINED = """
data = Lab('data', v={v})
model = Lab('model', leave={call!r}, v={v})
Lab('served', v=model.made)
Lab('other', v={v})
pulumi.export('served', model.made)
pulumi.export('other', {v})
"""


def trained(v: int = 1, call: str = "create") -> str:
    return TRAINED.format(v=v, call=call)


async def test_what_does_not_need_it_is_done_and_nothing_has_failed(lab: Lab) -> None:
    summary = await lab.up(trained())
    assert not summary.succeeded
    assert summary.goes_on
    assert [(name_of(one.urn), one.message, one.details) for one in summary.going] == [
        ("model", "model goes on", {"job": "job-of-model"})
    ]
    assert sorted(lab.names()) == ["data", "other"]
    assert lab.pending() == []
    assert lab.said("error") == lab.said("warning") == ""
    assert not [event for event in lab.events if isinstance(event, StepFailed)]
    assert [name_of(event.urn) for event in lab.events if isinstance(event, StepLeft)] == ["model"]
    assert lab.resources()["lab-dev"].outputs["other"] == 1


async def test_the_next_update_takes_its_end_and_does_the_rest(lab: Lab) -> None:
    await lab.up(trained())
    assert (await lab.up(trained())).goes_on
    lab.gate.touch()
    summary = await lab.up(trained())
    assert summary.succeeded
    assert lab.calls("create") == ["create model", "create served"]
    assert lab.resources()["lab-dev"].outputs == {"served": "model", "other": 1}


async def test_where_nothing_is_left_nothing_goes_on(lab: Lab) -> None:
    summary = await lab.up("Lab('a', v=1)")
    assert summary.succeeded
    assert summary.going == ()
    assert not summary.goes_on


async def test_one_that_changes_stays_in_the_state_as_it_was_with_what_needs_it(lab: Lab) -> None:
    lab.gate.touch()
    await lab.up(trained(call="update"))
    before = lab.resources()
    lab.gate.unlink()
    assert (await lab.up(trained(v=2, call="update"))).goes_on
    after = lab.resources()
    assert {name: after[name] for name in ("model", "served")} == {name: before[name] for name in ("model", "served")}
    assert after["other"].inputs["v"] == 2
    assert after["lab-dev"].outputs == {"served": "model", "other": 2}
    assert (await lab.refresh()).succeeded, "a look at the world does nothing"


async def test_nothing_is_deleted_while_what_takes_its_place_goes_on(lab: Lab) -> None:
    await lab.up("Lab('before', v=1)")
    assert (await lab.up("model = Lab('model', leave='create')\nLab('after', v=model.made)")).goes_on
    assert lab.calls("delete") == []
    assert lab.names() == ["before"]
    lab.gate.touch()
    assert (await lab.up("model = Lab('model', leave='create')\nLab('after', v=model.made)")).succeeded
    assert lab.calls("delete") == ["delete before"]


async def test_what_is_replaced_goes_once_what_goes_on_has_ended(lab: Lab) -> None:
    await lab.up("Lab('a', replace_x=1)")
    program = "Lab('a', replace_x=2)\nLab('model', leave='create')"
    assert (await lab.up(program)).goes_on
    assert lab.names() == ["a", "a~"] or lab.names() == ["a~", "a"]
    lab.gate.touch()
    assert (await lab.up(program)).succeeded
    assert sorted(lab.names()) == ["a", "model"]


async def test_a_failure_beside_it_is_a_failure(lab: Lab) -> None:
    program = "Lab('model', leave='create')\nLab('bad', fail='create', after='model')"
    summary = await lab.up(program, continue_on_error=True)
    assert summary.failed
    assert not summary.goes_on
    assert [name_of(one.urn) for one in summary.going] == ["model"]


async def test_a_plan_is_done_in_as_many_updates_as_it_takes(lab: Lab) -> None:
    await lab.up("Lab('before', v=1)")
    plan = Plan()
    assert (await lab.preview(trained(), planned=plan)).succeeded
    assert (await lab.up(trained(), plan=plan)).goes_on, lab.said("error")
    assert not (await lab.up(trained(v=2), plan=plan)).goes_on
    assert "v is 2, planned was 1" in lab.said("error")
    lab.gate.touch()
    summary = await lab.up(trained(), plan=plan)
    assert summary.succeeded, lab.said("error")
    assert summary.changes[Op.CREATE] == 2
    assert sorted(lab.names()) == ["data", "model", "other", "served"]


async def test_error_hooks_are_not_asked_of_what_goes_on(lab: Lab) -> None:
    program = """
    def again(args):
        raise Exception("it was asked")

    hook = pulumi.ErrorHook("again", again)
    Lab('model', Options(hooks=pulumi.ResourceHookBinding(on_error=[hook])), leave='create')
    """
    assert (await lab.up(program)).goes_on, lab.said("error")


async def test_what_a_component_exports_of_it_is_as_it_was(lab: Lab) -> None:
    program = """
    box = Box('box')
    model = Lab('model', Options(parent=box), leave='update', v={v})
    box.register_outputs({{'of': model.made, 'v': {v}}})
    """
    lab.gate.touch()
    await lab.up(program.format(v=1))
    lab.gate.unlink()
    assert (await lab.up(program.format(v=2))).goes_on
    assert lab.resources()["box"].outputs == {"of": "model", "v": 2}


async def test_exports_of_what_was_never_made_are_left_out(lab: Lab) -> None:
    assert (await lab.up("model = Lab('model', leave='create')\npulumi.export('of', {'deep': [model.made]})")).goes_on
    assert lab.resources()["lab-dev"].outputs == {}
