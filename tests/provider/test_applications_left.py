"""How long an `up` stays with a rollout: through pauses, approvals and windows, or not at all."""

from __future__ import annotations

import time

import pytest
from application_rollouts import HANDLER, STEPS, THROUGH, first, inputs, no_switches, told
from fake_controller import controller

from heliostat.spec.rollouts import Phase
from heliostat.systems.errors import PermanentError

__all__ = ["controller", "no_switches", "told"]


async def test_a_rollout_that_waits_for_a_person_is_left_and_the_next_up_follows_on(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    new = inputs(controller, tmp_path, 2, strategy=STEPS)
    controller.story = [{"phase": Phase.WAITING, "candidate_weight": 0.1, "until": time.time() + 7 * 86400}]
    left = await HANDLER.update(told.context, "flights", old, new)
    assert "10 % of the traffic and waits for a person" in told.info[0]
    for command in ("rollout approve flights --rollout 2 --step 1", "rollout abort flights", "rollout watch flights"):
        assert f"`heliostat {command}`" in told.info[0]
    assert (left.digest, left.model_uri) == (old.digest, old.model_uri), "the state says what serves"
    assert left.strategy == STEPS
    found = await HANDLER.read(told.context, "flights", left)
    assert found == left

    again = await HANDLER.update(told.context, "flights", found, new)
    assert again == left, "nobody has said a word: it is left once more"
    controller.rollout = controller.rollout.model_copy(update={"phase": Phase.PAUSED, "until": None})
    controller.story = [{"phase": Phase.SHIFTING, "candidate_weight": 0.5, "until": None}, THROUGH]
    done = await HANDLER.update(told.context, "flights", found, new)
    assert done.model_uri == "models:/flights/2"
    assert controller.rollout.number == 2, "the same rollout was followed"


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.ANALYSING])
async def test_a_long_pause_or_analysis_is_left_and_a_short_one_waited_for(controller, tmp_path, told, phase):
    old = await first(told, controller, tmp_path)
    new = inputs(controller, tmp_path, 2, strategy=STEPS)
    controller.story = [{"phase": phase, "candidate_weight": 0.1, "until": time.time() + 3600}, THROUGH]
    assert (await HANDLER.update(told.context, "flights", old, new)).digest == old.digest
    assert "goes on by itself" in told.info[0]
    controller.rollout = controller.rollout.model_copy(update={"until": time.time() + 30})
    assert (await HANDLER.update(told.context, "flights", old, new)).model_uri == "models:/flights/2"


async def test_a_detached_up_leaves_as_soon_as_the_rollout_has_begun(controller, tmp_path, told, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_DETACH", "1")
    controller.story = [{"phase": Phase.TESTING}, THROUGH]
    wanted = inputs(controller, tmp_path)
    left = (await HANDLER.create(told.context, wanted)).outputs
    assert "has begun and goes on by itself" in told.info[0]
    assert controller.rollout.phase is Phase.STARTING
    assert await HANDLER.read(told.context, "flights", left) is None, "nothing serves yet: the next `up` declares it again"
    monkeypatch.delenv("HELIOSTAT_DETACH")
    assert (await HANDLER.create(told.context, wanted)).outputs == left
    assert len({each.desired.version.digest for each in controller.declared}) == 1


async def test_a_detached_up_of_what_serves_already_leaves_nothing(controller, tmp_path, told, monkeypatch):
    old = await first(told, controller, tmp_path)
    monkeypatch.setenv("HELIOSTAT_DETACH", "1")
    assert await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path)) == old
    assert told.info == []


async def test_asked_to_wait_it_stays_through_approvals_and_the_retention_window(controller, tmp_path, told, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_WAIT", "true")
    long = time.time() + 86400
    controller.story = [{"phase": Phase.WAITING, "until": long}, {"phase": Phase.PAUSED, "until": long}, THROUGH]
    controller.story += [{"phase": Phase.RETIRING}, {"phase": Phase.SUCCEEDED}]
    await HANDLER.create(told.context, inputs(controller, tmp_path, strategy=STEPS))
    assert controller.rollout.phase is Phase.SUCCEEDED
    assert told.info == []


async def test_asked_to_wait_a_candidate_that_dies_in_its_window_fails_the_update(controller, tmp_path, told, monkeypatch):
    old = await first(told, controller, tmp_path)
    monkeypatch.setenv("HELIOSTAT_WAIT", "1")
    controller.story = [THROUGH, {"phase": Phase.FAILED, "error": "no replica was healthy any more"}]
    with pytest.raises(PermanentError, match="no replica was healthy any more"):
        await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2))


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"HELIOSTAT_DETACH": "1", "HELIOSTAT_WAIT": "1"}, "exclude each other"),
        ({"HELIOSTAT_WAIT": "maybe"}, "HELIOSTAT_WAIT is 'maybe': set it to 1 or 0"),
    ],
)
async def test_switches_that_make_no_sense_stop_it_before_anything_is_declared(
    controller, tmp_path, told, monkeypatch, variables, text
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PermanentError, match=text):
        await HANDLER.create(told.context, inputs(controller, tmp_path))
    assert controller.declared == []


async def test_replicas_that_are_declared_in_the_window_are_waited_for_and_missed_where_they_do_not_come(
    controller, tmp_path, told
):
    old = await first(told, controller, tmp_path)
    controller.story = [THROUGH, THROUGH, THROUGH]
    served = await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2))
    more = inputs(controller, tmp_path, 2, replicas=3, startup_timeout_seconds=0.2)
    with pytest.raises(PermanentError, match=r"2 of 3 replicas of 2-\w{8} were healthy after 0.2 s"):
        await HANDLER.update(told.context, "flights", served, more)
    controller.healthy = 3
    assert (await HANDLER.update(told.context, "flights", served, more)).replicas == 3
