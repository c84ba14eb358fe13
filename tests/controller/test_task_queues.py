"""What the controller asks replicas about tasks, for operators and for Prometheus."""

from __future__ import annotations

import json

import httpx
import pytest
from fake_cluster import FakeCluster
from rollouts_in_memory import World, quick
from test_controller import bring, desired

from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.controller_api import ConflictError
from heliostat.systems.errors import PermanentError, RetryableError

__all__ = ["quick"]

ID = "a" * 32
VIEW = {"id": ID, "status": "failed", "attempts": 4, "version": "1-a", "submittedAt": 1.0, "deadline": 2.0, "error": "no"}
DEPTH = {"waiting": 3, "running": 1, "dead": 1, "oldestSeconds": 7.5, "versions": ["1-a"], "ended": {"succeeded": 9}}


class Replicas(FakeCluster):
    """Replicas that tell of tasks."""

    asked: list[str]
    depth: dict[str, object] | None = DEPTH

    def _golden(self, call: httpx.Request) -> httpx.Response:
        path = call.url.path
        if "/-/tasks" not in path:
            return super()._golden(call)
        self.__dict__.setdefault("asked", []).append(f"{call.method} {call.url.raw_path.decode()}")
        if self.depth is None:
            raise httpx.ConnectError("gone")
        if path.endswith("/retry"):
            return httpx.Response(409, json={"detail": "the task is no dead letter"})
        if path.endswith("/cancel"):
            return httpx.Response(200, json={**VIEW, "status": "cancelled"})
        if path.endswith("/dead"):
            return httpx.Response(200, json=[VIEW])
        if path.endswith("b" * 32):
            return httpx.Response(404, json={"detail": "there is no task"})
        return httpx.Response(200, json=VIEW if path.endswith(ID) else self.depth)


@pytest.fixture
async def world(tmp_path):
    cluster = Replicas(tmp_path)
    async with cluster.running() as client:
        with_tasks = desired(1)
        version = with_tasks.version.model_copy(update={"queue": TaskQueue()})
        await bring(client, with_tasks.model_copy(update={"version": version}))
        yield World(cluster, client)


async def test_a_replica_that_clients_reach_is_asked(world):
    depth = await world.client.queue("flights")
    assert depth is not None
    workers = [{"version": "1-fine", "replicas": 1, "running": 1, "maxReplicas": 1, "reason": ""}]
    assert json.loads(depth.model_dump_json()) == {**DEPTH, "workers": workers}
    [dead] = await world.client.dead_letters("flights", 7)
    assert (dead.id, dead.attempts, dead.error) == (ID, 4, "no")
    task = await world.client.task("flights", ID)
    assert task is not None
    assert await world.client.task("flights", "b" * 32) is None
    assert (await world.client.cancel_task("flights", ID)).status == "cancelled"
    with pytest.raises(ConflictError, match="no dead letter"):
        await world.client.retry_task("flights", ID)
    await world.cluster.ledger.flush()
    noted = [(each.action, each.after) for each in await world.client.audit(50) if each.action.startswith("task.")]
    assert noted == [("task.cancel", {"task": ID})], "what was refused was not done"
    assert [ask.partition("/-/")[2] for ask in world.cluster.asked] == [
        "tasks", "tasks/dead?most=7", f"tasks/{ID}", f"tasks/{'b' * 32}", f"tasks/{ID}/cancel", f"tasks/{ID}/retry",
    ]  # fmt: skip
    assert all("/_/flights/" in ask for ask in world.cluster.asked)


async def test_prometheus_is_told_of_every_queue(world):
    found = await world.metrics()
    assert found["heliostat_tasks", "flights", "waiting"] == 3
    assert found["heliostat_tasks", "flights", "running"] == 1
    assert found["heliostat_tasks", "flights", "dead"] == 1
    assert found["heliostat_tasks_oldest_seconds", "flights"] == 7.5
    assert found["heliostat_task_workers", "flights", "running", "1-fine"] == 1
    assert found["heliostat_tasks_ended_total", "flights", "succeeded"] == 9


async def test_a_queue_that_does_not_answer_is_left_out_and_the_rest_is_told(world):
    world.cluster.depth = None
    found = await world.metrics()
    assert not [name for name in found if name[0].startswith("heliostat_tasks") and "flights" in name]
    assert found[("heliostat_cluster_answers",)] == 1
    with pytest.raises(RetryableError, match="does not answer"):
        await world.client.queue("flights")


async def test_an_application_without_tasks_says_so(tmp_path):
    cluster = Replicas(tmp_path)
    async with cluster.running() as client:
        await bring(client, desired(1))
        assert await client.queue("flights") is None
        with pytest.raises(PermanentError, match="flights takes no tasks"):
            await client.dead_letters("flights", 1)
        assert "asked" not in cluster.__dict__


async def test_what_is_no_id_is_not_passed_on(world):
    assert await world.client.task("flights", "..%2F..%2Fgolden") is None
    with pytest.raises(PermanentError, match="422"):
        await world.client.cancel_task("flights", "golden")
    assert "asked" not in world.cluster.__dict__
