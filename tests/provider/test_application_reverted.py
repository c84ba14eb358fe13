"""A program that goes back, or stays, while a rollout that an `up` left is on its way; the controller is the real one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from application_rollouts import code
from test_application import Told, cluster, inputs, told

from heliostat.provider.application import ApplicationHandler
from heliostat.provider.checks import check, dumped, parsed
from heliostat.provider.differences import differences, without
from heliostat.provider.properties import Properties
from heliostat.spec.code import code_digest
from heliostat.spec.rollouts import ActionRequest, Phase, Status
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep
from heliostat.systems.controller_api import ConflictError, ControllerClient

__all__ = ["cluster", "told"]

HANDLER = ApplicationHandler()
ASKS = Canary(steps=(CanaryStep(weight=10, approval=True), CanaryStep(weight=80, approval=True)), retention_seconds=0)
WORD = ActionRequest(by="ada")


@dataclass
class Stack:
    """What an engine keeps of the application."""

    told: Told
    inputs: ApplicationInputs | None = None
    outputs: ApplicationOutputs | None = None

    async def up(self, wanted: ApplicationInputs, *, refresh: bool = True) -> bool:
        """Whether there was anything to do."""
        if self.outputs is None:
            self.inputs, self.outputs = wanted, (await HANDLER.create(self.told.context, wanted)).outputs
            return True
        if refresh:
            await self.refresh()
        if not self.differs(wanted):
            return False
        self.inputs, self.outputs = wanted, await HANDLER.update(self.told.context, "flights", self.outputs, wanted)
        return True

    async def refresh(self) -> None:
        assert self.outputs is not None
        found = await HANDLER.read(self.told.context, "flights", self.outputs)
        assert found is not None
        self.outputs = found
        self.inputs = ApplicationInputs(**{name: getattr(found, name) for name in ApplicationInputs.model_fields})

    def differs(self, wanted: ApplicationInputs) -> bool:
        assert self.inputs is not None
        assert self.outputs is not None
        old, new = (check(ApplicationInputs, Properties(dumped(each)))[0] for each in (self.inputs, wanted))
        skipped = HANDLER.insignificant_inputs(parsed(ApplicationInputs, dumped(self.inputs), "the state"), wanted)
        return bool(without(differences(old, new, dumped(self.outputs)), skipped, ()))


async def status(client: ControllerClient) -> Status:
    found = await client.read("flights")
    assert found is not None
    return found


def other_code(tmp_path: Path) -> dict[str, object]:
    """The same model by other code."""
    (tmp_path / "new/workloads").mkdir(parents=True, exist_ok=True)
    (tmp_path / "new/workloads/app.py").write_text("x = 2\n")
    files = ("workloads/app.py",)
    made = code(tmp_path).model_copy(update={"root": str(tmp_path / "new"), "digest": code_digest(tmp_path / "new", files)})
    return {"code": made}


@pytest.mark.parametrize("refresh", [True, False])
@pytest.mark.parametrize("candidate", ["model", "code"])
async def test_a_program_that_goes_back_to_what_serves_ends_the_rollout_that_was_left(
    cluster, tmp_path, told, candidate, refresh
):
    before = inputs(cluster, tmp_path, strategy=ASKS)
    changes = {"model": 2} if candidate == "model" else other_code(tmp_path)
    async with cluster.running() as client:
        stack = Stack(told)
        await stack.up(before)
        await stack.up(inputs(cluster, tmp_path, strategy=ASKS, **changes))
        assert (await status(client)).rollout.phase is Phase.WAITING
        assert await stack.up(before, refresh=refresh), "it is told to the controller"
        found = await status(client)
        assert found.desired.version == found.serving
        past = {each.number: each.phase for each in await client.rollouts("flights")}
        assert past[2] is Phase.SUPERSEDED
        assert not await stack.up(before), "nothing is left to do"
        assert stack.outputs.code.digest == before.code.digest


async def test_a_program_that_stays_follows_the_rollout_that_was_left_and_does_not_end_it(cluster, tmp_path, told):
    wanted = inputs(cluster, tmp_path, 2, strategy=ASKS)
    async with cluster.running() as client:
        stack = Stack(told)
        await stack.up(inputs(cluster, tmp_path, strategy=ASKS))
        await stack.up(wanted)
        for _ in range(2):
            assert await stack.up(wanted), "it is looked after again"
            assert (await status(client)).rollout.number == 2
        for _ in range(2):
            read = (await status(client)).rollout
            await client.approve("flights", WORD.model_copy(update={"rollout": read.number, "step": read.step}))
            assert await stack.up(wanted)
        assert (await status(client)).rollout.number == 2, "it was one rollout"
        assert stack.outputs.model_uri == "models:/flights/2"
        assert not await stack.up(wanted)
    one_and_then_the_others = ["flights-green", "flights-green"]
    assert cluster.serve.deploys == ["flights-blue", *one_and_then_the_others]


async def test_a_rollout_that_ended_while_nobody_followed_it_is_nothing_to_do(cluster, tmp_path, told):
    wanted = inputs(cluster, tmp_path, 2, strategy=ASKS)
    async with cluster.running() as client:
        stack = Stack(told)
        await stack.up(inputs(cluster, tmp_path, strategy=ASKS))
        await stack.up(wanted)
        await client.approve("flights", WORD)
        async for found in client.follow("flights", await status(client), 0.1):
            if found.rollout.phase is Phase.WAITING and found.rollout.step == 1:
                with contextlib.suppress(ConflictError):  # it was approved, and is told of once more
                    await client.approve("flights", WORD)
        assert not await stack.up(wanted)
        assert stack.outputs.code.digest == wanted.code.digest


async def test_after_an_abort_the_program_that_serves_is_declared_once_and_then_unchanged(cluster, tmp_path, told):
    before = inputs(cluster, tmp_path, strategy=ASKS)
    async with cluster.running() as client:
        stack = Stack(told)
        await stack.up(before)
        await stack.up(inputs(cluster, tmp_path, 2, strategy=ASKS))
        await client.abort("flights", WORD)
        async for _ in client.follow("flights", await status(client), 0.1):
            pass
        await stack.up(before)
        found = await status(client)
        assert (found.rollout.number, found.rollout.phase) == (2, Phase.FAILED)
        assert not await stack.up(before)
        assert stack.outputs.code.digest == before.code.digest


async def test_a_window_in_which_the_old_version_is_only_kept_is_nothing_to_do(cluster, tmp_path, told):
    wanted = inputs(cluster, tmp_path, 2, strategy=BlueGreen(retention_seconds=600))
    async with cluster.running() as client:
        stack = Stack(told)
        await stack.up(inputs(cluster, tmp_path))
        await stack.up(wanted)
        assert (await status(client)).rollout.phase is Phase.RETAINING
        assert not await stack.up(wanted)
