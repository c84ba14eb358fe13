"""An Application whose platform's cluster is another one: the update follows it until it has left the old one, or fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from test_application import Told, told
from test_application import inputs as application_inputs
from test_application_reverted import Stack
from two_clusters import NEW, OLD, TwoClusters

from heliostat.provider import switches
from heliostat.provider.application import ApplicationHandler
from heliostat.provider.handover import HandoverHandler
from heliostat.rollout.model import ColourStatus, Observed
from heliostat.spec.platform_resources import HandoverInputs
from heliostat.spec.rollouts import ActionRequest
from heliostat.spec.serving_resources import ApplicationInputs
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep
from heliostat.systems import controller_api
from heliostat.systems.errors import PermanentError, RetryableError

__all__ = ["told"]

HANDLER = ApplicationHandler()
ASKS = Canary(steps=(CanaryStep(weight=10, approval=True),), retention_seconds=0)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoClusters]:
    found = TwoClusters(tmp_path)
    make = controller_api.httpx.AsyncClient

    def client(**arguments: Any) -> Any:
        ours = arguments.get("base_url") == "http://controller" and not arguments.get("transport")
        return make(**arguments | {"transport": controller_api.httpx.ASGITransport(found.app)} if ours else arguments)

    monkeypatch.setattr(controller_api.httpx, "AsyncClient", client)
    yield found


@asynccontextmanager
async def running(two: TwoClusters) -> AsyncIterator[controller_api.ControllerClient]:
    """The controller, once it has seen what serves."""
    async with two.running() as client:
        async with asyncio.timeout(60):
            while any(not seen.usable for seen in serving(two)):
                await two.reconciler.news(0.02)
        yield client


def serving(two: TwoClusters) -> list[ColourStatus]:
    """The colours that serve, as they were seen."""
    found = [(two.reconciler.observed.get(name, Observed()), each.live) for name, each in two.reconciler.states.items()]
    return [seen.seen(live) for seen, live in found if live is not None]


def inputs(two: TwoClusters, tmp_path: Path, cluster: str, **changes: Any) -> ApplicationInputs:
    return application_inputs(two, tmp_path, **changes).model_copy(update={"cluster": cluster})


async def test_an_update_is_through_once_nothing_is_left_on_the_old_cluster(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    keeps = BlueGreen(retention_seconds=0.3)
    stack = Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD, strategy=keeps))
    two.work_on(NEW)
    async with running(two):
        wanted = inputs(two, tmp_path, NEW, strategy=keeps)
        assert await stack.up(wanted)
        assert two.apps() == {OLD: set(), NEW: {"flights-green"}}
        assert stack.outputs is not None
        assert stack.outputs.cluster == NEW
        assert not await stack.up(wanted), "there is nothing to do"
    assert any(f"from the cluster {OLD} to {NEW}" in line for line in told.lines)


async def test_a_move_that_waits_for_a_person_fails_the_update_so_that_the_old_cluster_stays_and_the_next_follows(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    stack = Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD))
    two.work_on(NEW)
    async with running(two) as client:
        wanted = inputs(two, tmp_path, NEW, strategy=ASKS)
        for _ in range(2):
            with pytest.raises(RetryableError, match=rf"rollout approve.* leaves the cluster {OLD}, which stays until it has"):
                await stack.up(wanted)
            assert two.apps() == {OLD: {"flights-blue"}, NEW: {"flights-green"}}
            assert stack.outputs is not None
            assert stack.outputs.cluster == OLD
        await client.approve("flights", ActionRequest(by="ada"))
        assert await stack.up(wanted)
        assert two.apps() == {OLD: set(), NEW: {"flights-green"}}


@pytest.mark.parametrize("asked", ["to leave it", "to keep the old version for long"])
async def test_a_move_that_is_left_fails_the_update_whyever_it_is(
    two: TwoClusters, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    stack = Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD))
    two.work_on(NEW)
    if asked == "to leave it":
        monkeypatch.setenv(switches.DETACH, "1")
    async with running(two):
        with pytest.raises(RetryableError, match=rf"leaves the cluster {OLD}, which stays until it has"):
            await stack.up(inputs(two, tmp_path, NEW, strategy=BlueGreen(retention_seconds=7200)))
    assert "flights-blue" in two.apps()[OLD]


async def test_a_program_that_goes_back_to_the_old_cluster_ends_the_move_that_was_left(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    stack, serves = Stack(told), inputs(two, tmp_path, OLD)
    async with running(two):
        await stack.up(serves)
    two.work_on(NEW)
    async with running(two):
        with pytest.raises(RetryableError):
            await stack.up(inputs(two, tmp_path, NEW, strategy=ASKS))
    two.work_on(OLD)
    async with running(two):
        assert await stack.up(serves), "else the move would go on"
        async with asyncio.timeout(60):
            while two.apps() != {OLD: {"flights-blue"}, NEW: set()}:
                await two.reconciler.news(0.02)
        assert not await stack.up(serves)


async def test_a_move_that_fails_fails_the_update_and_the_state_names_the_old_cluster(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    stack = Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD))
    two.work_on(NEW)
    two.serves[NEW].failing = True
    async with running(two):
        for _ in range(2):
            with pytest.raises(PermanentError, match=r"goes on serving|retry-refused"):
                await stack.up(inputs(two, tmp_path, NEW))
            await stack.refresh()
            assert stack.outputs is not None
            assert stack.outputs.cluster == OLD


async def test_a_preview_says_that_it_moves_also_before_the_controller_knows_the_new_cluster(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    stack = Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD, cluster_session="one"))
        told.lines.clear()
        await HANDLER.preview(told.context, stack.outputs, inputs(two, tmp_path, NEW, cluster_session="two"))
    assert f"moves from the cluster {OLD} to {NEW}" in told.lines
    assert not any("made anew" in line for line in told.lines), "it does not stop"


async def test_a_state_that_names_no_cluster_has_nothing_to_do_after_it_was_looked_at(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    stack = Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, ""))
        assert stack.outputs is not None
        assert stack.outputs.cluster == ""
        assert not await stack.up(inputs(two, tmp_path, OLD))
        assert two.serves[OLD].deploys == ["flights-blue"]


# A platform whose applications are declared in other stacks


async def test_a_handover_fails_while_an_application_stays_and_is_through_once_it_has_moved(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    handler, stack = HandoverHandler(), Stack(told)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD))
        before = HandoverInputs(controller=two.address, cluster=OLD)
        made = await handler.create(told.context, before)
        assert await handler.read(told.context, made.identifier, made.outputs) == made.outputs
    two.work_on(NEW)
    after = before.model_copy(update={"cluster": NEW})
    async with running(two):
        for _ in range(2):
            with pytest.raises(RetryableError, match=rf"not left {OLD} yet: flights is still there, .*`up` in the stacks"):
                await handler.update(told.context, made.identifier, made.outputs, after)
        await stack.up(inputs(two, tmp_path, NEW))
        assert (await handler.update(told.context, made.identifier, made.outputs, after)).cluster == NEW


async def test_a_handover_waits_for_what_is_on_its_way(two: TwoClusters, tmp_path: Path, told: Told) -> None:
    stack, after = Stack(told), HandoverInputs(controller=two.address, cluster=NEW)
    async with running(two):
        await stack.up(inputs(two, tmp_path, OLD))
    two.work_on(NEW)
    async with running(two) as client:
        with pytest.raises(RetryableError):
            await stack.up(inputs(two, tmp_path, NEW, strategy=ASKS))
        waiting = asyncio.create_task(HandoverHandler().create(told.context, after))
        async with asyncio.timeout(60):
            while not any("have not left" in line for line in told.lines):  # noqa: ASYNC110 - what a user sees
                await asyncio.sleep(0.01)
        assert not waiting.done()
        await client.approve("flights", ActionRequest(by="ada"))
        assert (await asyncio.wait_for(waiting, 60)).outputs.cluster == NEW


async def test_a_handover_to_a_cluster_that_the_controller_does_not_know_is_none(
    two: TwoClusters, tmp_path: Path, told: Told
) -> None:
    told.context.cancelled.set()
    async with two.running():
        with pytest.raises(RetryableError, match=f"works on {OLD}, and not on {NEW} yet"):
            await HandoverHandler().create(told.context, HandoverInputs(controller=two.address, cluster=NEW))
