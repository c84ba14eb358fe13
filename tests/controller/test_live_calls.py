"""Rollouts of an application that answers calls alone, under calls, on the real controller, HAProxy and Ray; and replicas of
workers of tasks, which come and go by the queue beside replicas that stay.

The tests run in this order on one cluster: each begins where the one before it ended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from live_stack import Stack, stack
from prometheus_client.parser import text_string_to_metric_families

from heliostat.serving.grpc import messages
from heliostat.spec.analysis import Analysis, SuccessRate
from heliostat.spec.rollouts import Desired, Phase, Status
from heliostat.spec.strategies import Canary, CanaryStep, Rolling
from heliostat.spec.task_queue import TaskQueue, TaskScaling, TaskWorkers
from heliostat.spec.workload import Interface
from heliostat.systems.http import open_client

__all__ = ["stack"]

pytestmark = [pytest.mark.local_stack, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

APP = "tiny_grpc_app"
METHOD = "/inference.GRPCInferenceService/ModelInfer"
WEIGHT = 30


class Calls:
    """Calls one after another on a few channels, counted by how they ended and by the version that answered."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.ends: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        channels = [grpc.aio.insecure_channel(self._target, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(3)]
        tasks = [asyncio.create_task(self._call(channel)) for channel in channels]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for channel in channels:
                await channel.close()

    async def _call(self, channel: grpc.aio.Channel) -> None:
        request = messages.ModelInferRequest(model_name="flights")
        tensor = request.inputs.add(name="size", datatype="FP64", shape=[1])
        tensor.contents.fp64_contents.append(6.0)
        method = channel.unary_unary(METHOD, request_serializer=bytes, response_deserializer=bytes)
        while True:
            call = method(request.SerializeToString(), timeout=30)
            try:
                answer = messages.ModelInferResponse.FromString(await call)
                assert len(answer.raw_output_contents) == 1
                end = "OK"
            except grpc.aio.AioRpcError as error:
                end = f"{error.code().name}: {error.details()}"
            label = str(dict(await call.initial_metadata() or ()).get("x-heliostat-version", ""))
            self.ends[end] += 1
            self.labels[label] += 1
            await asyncio.sleep(0.005)


def served(stack: Stack, number: int, behaviour: str = "fine", strategy: Any = None) -> Desired:
    found = stack.desired(number, behaviour, strategy)
    return found.model_copy(update={"version": found.version.model_copy(update={"interface": Interface.GRPC})})


async def predictions(stack: Stack) -> dict[str, float]:
    """Predictions by version, as Prometheus is told."""
    async with httpx.AsyncClient(headers={"authorization": "Bearer secret"}) as client:
        text = (await client.get(f"{stack.client._address.url}/metrics")).text
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    mine = [each for each in samples if each.name == "heliostat_requests_total" and each.labels["route"] == "/predict"]
    return {each.labels["version"]: each.value for each in mine}


async def until_told(stack: Stack, before: dict[str, float], count: int) -> dict[str, float]:
    """Predictions by version since `before`, once they are so many and both versions are among them."""
    async with asyncio.timeout(60):
        while True:
            told = {label: value - before.get(label, 0.0) for label, value in (await predictions(stack)).items()}
            if {"1-fine", "2-fine"} <= {label for label, value in told.items() if value} and sum(told.values()) >= count:
                return told
            await asyncio.sleep(0.2)


async def phase(stack: Stack, *phases: Phase) -> Status:
    """The first status from now on that has a rollout in one of `phases`."""
    while True:
        status = await stack.client.read("flights")
        assert status is not None
        async for each in stack.client.follow("flights", status, 1.0):
            if each.rollout is not None and each.rollout.phase in phases:
                return each


async def test_a_canary_has_its_share_of_the_calls_and_none_of_them_fails(stack: Stack) -> None:
    await stack.bring(served(stack, 1))
    check = Analysis(checks=(SuccessRate(at_least=0.99),), seconds=6, min_requests=50)
    canary = Canary(steps=(CanaryStep(weight=WEIGHT, analysis=check), CanaryStep(weight=100)), retention_seconds=1)
    calls = Calls(f"127.0.0.1:{stack.settings.public_port}")
    async with calls.running():
        bringing = asyncio.create_task(stack.bring(served(stack, 2, strategy=canary)))
        await phase(stack, Phase.ANALYSING)
        before, seen = await predictions(stack), calls.labels.copy()
        told = await until_told(stack, before, 300)
        answered = calls.labels - seen
        status = await bringing
        rolled = await stack.bring(served(stack, 3, strategy=Rolling()))
    assert set(calls.ends) == {"OK"}, calls.ends
    for counts in (told, answered):
        assert WEIGHT - 12 < 100 * counts["2-fine"] / sum(counts.values()) < WEIGHT + 12, (told, answered)
    assert status.serving is not None
    assert status.serving.label == "2-fine"
    assert status.rollout is not None
    [result] = status.rollout.analyses
    assert result.findings[0].candidate == 1.0, "by the counts of calls: there are no others"
    assert rolled.serving is not None
    assert rolled.serving.label == "3-fine"


async def test_a_canary_whose_calls_fail_is_taken_back_by_their_counts(stack: Stack) -> None:
    check = Analysis(checks=(SuccessRate(at_least=0.9),), seconds=20, min_requests=50)
    canary = Canary(steps=(CanaryStep(weight=WEIGHT, analysis=check), CanaryStep(weight=100)), retention_seconds=1)
    calls = Calls(f"127.0.0.1:{stack.settings.public_port}")
    served_before = await stack.client.read("flights")
    assert served_before is not None
    assert served_before.serving is not None
    async with calls.running():
        status = await stack.bring(served(stack, 4, "failing", canary))
        calls.ends.clear()
        await asyncio.sleep(1)
    assert status.rollout is not None
    assert status.rollout.phase is Phase.FAILED
    assert status.serving is not None
    assert status.serving.label == served_before.serving.label
    assert set(calls.ends) == {"OK"}, "what served before answers all of them again"


async def test_workers_come_and_go_by_the_queue_and_no_replica_that_answers_starts_again(stack: Stack) -> None:
    found = stack.desired(5)
    scaling = TaskScaling(max_replicas=3, tasks_per_worker=10, scale_up_seconds=1, scale_down_seconds=1)
    queue = TaskQueue(workers=TaskWorkers(cpus_per_replica=0.01, scaling=scaling))
    await stack.bring(found.model_copy(update={"version": found.version.model_copy(update={"queue": queue})}))
    before = await replicas(stack)
    assert len(before["tasks"]) == 1
    url = f"{stack.settings.public_url}/flights/tasks"
    async with httpx.AsyncClient() as client:
        made = [(await client.post(url, json={"size": 1.0})).json()["id"] for _ in range(25)]
        grown = await until_workers(stack, 3)
        for each in made:
            assert (await client.delete(f"{url}/{each}")).status_code == 200
    shrunk = await until_workers(stack, 1)
    assert grown["model"] == shrunk["model"] == before["model"], "they were not touched"
    assert before["tasks"] < grown["tasks"], "the first worker stays where more come"
    depth = await stack.client.queue("flights")
    assert depth is not None
    assert [each.max_replicas for each in depth.workers if each.version == "5-fine"] == [3]


async def until_workers(stack: Stack, count: int) -> dict[str, set[str]]:
    """The replicas, once there are so many of workers."""
    async with asyncio.timeout(90):
        while len((found := await replicas(stack))["tasks"]) != count:  # noqa: ASYNC110 - another program changes them
            await asyncio.sleep(0.5)
    return found


async def replicas(stack: Stack) -> dict[str, set[str]]:
    """The replicas that run of the version that takes tasks, by deployment, as Serve lists them."""
    async with open_client(stack.settings.inputs.ray) as client:
        details = (await client.get("/api/serve/applications/")).json()
    for each in details["applications"].values():
        if "tasks" in each["deployments"]:
            return {
                name: {one["replica_id"] for one in deployment["replicas"] if one["state"] == "RUNNING"}
                for name, deployment in each["deployments"].items()
            }
    return {"tasks": set()}
