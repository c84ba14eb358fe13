"""A real cluster with its controller and HAProxy, for tests, and clients that count what they are answered."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from heliostat.spec.addresses import ControllerAddress, StoreAddress, TokenFile
from heliostat.spec.controller import SERVICE, SETTINGS_FILE, TOKEN_FILE, TRAFFIC_SERVICE, ControllerSettings
from heliostat.spec.platform_resources import ControllerInputs, RayClusterInputs
from heliostat.spec.platforms.local import RayNode, RayWorkers
from heliostat.spec.rollouts import Declaration, Desired, Status, Version
from heliostat.spec.strategies import BlueGreen, Strategy
from heliostat.spec.workload import Limits, PredictionLog
from heliostat.systems import ports, processes
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import RetryableError
from heliostat.systems.ray_nodes import LocalCluster


class Stack:
    """A cluster with its controller."""

    def __init__(self, directory: Path, cluster: LocalCluster, app: str = "tiny_app") -> None:
        """`app`: the module beside this one that has the application."""
        self.directory = directory / "controller"
        self.package = directory / "code.zip"
        with zipfile.ZipFile(self.package, "w") as archive:
            archive.write(Path(__file__).with_name(f"{app}.py"), f"package/{app}.py")
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
            serving_entry_point=f"{app}:build",
        )
        (self.directory / SETTINGS_FILE).write_text(self.settings.model_dump_json())
        (self.directory / TOKEN_FILE).write_text("secret")
        address = ControllerAddress(
            url=f"http://127.0.0.1:{self.settings.api_port}", credential=TokenFile(path=str(self.directory / TOKEN_FILE))
        )
        self.client = ControllerClient(address)
        self.url = f"{self.settings.public_url}/flights/predict"

    def fault(self, label: str, fault: str) -> None:
        """Have a version do something bad from now on; see tiny_app."""
        folder = self.directory.parent / "objects/faults"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / label).write_text(fault)

    def start(self) -> None:
        argv = (sys.executable, "-m", "heliostat.controller", "--directory", str(self.directory))
        processes.start(processes.Service(self.directory, SERVICE, argv))

    def kill(self, name: str) -> None:
        process = processes.find(self.directory, name)
        assert process is not None
        process.send_signal(signal.SIGKILL)

    async def bring(self, wanted: Desired) -> Status:
        status = await self.client.declare("flights", Declaration(desired=wanted))
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
        self.labels: dict[str, int] = {}
        self.times: list[tuple[float, str, str]] = []
        """When each answer came (monotonic), how it ended, and by which version."""

    async def until_answered_by(self, label: str, seconds: float = 60.0) -> None:
        """Return once the version of that label has answered."""
        async with asyncio.timeout(seconds):
            while not self.labels.get(label):  # noqa: ASYNC110 - what a client sees
                await asyncio.sleep(0.02)

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
                end, label = str(answer.status_code), answer.headers.get("x-heliostat-version", "")
                self.pids.add(answer.json().get("pid", 0))
            except httpx.HTTPError as error:
                end, label = f"{type(error).__name__}: {error}", ""
            self.times.append((time.monotonic(), end, label))
            self.labels[label] = self.labels.get(label, 0) + 1
            self.ends[end] = self.ends.get(end, 0) + 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A cluster whose application is what the test module calls `APP`."""
    directory = tmp_path_factory.mktemp("live")
    cluster = LocalCluster(directory / "ray")
    ray = RayClusterInputs(directory=str(directory / "ray"), head=RayNode(cpus=2), workers=RayWorkers(count=0))
    try:
        await cluster.start(ray, lambda line: None)
        stack = Stack(directory, cluster, getattr(request.module, "APP", "tiny_app"))
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
