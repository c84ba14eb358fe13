"""Rollouts with the real controller, HAProxy and Ray: judged by clients' requests, taken back, and brought back warm."""

from __future__ import annotations

import asyncio
import time

import pytest
from live_stack import Load, Stack, stack

from heliostat.controller.ledger import newest_first
from heliostat.spec.analysis import Analysis, Latency, SuccessRate, Verdict
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Declaration, Phase, RollbackRequest, Status
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep
from heliostat.systems.controller_api import ConflictError
from heliostat.systems.objects import Directory

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

__all__ = ["stack"]


def analysis(seconds: float) -> Analysis:
    return Analysis(checks=(SuccessRate(at_least=0.99), Latency(at_most_ms=2_000)), seconds=seconds, min_requests=20)


async def phase(stack: Stack, *phases: Phase) -> Status:
    status = await stack.client.read("flights")
    assert status is not None
    async for each in stack.client.follow("flights", status, 1.0):
        if each.rollout is not None and each.rollout.phase in phases:
            return each
    raise AssertionError(f"it never came to {phases}")


async def test_a_canary_goes_through_its_steps_and_loses_nothing(stack: Stack) -> None:
    await stack.bring(stack.desired(1))
    load = Load(stack.url)
    steps = (CanaryStep(weight=10), CanaryStep(weight=50))
    async with load.running():
        strategy = Canary(steps=steps, analysis=analysis(3), affinity=Affinity(header="x-user"), retention_seconds=1)
        status = await stack.bring(stack.desired(2, strategy=strategy))
        await asyncio.sleep(0.5)
    assert status.rollout is not None
    assert status.rollout.phase is Phase.SUCCEEDED, status.rollout.error
    assert set(load.ends) == {"200"}, load.ends
    assert [each.verdict for each in status.rollout.analyses] == [Verdict.PASS, Verdict.PASS]
    record = await stack.client.record("flights", status.rollout.number)
    assert record is not None
    assert {0.0, 0.1, 0.5, 1.0} <= {each.candidate_weight for each in record.samples}
    entries = list(newest_first(Directory(stack.directory.parent / "objects"), "flights"))
    assert [each.kind for each in entries if each.rollout == status.rollout.number] == [EntryKind.END, *[EntryKind.SHIFT] * 3]


async def test_a_canary_that_begins_to_fail_is_taken_back_and_refused(stack: Stack) -> None:
    strategy = Canary(steps=(CanaryStep(weight=10),), analysis=analysis(300), retention_seconds=1)
    load = Load(stack.url)
    async with load.running():
        await stack.client.declare("flights", Declaration(desired=stack.desired(3, strategy=strategy)))
        await phase(stack, Phase.ANALYSING)
        stack.fault("3-fine", "0.5")
        began = time.monotonic()
        status = await phase(stack, Phase.FAILED)
        await asyncio.sleep(0.2)
    back = max(at for at, _, label in load.times if label == "3-fine") - began
    assert back < 10
    assert load.ends.get("500", 0) <= 0.1 * sum(load.ends.values())
    assert status.serving is not None
    assert status.serving.label == "2-fine"
    assert status.rollout is not None
    assert status.rollout.analyses[-1].verdict is Verdict.FAIL
    with pytest.raises(ConflictError, match="3-fine was rolled back"):
        await stack.client.declare("flights", Declaration(desired=stack.desired(3, strategy=strategy)))


async def test_a_version_inside_its_window_is_back_within_a_second(stack: Stack) -> None:
    await stack.client.declare("flights", Declaration(desired=stack.desired(4, strategy=BlueGreen(retention_seconds=600))))
    status = await phase(stack, Phase.RETAINING)
    assert status.rollout is not None
    assert 0 < status.rollout.figures["shift_milliseconds"] < 100
    load = Load(stack.url)
    async with load.running():
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await stack.client.rollback("flights", RollbackRequest(by="ada"))
        await asyncio.sleep(2)
    took = max(at for at, _, label in load.times if label == "4-fine") - began
    assert took < 1
    assert set(load.ends) == {"200"}, load.ends
    assert load.times[-1][2] == "2-fine"
