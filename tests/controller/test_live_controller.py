"""The real controller, HAProxy and Ray: an update under load that loses nothing, and kills that it survives."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from heliostat.spec.controller import SERVICE, SETTINGS_FILE, TOKEN_FILE, TRAFFIC_SERVICE, ControllerSettings
from heliostat.spec.platform import RayNode
from heliostat.spec.resources import (
    ControllerAddress,
    ControllerInputs,
    RayClusterInputs,
    RayWorkers,
    StoreAddress,
)
from heliostat.spec.rollouts import Desired, Phase, Status, Version
from heliostat.spec.strategies import BlueGreen, Rolling, Strategy
from heliostat.spec.workload import Limits, PredictionLog
from heliostat.systems import ports, processes
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import RetryableError
from heliostat.systems.ray_nodes import LocalCluster
from heliostat.systems.ray_serve import ServeClient

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]


class Stack:
    """A cluster with its controller."""

    def __init__(self, directory: Path, cluster: LocalCluster) -> None:
        self.directory = directory / "controller"
        self.package = directory / "code.zip"
        with zipfile.ZipFile(self.package, "w") as archive:
            archive.write(Path(__file__).with_name("tiny_app.py"), "package/tiny_app.py")
        inputs = ControllerInputs(
            directory=str(self.directory),
            ray=cluster.address,
            store=StoreAddress(uri=f"file://{directory}/objects"),
            tracking_uri="http://127.0.0.1:1",
        )
        self.settings = ControllerSettings(
            inputs=inputs,
            api_port=ports.claim(self.directory, "api"),
            public_port=ports.claim(self.directory, "public"),
            serve_port=ports.claim(self.directory, "serve"),
            runtime_directory=str(processes.runtime_directory(self.directory)),
            serving_entry_point="tiny_app:build",
        )
        (self.directory / SETTINGS_FILE).write_text(self.settings.model_dump_json())
        (self.directory / TOKEN_FILE).write_text("secret")
        address = ControllerAddress(
            url=f"http://127.0.0.1:{self.settings.api_port}", token_file=str(self.directory / TOKEN_FILE)
        )
        self.client = ControllerClient(address)
        self.url = f"{self.settings.public_url}/flights/predict"

    def start(self) -> None:
        argv = (sys.executable, "-m", "heliostat.controller", "--directory", str(self.directory))
        processes.start(processes.Service(self.directory, SERVICE, argv))

    def kill(self, name: str) -> None:
        process = processes.find(self.directory, name)
        assert process is not None
        process.send_signal(signal.SIGKILL)

    async def bring(self, wanted: Desired) -> Status:
        status = await self.client.declare("flights", wanted)
        async for each in self.client.follow("flights", status):
            status = each
        return status

    def desired(self, number: int, behaviour: str = "fine", strategy: Strategy | None = None) -> Desired:
        version = Version(
            digest=f"{number:064x}",
            label=f"{number}-{behaviour}",
            code_uri=f"file://{self.package}",
            contract=f"app:{behaviour}",
            model_uri=f"models:/flights/{number}",
            tracking_uri="http://127.0.0.1:1",
            store=self.settings.inputs.store,
            prediction_log=PredictionLog(),
            limits=Limits(),
        )
        return Desired(
            version=version,
            replicas=2,
            cpus_per_replica=0.1,
            max_ongoing_requests=64,
            startup_timeout_seconds=120,
            strategy=strategy or BlueGreen(retention_seconds=1),
        )


class Load:
    """Requests one after another on a few connections, counted by how they ended."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ends: dict[str, int] = {}
        self.pids: set[int] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=30) as client:
            tasks = [asyncio.create_task(self._ask(client)) for _ in range(4)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _ask(self, client: httpx.AsyncClient) -> None:
        while True:
            try:
                answer = await client.post(self._url, content=b"{}")
                end = str(answer.status_code)
                self.pids.add(answer.json().get("pid", 0))
            except httpx.HTTPError as error:
                end = type(error).__name__
            self.ends[end] = self.ends.get(end, 0) + 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory = tmp_path_factory.mktemp("live")
    cluster = LocalCluster(directory / "ray")
    ray = RayClusterInputs(directory=str(directory / "ray"), head=RayNode(cpus=2), workers=RayWorkers(count=0))
    try:
        await cluster.start(ray, lambda line: None)
        stack = Stack(directory, cluster)
        stack.start()
        async with asyncio.timeout(60):
            while True:
                try:
                    await stack.client.health()
                    break
                except RetryableError:
                    await asyncio.sleep(0.1)
        yield stack
    finally:
        await processes.stop(directory / "controller", SERVICE)
        await processes.stop(directory / "controller", TRAFFIC_SERVICE)
        await cluster.stop()
        ports.release(directory / "controller")


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


async def test_a_deleted_application_leaves_nothing_in_serve(stack: Stack) -> None:
    await stack.client.delete("flights")
    async with asyncio.timeout(60):
        while await stack.client.read("flights") is not None:  # noqa: ASYNC110 - it is what a client does
            await asyncio.sleep(0.2)
    address = stack.settings.inputs.ray
    instance = await ServeClient(address, stack.settings.serve_port).read()
    assert instance.applications == {}
