"""Every call of the API that changes something is in the audit log, and a new one cannot be forgotten."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from fake_cluster import FakeCluster
from fastapi.routing import APIRoute
from rollouts_in_memory import ADA, World, quick
from test_controller import bring, desired
from test_monitor_metrics import AREA, written
from test_permissions import POLICY
from test_task_queues import ID, Replicas

from heliostat.spec.alarm_orders import AcknowledgeOrder, SilenceOrder, UnsilenceOrder
from heliostat.spec.branch_environments import EnvironmentOrder
from heliostat.spec.data_sets import PrunedData
from heliostat.spec.erasure import ErasureAnnouncement, ErasureProof
from heliostat.spec.roles import Role
from heliostat.spec.rollouts import Phase, RollbackRequest
from heliostat.spec.strategies import Canary, CanaryStep
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.objects import Directory

__all__ = ["quick"]
ONE = "/v1/applications/{name}"
AUDITED = {
    ("PUT", ONE): "application.declare",
    ("DELETE", ONE): "application.delete",
    ("POST", f"{ONE}/approve"): "rollout.approve",
    ("POST", f"{ONE}/abort"): "rollout.abort",
    ("POST", f"{ONE}/rollback"): "application.rollback",
    ("POST", f"{ONE}/tasks/{{task}}/retry"): "task.retry",
    ("POST", f"{ONE}/tasks/{{task}}/cancel"): "task.cancel",
    ("POST", "/v1/environments/{environment}/orders"): "environment.extend",
    ("PUT", "/v1/access"): "access.change",
    ("DELETE", "/v1/access"): "access.change",
    ("POST", f"{ONE}/alarms/acknowledge"): "alarm.acknowledge",
    ("POST", f"{ONE}/alarms/silence"): "alarm.silence",
    ("POST", f"{ONE}/alarms/unsilence"): "alarm.unsilence",
    ("POST", f"{ONE}/data-sets/pruned"): "data.prune",
    ("POST", f"{ONE}/erasures"): "person.erase-begin",
    ("PUT", f"{ONE}/erasures/{{erasure}}"): "person.erase",
}
NOT_AUDITED = {
    ("POST", f"{ONE}/plan"): "it changes nothing",
    ("PUT", f"{ONE}/reviews/{{item}}"): "who said what is kept with the item, and their number would bury the rest",
    ("DELETE", f"{ONE}/reviews/{{item}}"): "the same",
}


class Tasks(Replicas):
    """Replicas that try a task again, too."""

    def _golden(self, call):
        if call.url.path.endswith("/retry"):
            call.url = call.url.copy_with(path=call.url.path.replace("/retry", "/cancel"))
        return super()._golden(call)


def changing(cluster):
    """Methods and paths of the calls that do more than read."""
    routes = [each for each in cluster.app.routes if isinstance(each, APIRoute)]
    return [(method, each.path) for each in routes for method in each.methods if method not in ("GET", "HEAD")]


def test_of_every_call_that_changes_something_it_is_known_whether_it_is_in_the_log(tmp_path):
    assert sorted(changing(FakeCluster(tmp_path))) == sorted([*AUDITED, *NOT_AUDITED])


async def roll_out(world):
    """Three rollouts: one is approved and rolled back, one aborted."""
    waits = Canary(steps=(CanaryStep(weight=50, approval=True), CanaryStep(weight=100)), retention_seconds=600)
    await world.declare(2, waits)
    await world.phase(Phase.WAITING)
    await world.client.approve("flights", ADA)
    await world.phase(Phase.RETAINING)
    await world.client.rollback("flights", RollbackRequest(by="ada"))
    await world.phase(Phase.SUCCEEDED)
    await world.declare(3, waits)
    await world.phase(Phase.WAITING)
    await world.client.abort("flights", ADA)


async def take_alarms(client):
    keys = "flights/quality/*"
    await client.acknowledge("flights", AcknowledgeOrder(alarm=AREA.key, by="ada"))
    until = datetime.now(UTC) + timedelta(hours=2)
    await client.silence("flights", SilenceOrder(alarms=keys, until=until, why="late", by="ada"))
    await client.unsilence("flights", UnsilenceOrder(alarms=keys, by="ada"))


async def delete_data(client):
    told = ErasureAnnouncement(id="e" * 32, application="flights", field="who", tokens=("hmac:k:1",), at=time.time())
    await client.begin_erasure(told)
    await client.tell_pruning("flights", PrunedData(what=("a",), size=1))
    about = {"id": told.id, "application": "flights", "field": "who", "began": 1.0, "ended": 2.0}
    await client.end_erasure(ErasureProof(**about, searched={}, left=0, objects=(), snapshots=()))


async def test_every_call_that_is_to_be_in_the_log_is(tmp_path):
    cluster = Tasks(tmp_path)
    async with cluster.running() as client:
        first = desired(1)
        version = first.version.model_copy(update={"queue": TaskQueue()})
        await bring(client, first.model_copy(update={"version": version}))
        written(Directory(tmp_path / "objects"))
        await client.retry_task("flights", ID)
        await client.cancel_task("flights", ID)
        await roll_out(World(cluster, client))
        await take_alarms(client)
        await delete_data(client)
        await client.order_environment("pr-1", EnvironmentOrder(verb="extend", workloads=("flights",)))
        await client.delete("flights")
        await client.grant(None)
        await client.grant(POLICY.model_copy(update={"stack_token": (Role.ADMIN,)}))
        await client.grant(None)
        await cluster.ledger.flush()
        told = [each.action for each in await client.audit(100)]
    assert set(told) == set(AUDITED.values())
    assert told.count("access.change") == 2, "granting, and taking it back"
