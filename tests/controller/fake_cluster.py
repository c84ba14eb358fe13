"""A cluster and a traffic plane in memory, at the seams where the controller speaks to the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import httpx

from heliostat.controller.api import create_app
from heliostat.controller.backends.ray_serve import RayServe
from heliostat.controller.backends.serving import ServingBackend
from heliostat.controller.ledger import Ledger
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.store import Store
from heliostat.spec.addresses import ControllerAddress, RayAddress, StoreAddress, TokenFile
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory
from heliostat.systems.ray_serve import ServeApplication, ServeInstance, ServeStatus
from heliostat.testing.backends import MemoryRouter

TOKEN = "secret-token"
TRACEBACK = "Traceback (most recent call last):\nValueError: no column 'altitude'"


def behaviour(config: dict[str, Any]) -> str:
    return str(config["args"]["version"]["contract"]).partition(":")[2]


class FakeServe:
    """Starts whatever it is given at once."""

    def __init__(self, first_port: int = 30_000) -> None:
        self.apps: dict[str, dict[str, Any]] = {}
        self.away = False
        self.failing = False
        """Whether everything on it crashes."""
        self.deploys: list[str] = []
        self._ports: dict[tuple[str, int], int] = {}
        self._free = count(first_port)

    async def read(self) -> ServeInstance:
        if self.away:
            raise RetryableError("Ray does not answer")
        return ServeInstance({name: self._application(name, config) for name, config in self.apps.items()})

    async def deploy(self, application: dict[str, Any]) -> None:
        self.apps[application["name"]] = application
        self.deploys.append(application["name"])

    async def change(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        if name in self.apps:
            self.apps[name] = change(self.apps[name])

    async def delete(self, name: str) -> None:
        self.apps.pop(name, None)

    async def close(self) -> None:
        return

    async def prepare(self) -> None:
        return

    def make_anew(self) -> None:
        """The cluster ends, with all that Serve had; it is away until somebody says that it is there again."""
        self.apps.clear()
        self._ports.clear()
        self.away = True

    def config_at(self, port: int) -> dict[str, Any]:
        return next(self.apps[name] for (name, _), each in self._ports.items() if each == port and name in self.apps)

    def _application(self, name: str, config: dict[str, Any]) -> ServeApplication:
        failed = behaviour(config) == "crashes" or self.failing
        replicas = 0 if failed else config["deployments"][0]["num_replicas"]
        ports = [
            self._ports.get((name, index)) or self._ports.setdefault((name, index), next(self._free))
            for index in range(replicas)
        ]
        queue = config["args"]["version"].get("queue")
        said = {each["name"]: each["num_replicas"] for each in config["deployments"][1:]}
        workers = {"tasks": (queue.get("workers") or {}).get("replicas", 1), **said} if queue is not None else {}
        return ServeApplication(
            name=name,
            status=ServeStatus.DEPLOY_FAILED if failed else ServeStatus.RUNNING,
            error=TRACEBACK if failed else "",
            config=config,
            deployments={"model": replicas, **workers},
            replicas=tuple(Endpoint(f"{config['args']['version']['label']}.{port}", "127.0.0.1", port) for port in ports),
            leftover=0,
            workers=sum(workers.values()),
        )


class FakeCluster:
    """A controller with everything around it, in one process."""

    ray_url = "http://127.0.0.1:1"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.serve = FakeServe()
        self.traffic = MemoryRouter()
        (directory / "token").write_text(TOKEN)
        self.address = ControllerAddress(url="http://controller", credential=TokenFile(path=str(directory / "token")))
        self.reconciler = self.start()

    def start(self) -> Reconciler:
        """The controller, as after it was killed: all it knows is what it kept."""
        inputs = ControllerInputs(
            directory=str(self.directory),
            ray=RayAddress(url=self.ray_url),
            store=StoreAddress(uri=f"file://{self.directory}/objects"),
            tracking_uri="http://mlflow",
        )
        settings = ControllerSettings(
            inputs=inputs,
            api_port=20001,
            public_port=20002,
            serve_port=20003,
            runtime_directory=str(self.directory),
            analysis_module="tiny_analysis_runner",
        )
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._golden))
        store, objects = Store(self.directory), Directory(self.directory / "objects")
        self.ledger = Ledger(store, objects)
        self.reconciler = Reconciler(store, self.backend(store, settings), self.traffic, client, settings, self.ledger)
        self.app = create_app(self.reconciler, TOKEN, "http://public")
        return self.reconciler

    def backend(self, store: Store, settings: ControllerSettings) -> ServingBackend:
        """What the controller has replicas run by."""
        return RayServe(self.serve, settings)  # type: ignore[arg-type]

    def config_at(self, port: int) -> dict[str, Any]:
        """What the replica at a port was deployed with."""
        return self.serve.config_at(port)

    def client(self) -> ControllerClient:
        return ControllerClient(self.address, httpx.ASGITransport(self.app))

    def raw(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://controller")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ControllerClient]:
        import asyncio

        tasks = [asyncio.create_task(each) for each in (self.reconciler.run(), self.ledger.run())]
        try:
            async with self.client() as client:
                yield client
        finally:
            for task in tasks:
                task.cancel()
            await self.reconciler.close()

    def _golden(self, call: httpx.Request) -> httpx.Response:
        if behaviour(self.config_at(call.url.port or 0)) == "wrong":
            return httpx.Response(500, json={"failures": [{"name": "request 1", "reason": "expected late"}]})
        return httpx.Response(200, json={"passed": 1})


class CountingReplicas(FakeCluster):
    """Replicas that tell what they counted, while they are there."""

    there = True
    path = ""
    """Below which they tell it."""
    said: ClassVar[dict[str, Any]] = {}

    def _golden(self, call: httpx.Request) -> httpx.Response:
        if self.path not in call.url.path:
            return super()._golden(call)
        if not self.there:
            raise httpx.ConnectError("gone")
        return httpx.Response(200, json=self.said)
