"""The real controller, HAProxy and Ray: an update under load that loses nothing, and kills that it survives."""

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

from heliostat.spec.addresses import KubernetesProxy, RayAddress
from heliostat.spec.controller import SERVICE, TRAFFIC_SERVICE
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Rolling
from heliostat.systems import processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_capacity import read_nodes
from heliostat.systems.ray_jobs import RayJobs
from heliostat.systems.ray_logs import RayLogs
from heliostat.systems.ray_serve import ServeClient

__all__ = ["api_server", "stack"]

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]


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


async def test_a_killed_haproxy_is_back_at_once_with_the_traffic_that_it_had(stack: Stack) -> None:
    stack.kill(TRAFFIC_SERVICE)
    began = time.monotonic()
    async with httpx.AsyncClient() as client, asyncio.timeout(10):
        while True:
            try:
                answer = await client.post(stack.url, content=b"{}")
                if answer.status_code == 200:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.02)
    assert time.monotonic() - began < 2
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


async def test_a_deleted_application_leaves_nothing_in_serve(stack: Stack) -> None:
    await stack.client.delete("flights")
    async with asyncio.timeout(60):
        while await stack.client.read("flights") is not None:  # noqa: ASYNC110 - it is what a client does
            await asyncio.sleep(0.2)
    address = stack.settings.inputs.ray
    instance = await ServeClient(address, stack.settings.serve_port).read()
    assert instance.applications == {}
