"""Workers of tasks are asked for by what replicas tell of the queue, and stay as they are while nobody tells."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from rollouts_in_memory import quick
from test_controller import bring, desired
from test_task_queues import DEPTH, Replicas

from heliostat.controller.task_queues import TaskQueues
from heliostat.controller.worker_scaling import WorkerScaling
from heliostat.rollout.capacity import Node
from heliostat.rollout.model import Colour
from heliostat.spec.rollouts import Desired
from heliostat.spec.task_queue import TaskQueue, TaskScaling, TaskWorkers
from heliostat.systems.controller_api import ControllerClient

__all__ = ["quick"]

SCALING = TaskScaling(max_replicas=4, tasks_per_worker=10, scale_up_seconds=10, scale_down_seconds=60)
LONG = {**DEPTH, "waiting": 35, "running": 1, "waitingByVersion": {"1-fine": 35}}
EMPTY = {**DEPTH, "waiting": 0, "running": 0, "oldestSeconds": None}


def scaled(number: int = 1) -> Desired:
    found = desired(number)
    queue = TaskQueue(workers=TaskWorkers(cpus_per_replica=2, scaling=SCALING))
    return found.model_copy(update={"version": found.version.model_copy(update={"queue": queue})})


@dataclass
class Scaled:
    """A cluster whose queue is looked at when a test says so."""

    cluster: Replicas
    client: ControllerClient
    now: float = 0.0
    nodes: tuple[Node, ...] | None = (Node("head", 100),)
    queues: TaskQueues = field(init=False)
    scaling: WorkerScaling = field(init=False)

    def __post_init__(self) -> None:
        self.queues = TaskQueues(self.cluster.reconciler)
        self.scaling = WorkerScaling(self.cluster.reconciler, self.queues, lambda: self.now)

    async def look(self, depth: dict[str, object] | None, seconds: float = 10.0) -> dict[str, int]:
        """Look at such a queue after so many seconds; the workers that are asked for then, by colour."""
        self.now += seconds
        self.cluster.depth = depth
        await self.scaling.look()
        there = {name: {each["name"]: each for each in app["deployments"]} for name, app in self.cluster.serve.apps.items()}
        asked = {name: each["tasks"]["num_replicas"] for name, each in there.items() if "tasks" in each}
        async with asyncio.timeout(60):
            while not self._seen(asked):
                await self.cluster.reconciler.news(0.02)
        return asked

    def _seen(self, asked: dict[str, int]) -> bool:
        """Whether the controller's pass has found what was asked for."""
        running = self.cluster.reconciler.running
        if self.cluster.serve.away or running is None:
            return True
        found = {f"flights-{colour.value}": running.of("flights", colour) for colour in Colour}
        return all((there := found[name]) is not None and there.workers == count for name, count in asked.items())


@pytest_asyncio.fixture
async def scaling(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    cluster = Replicas(tmp_path)
    async with cluster.running() as client:
        await bring(client, scaled())
        found = Scaled(cluster, client)

        async def room(application: str) -> Any:
            return None if found.nodes is None else (found.nodes, ())

        monkeypatch.setattr(cluster.reconciler.backend, "room", room)
        yield found


async def test_a_long_queue_brings_workers_and_an_empty_one_takes_them_away(scaling: Scaled) -> None:
    assert await scaling.look(LONG) == {"flights-blue": 1}
    assert await scaling.look(LONG) == {"flights-blue": 4}
    depth = await scaling.queues.depth("flights")
    assert depth is not None
    [told] = depth.workers
    assert (told.replicas, told.max_replicas, told.reason) == (4, 4, "35 wait and 1 process work: 1 -> 4")
    assert await scaling.look(EMPTY) == {"flights-blue": 4}
    for _ in range(5):
        assert await scaling.look(EMPTY) == {"flights-blue": 4}
    assert await scaling.look(EMPTY) == {"flights-blue": 1}


async def test_more_replicas_that_answer_leave_the_workers_as_many_as_they_are(scaling: Scaled) -> None:
    await scaling.look(LONG)
    await scaling.look(LONG)
    await bring(scaling.client, scaled().model_copy(update={"replicas": 3}))
    assert await scaling.look(LONG, 1) == {"flights-blue": 4}
    [model, tasks] = scaling.cluster.serve.apps["flights-blue"]["deployments"]
    assert (model["num_replicas"], tasks["num_replicas"]) == (3, 4)


async def test_no_more_come_than_there_is_room_for_and_none_where_that_is_not_known(
    scaling: Scaled, caplog: pytest.LogCaptureFixture
) -> None:
    scaling.nodes = (Node("head", 3), Node("worker", 1))
    await scaling.look(LONG)
    assert await scaling.look(LONG) == {"flights-blue": 2}
    scaling.nodes = None
    for _ in range(3):
        assert await scaling.look(LONG) == {"flights-blue": 2}
    assert caplog.text.count("does not say whether it has room") == 1, "once, not at every look"


async def test_while_nobody_tells_of_the_queue_there_are_as_many_as_there_were(scaling: Scaled) -> None:
    await scaling.look(LONG)
    await scaling.look(LONG)
    for _ in range(20):
        assert await scaling.look(None) == {"flights-blue": 4}
    scaling.cluster.serve.away = True
    async with asyncio.timeout(60):
        while scaling.cluster.reconciler.running is not None:
            await scaling.cluster.reconciler.news(0.02)
    assert await scaling.look(EMPTY, 1000) == {"flights-blue": 4}


async def test_a_version_whose_workers_do_not_scale_is_left_alone(tmp_path: Any) -> None:
    cluster = Replicas(tmp_path)
    async with cluster.running() as client:
        plain = desired(1)
        version = plain.version.model_copy(update={"queue": TaskQueue()})
        await bring(client, plain.model_copy(update={"version": version}))
        found = Scaled(cluster, client)
        assert await found.look(LONG) == {}
        assert "asked" not in cluster.__dict__, "nor is its queue looked at"


async def test_tasks_of_a_version_that_is_gone_are_for_what_serves(scaling: Scaled) -> None:
    left = {**LONG, "waitingByVersion": {"0-gone": 35}}
    await scaling.look(left)
    assert await scaling.look(left) == {"flights-blue": 4}


async def test_the_next_version_begins_with_the_fewest(scaling: Scaled) -> None:
    await scaling.look(LONG)
    await scaling.look(LONG)
    await bring(scaling.client, scaled(2))
    assert (await scaling.look(EMPTY, 1))["flights-green"] == 1
