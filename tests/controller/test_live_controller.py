"""The real controller, HAProxy and Ray: updates under load that lose nothing, kills that they survive, and rollouts that are
judged by clients' requests, taken back, and brought back warm.

The tests run in this order on one cluster: each begins where the one before it ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

import httpx
import psutil
import pytest
from api_server import ApiServer, api_server
from live_stack import Load, Stack, stack

from heliostat.controller.ledger import newest_first
from heliostat.spec.addresses import KubernetesProxy, RayAddress
from heliostat.spec.analysis import Analysis, Latency, SuccessRate, Verdict
from heliostat.spec.controller import SERVICE, TRAFFIC_SERVICE
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Declaration, Phase, RollbackRequest, Status
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep, Rolling
from heliostat.systems import processes
from heliostat.systems.controller_api import ConflictError
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory
from heliostat.systems.ray_capacity import read_nodes
from heliostat.systems.ray_jobs import RayJobs
from heliostat.systems.ray_logs import RayLogs
from heliostat.systems.ray_serve import ServeClient

__all__ = ["api_server", "stack"]

pytestmark = [pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]


def analysis(seconds: float) -> Analysis:
    return Analysis(checks=(SuccessRate(at_least=0.99), Latency(at_most_ms=2_000)), seconds=seconds, min_requests=20)


async def phase(stack: Stack, *phases: Phase) -> Status:
    status = await stack.client.read("flights")
    assert status is not None
    async for each in stack.client.follow("flights", status, 1.0):
        if each.rollout is not None and each.rollout.phase in phases:
            return each
    raise AssertionError(f"it never came to {phases}")


async def test_updates_faults_and_kills_lose_no_request(stack: Stack) -> None:
    first = await stack.bring(stack.desired(1))
    assert first.healthy_replicas == 2
    load = Load(stack.url)
    async with load.running():
        # Blue-green, with the controller killed in the middle of it.
        bringing = asyncio.create_task(stack.bring(stack.desired(2)))
        await asyncio.sleep(2)
        stack.kill(SERVICE)
        await asyncio.sleep(0.5)
        stack.start()
        status = await bringing
        assert status.serving is not None
        assert status.serving.label == "2-fine"
        # A candidate that fails leaves what serves alone.
        status = await stack.bring(stack.desired(3, "crashes"))
        assert status.rollout is not None
        assert status.rollout.phase is Phase.FAILED
        assert "has no column 'altitude'" in (status.rollout.error or "")
        # Rolling.
        status = await stack.bring(stack.desired(4, strategy=Rolling()))
        assert status.serving is not None
        assert status.serving.label == "4-fine"
        # A replica that is killed: the other one answers in its place.
        async with httpx.AsyncClient() as client:
            pid = (await client.post(stack.url, content=b"{}")).json()["pid"]
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(3)
    assert set(load.ends) == {"200"}, load.ends
    assert len(load.pids) >= 4


async def test_a_killed_haproxy_is_back_with_the_traffic_that_it_had(stack: Stack) -> None:
    stack.kill(TRAFFIC_SERVICE)
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            try:
                answer = await client.post(stack.url, content=b"{}")
                if answer.status_code == 200:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.02)
    assert answer.headers["x-heliostat-version"] == "4-fine"


async def test_haproxy_goes_on_without_its_controller_and_is_adopted(stack: Stack) -> None:
    before = processes.find(stack.directory, TRAFFIC_SERVICE)
    stack.kill(SERVICE)
    async with httpx.AsyncClient() as client:
        assert (await client.post(stack.url, content=b"{}")).status_code == 200
    stack.start()
    async with asyncio.timeout(60):
        while True:
            try:
                assert (await stack.client.health()).haproxy
                break
            except RetryableError:
                await asyncio.sleep(0.1)
    after = processes.find(stack.directory, TRAFFIC_SERVICE)
    assert before is not None
    assert after is not None
    assert before.pid == after.pid


async def test_everything_of_the_traffic_plane_listens_on_loopback(stack: Stack) -> None:
    pids = {process.pid for process in processes.marked(stack.directory)}
    found = [c.laddr.ip for c in psutil.net_connections("tcp") if c.pid in pids and c.status == psutil.CONN_LISTEN]
    assert len(found) >= 2
    assert set(found) == {"127.0.0.1"}


async def test_serve_runs_no_proxy_which_nobody_would_ask(stack: Stack) -> None:
    titles = {process.cmdline()[0] for process in processes.marked(stack.directory.parent / "ray", "head")}
    assert "ray::ServeController" in titles
    assert "ray::ProxyActor" not in titles


async def test_ray_is_reached_through_a_kubernetes_api_server_with_its_own_token(stack: Stack, api_server: ApiServer) -> None:
    near = stack.settings.inputs.ray
    api_server.services["ml", "head", 8265] = near.url
    proxy = KubernetesProxy(kubeconfig=str(api_server.kubeconfig({"token": "ada-token"})))
    ray = RayAddress(url="http://head.ml.svc:8265", credential=near.credential, proxy=proxy)
    assert await read_nodes(ray) == await read_nodes(near)
    serve = ServeClient(ray, stack.settings.serve_port)
    try:
        assert any(name.startswith("flights") for name in (await serve.read()).applications)
    finally:
        await serve.close()
    async with RayLogs(ray) as logs:
        files = await logs.files("flights")
        assert await logs.tail(files[-1], 5)
    async with RayJobs(ray) as jobs:
        await jobs.submit("echo-1", "echo hello from the cluster", {}, {})
        job = await jobs.follow("echo-1", lambda _: None, asyncio.Event(), 120)
        assert (job.status, "hello from the cluster" in await jobs.logs("echo-1")) == ("SUCCEEDED", True)
        await jobs.delete("echo-1")
    with pytest.raises(PermanentError, match=r"Ray at http://head.ml.svc:8265 refuses the token \(401\)"):
        await read_nodes(ray.model_copy(update={"credential": None}))


async def test_a_canary_goes_through_its_steps_and_loses_nothing(stack: Stack) -> None:
    load = Load(stack.url)
    steps = (CanaryStep(weight=10), CanaryStep(weight=50))
    async with load.running():
        strategy = Canary(steps=steps, analysis=analysis(3), affinity=Affinity(header="x-user"), retention_seconds=1)
        status = await stack.bring(stack.desired(5, strategy=strategy))
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
        await stack.client.declare("flights", Declaration(desired=stack.desired(6, strategy=strategy)))
        await phase(stack, Phase.ANALYSING)
        stack.fault("6-fine", "0.5")
        began = time.monotonic()
        status = await phase(stack, Phase.FAILED)
        await asyncio.sleep(0.2)
    back = max(at for at, _, label in load.times if label == "6-fine") - began
    assert back < 10
    assert load.ends.get("500", 0) <= 0.1 * sum(load.ends.values())
    assert status.serving is not None
    assert status.serving.label == "5-fine"
    assert status.rollout is not None
    assert status.rollout.analyses[-1].verdict is Verdict.FAIL
    with pytest.raises(ConflictError, match="6-fine was rolled back"):
        await stack.client.declare("flights", Declaration(desired=stack.desired(6, strategy=strategy)))


async def test_a_version_inside_its_window_is_back_without_a_replica_being_started(stack: Stack) -> None:
    await stack.client.declare("flights", Declaration(desired=stack.desired(7, strategy=BlueGreen(retention_seconds=600))))
    status = await phase(stack, Phase.RETAINING)
    assert status.rollout is not None
    assert status.rollout.figures["shift_milliseconds"] > 0
    serve = ServeClient(stack.settings.inputs.ray, stack.settings.serve_port)
    warm = await replicas(serve)
    load = Load(stack.url)
    async with load.running():
        await load.until_answered_by("7-fine")
        await stack.client.rollback("flights", RollbackRequest(by="ada"))
        await load.until_answered_by("5-fine")
        assert await replicas(serve) <= warm
    assert set(load.ends) == {"200"}, load.ends
    assert load.times[-1][2] == "5-fine"


async def replicas(serve: ServeClient) -> set[Endpoint]:
    """The replicas of all applications that run."""
    return {each for application in (await serve.read()).applications.values() for each in application.replicas}


async def test_a_deleted_application_leaves_nothing_in_serve(stack: Stack) -> None:
    await stack.client.delete("flights")
    async with asyncio.timeout(60):
        while await stack.client.read("flights") is not None:  # noqa: ASYNC110 - it is what a client does
            await asyncio.sleep(0.2)
    address = stack.settings.inputs.ray
    instance = await ServeClient(address, stack.settings.serve_port).read()
    assert instance.applications == {}
