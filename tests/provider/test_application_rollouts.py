"""The Application resource while its rollouts go well, fail, wait, pause, and are left; the tests say what they do."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from application_rollouts import (
    FAILS,
    HANDLER,
    RIGHT,
    RUNTIME,
    SLOW,
    STEPS,
    THROUGH,
    analysis,
    first,
    inputs,
    no_switches,
    told,
)
from fake_controller import controller

from heliostat.provider.checks import check, dumped, parsed
from heliostat.provider.declaring import digest_of
from heliostat.provider.differences import differences
from heliostat.provider.properties import Properties
from heliostat.spec.analysis import Verdict
from heliostat.spec.rollouts import BlockedVersion, Phase, Plan
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.systems.errors import PermanentError

__all__ = ["controller", "no_switches", "told"]


async def test_a_rollout_is_followed_until_all_traffic_is_on_the_new_version(controller, tmp_path, told):
    controller.story = [{"phase": Phase.TESTING, "message": "golden"}, THROUGH, {"phase": Phase.SUCCEEDED}]
    outputs = (await HANDLER.create(told.context, inputs(controller, tmp_path))).outputs
    assert outputs.url == "http://public/flights"
    assert outputs.digest == controller.serving.digest
    assert told.progress == ["starting: starts", "testing: golden", "retaining: all traffic is on it"]
    assert controller.rollout.phase is Phase.RETAINING, "the window is not waited for"


async def test_what_is_declared_again_changes_nothing_and_tells_nothing(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    told.progress.clear()
    assert await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path)) == old
    assert controller.rollout.number == 1
    assert told.progress == []


async def test_a_failure_tells_figures_traceback_what_serves_and_that_it_is_not_shipped_again(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    controller.story = [FAILS]
    with pytest.raises(PermanentError) as failure:
        await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2, strategy=STEPS))
    lines = str(failure.value).splitlines()
    assert re.fullmatch(r"2-\w{8} was not put into place; 1-\w{8} goes on serving\.", lines[0])
    assert lines[1] == "The analysis of 2-x with 10 % of the traffic failed:"
    assert lines[4:6] == ["Traceback (most recent call last):", "ValueError: no column 'altitude'"]
    assert (
        "  latency p99: 31.2 ms, 12 ms of what serves, at most 1.5 times what serves, 1,204 requests of clients: fail" in lines
    )
    assert "  success rate: 100 %, at least 99 %, 1,234 requests of clients: pass" in lines
    assert "Measured: startup 12.1 s, shift 3 ms." in lines
    assert "does not ship it again until it, or what it has to pass, changes; `up --retry-refused` does" in lines[-1]
    assert await HANDLER.read(told.context, "flights", old) == old, "what serves is what the state says"


async def test_a_failure_that_is_not_held_against_the_candidate_is_tried_again(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    controller.holds_against = False
    for _ in range(2):
        controller.story = [{"phase": Phase.FAILED, "error": "the cluster did not answer"}]
        with pytest.raises(PermanentError, match=r"the cluster did not answer\nThe next `up` tries it again\.$"):
            await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2))
    assert controller.rollout.number == 3


async def test_what_was_rolled_back_is_refused_until_somebody_says_so(controller, tmp_path, told, monkeypatch):
    old = await first(told, controller, tmp_path)
    controller.story = [FAILS]
    new = inputs(controller, tmp_path, 2)
    with pytest.raises(PermanentError):
        await HANDLER.update(told.context, "flights", old, new)
    with pytest.raises(PermanentError, match=r"2-\w{8} was rolled back: the analysis of 2-x"):
        await HANDLER.update(told.context, "flights", old, new)
    assert controller.rollout.number == 2
    monkeypatch.setenv("HELIOSTAT_RETRY_REFUSED", "1")
    controller.story = [{"error": None, **THROUGH}]
    assert (await HANDLER.update(told.context, "flights", old, new)).model_uri == "models:/flights/2"
    assert controller.declared[-1].retry_refused


async def test_a_changed_program_is_not_refused(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    controller.story = [FAILS]
    with pytest.raises(PermanentError):
        await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2))
    controller.story = [THROUGH]
    await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 3))
    assert controller.serving.model_uri == "models:/flights/3"


async def test_another_declaration_meanwhile_fails_the_update_and_says_whose(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    other = controller.desired

    async def take_over() -> None:
        await controller.lookers.wait()
        controller.desired = other

    controller.lookers.clear()
    taking = asyncio.ensure_future(take_over())
    controller.story = [{"phase": Phase.TESTING}, {"phase": Phase.TESTING}, {"phase": Phase.TESTING}]
    with pytest.raises(PermanentError, match=r"another declaration \(1-\w{8}, by \w+\) took the place of 2-"):
        await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2))
    await taking


async def test_while_it_analyses_weights_figures_and_verdicts_are_told(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    open_ = SLOW.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "candidate": 12.4, "serving": 11.0})
    analysing = {
        "phase": Phase.ANALYSING, "candidate_weight": 0.1, "until": time.time() + 12.2,
        "steps": ("10 %", "50 %", "all"), "analyses": (analysis(None, RIGHT, open_),),
    }  # fmt: skip
    controller.story = [analysing, THROUGH]
    await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2, strategy=STEPS))
    assert (
        "canary 10 %, step 1 of 3: success rate 100 % of 1,234 (at least 99 %): pass, "
        "latency p99 12.4 ms vs 11 ms of 1,204 (at most 1.5 times what serves), 12 s left"
    ) in told.progress


async def test_the_declaration_says_who_made_it_from_which_commit(controller, tmp_path, told, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_BY", "ada")
    await first(told, controller, tmp_path)
    origin = controller.declared[0].origin
    assert (origin.by, origin.commit, origin.dirty) == ("ada", None, False)
    assert controller.rollout.origin == origin


async def test_a_preview_tells_every_line_of_the_plan(controller, tmp_path, told):
    controller.plan = Plan(changes=True, lines=("starts 2 replicas", "needs 2 replicas on top", "step 1: 10 %"))
    await HANDLER.preview(told.context, None, inputs(controller, tmp_path))
    assert told.info == list(controller.plan.lines)
    assert controller.declared == []


async def test_a_surge_that_the_cluster_cannot_hold_fails_in_the_preview(controller, tmp_path, told):
    controller.plan = Plan(
        changes=True, lines=("starts 2 replicas",), shortage="2 replicas need 4 CPUs, 1 is free: use rolling"
    )
    with pytest.raises(PermanentError, match="2 replicas need 4 CPUs, 1 is free: use rolling"):
        await HANDLER.preview(told.context, None, inputs(controller, tmp_path))
    assert told.info == ["starts 2 replicas"], "it says what it would have done all the same"


async def test_a_preview_of_what_was_rolled_back_warns_unless_it_is_to_be_retried(controller, tmp_path, told, monkeypatch):
    reason = "latency p99 31 ms\nTraceback"
    refused = BlockedVersion(fingerprint="a" * 64, identity="2/1", label="2-abc", rollout=7, at=1_700_000_000, reason=reason)
    controller.plan = Plan(changes=True, lines=(), refused=refused)
    await HANDLER.preview(told.context, None, inputs(controller, tmp_path))
    (warning,) = told.warnings
    assert re.match(r"2-abc was rolled back at 2023-11-1\d .* \(rollout 7\): latency p99 31 ms\. It is not", warning)
    assert "--retry-refused" in warning
    monkeypatch.setenv("HELIOSTAT_RETRY_REFUSED", "1")
    await HANDLER.preview(told.context, None, inputs(controller, tmp_path))
    assert len(told.warnings) == 1
    assert controller.planned[-1].retry_refused


async def test_a_data_digest_that_becomes_known_is_declared_and_rolls_nothing_out(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    known = inputs(controller, tmp_path, data_digest="d" * 64)
    new = await HANDLER.update(told.context, "flights", old, known)
    assert (new.digest, new.data_digest) == (old.digest, "d" * 64)
    assert controller.rollout.number == 1
    assert controller.serving.data_digest == "d" * 64
    assert await HANDLER.read(told.context, "flights", new) == new, "no drift"


async def test_replicas_that_could_not_be_had_are_not_taken_for_what_is(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    controller.desired = controller.desired.model_copy(update={"replicas": 999})
    assert (await HANDLER.read(told.context, "flights", old)).replicas == 999, "declared by somebody else"
    controller.rollout = controller.rollout.model_copy(update={"phase": Phase.FAILED})
    assert (await HANDLER.read(told.context, "flights", old)).replicas == old.replicas


def test_a_state_from_before_accelerators_and_data_digests_needs_nothing_but_the_digest(controller, tmp_path):
    wanted = inputs(controller, tmp_path)
    before = {key: value for key, value in dumped(wanted).items() if key not in ("dataDigest", "gpusPerReplica")}
    outputs = {**before, "digest": digest_of(wanted, RUNTIME), "url": "u", "openapiUrl": "o"}
    assert parsed(ApplicationOutputs, outputs, "the state").data_digest == ""

    def between(new: ApplicationInputs) -> list[str]:
        old, declared = (check(ApplicationInputs, Properties(values))[0] for values in (before, dumped(new)))
        return [".".join(map(str, each.path)) for each in differences(old, declared, outputs)]

    assert between(wanted) == []
    known = wanted.model_copy(update={"data_digest": "d" * 64})
    assert between(known) == ["dataDigest"]
    assert digest_of(known, RUNTIME) == digest_of(wanted, RUNTIME), "the same answers: no rollout"


async def test_a_candidate_that_dies_while_it_is_analysed_is_told_with_the_figures_so_far(controller, tmp_path, told):
    old = await first(told, controller, tmp_path)
    dead = {"phase": Phase.FAILED, "error": "2-x died with 10 % of the traffic", "analyses": (analysis(None, RIGHT),)}
    controller.story = [{**dead, "steps": ("10 % of the traffic",)}]
    with pytest.raises(PermanentError) as failure:
        await HANDLER.update(told.context, "flights", old, inputs(controller, tmp_path, 2, strategy=STEPS))
    assert str(failure.value).splitlines()[1:4] == [
        "2-x died with 10 % of the traffic",
        "The analysis of step 1 (10 % of the traffic) had not come to its end:",
        "  success rate: 100 %, at least 99 %, 1,234 requests of clients: pass",
    ]
