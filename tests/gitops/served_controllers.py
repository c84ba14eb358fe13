"""Real controllers behind ports of this machine, each over replicas and a traffic plane in memory, in one thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from heliostat.controller import requeueing
from heliostat.controller.api import create_app
from heliostat.controller.ledger import Ledger
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.store import Store
from heliostat.gitops.went_back import is_settled
from heliostat.rollout.model import Colour
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import backend_name
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.spec.rollouts import Status
from heliostat.systems.objects import Directory
from heliostat.testing.backends import MemoryRouter, MemoryServing

TOKEN = "secret-token"


class ServedController:
    """A controller whose replicas start at once; those of a model in `wrong` answer its golden requests wrongly."""

    def __init__(self, folder: Path, wrong: frozenset[str] = frozenset()) -> None:
        folder.mkdir(parents=True)
        self.folder, self.wrong = folder, wrong
        self.url = ""
        self.held = False
        """Whether golden requests get no answer for now."""
        (folder / "token").write_text(TOKEN)
        self.serving, self.router = MemoryServing(), MemoryRouter()

    @property
    def platform(self) -> dict[str, Any]:
        """What a stack exports of a platform that has it."""
        return {
            "store": {"uri": f"file://{self.folder}/objects"},
            "ray": {"url": "http://127.0.0.1:1"},
            "trackingUri": "http://127.0.0.1:1",
            "controller": {"url": self.url, "credential": {"kind": "file", "path": f"{self.folder}/token"}},
            "publicUrl": "http://public",
        }

    @property
    def served(self) -> dict[str, str]:
        """The model that each application's clients get."""
        found = {}
        for name, share in self.router.shares.items():
            colour = Colour.GREEN if share == 10_000 else Colour.BLUE
            endpoints = self.router.servers[backend_name(name, colour)].values()
            found[name] = self.serving.desired_at(next(iter(endpoints)).endpoint.port).version.model_uri
        return found

    def statuses(self) -> list[Status]:
        """All applications, as its API has them."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        found = httpx.get(f"{self.url}/v1/applications", headers=headers, timeout=30).json()
        return [Status.model_validate(each) for each in found]

    def rollouts_end(self) -> bool:
        """Wait until nothing is on its way; whether that came."""
        return self.until(lambda statuses: all(map(is_settled, statuses)))

    def until(self, holds: Callable[[list[Status]], bool], seconds: float = 120.0) -> bool:
        """Wait until something holds of all applications; whether that came."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if holds(self.statuses()):
                return True
            time.sleep(0.1)
        return False

    def parts(self, store: Store) -> tuple[FastAPI, Reconciler, Ledger]:
        """Of the controller; to be made in the loop that it runs in."""
        inputs = ControllerInputs(
            directory=str(self.folder),
            ray=RayAddress(url="http://127.0.0.1:1"),
            store=StoreAddress(uri=f"file://{self.folder}/objects"),
            tracking_uri="http://127.0.0.1:1",
        )
        ports = {"api_port": 20001, "public_port": 20002, "serve_port": 20003}
        settings = ControllerSettings(inputs=inputs, **ports, runtime_directory=str(self.folder))
        ledger = Ledger(store, Directory(self.folder / "objects"))
        replicas = httpx.AsyncClient(transport=httpx.MockTransport(self._golden))
        reconciler = Reconciler(store, self.serving, self.router, replicas, settings, ledger)
        return create_app(reconciler, TOKEN, "http://public"), reconciler, ledger

    async def _golden(self, call: httpx.Request) -> httpx.Response:
        while self.held:  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.02)
        if self.serving.desired_at(call.url.port or 0).version.model_uri in self.wrong:
            return httpx.Response(500, json={"failures": [{"name": "request 1", "reason": "expected late"}]})
        return httpx.Response(200, json={"passed": 1})


@contextmanager
def served(*controllers: ServedController) -> Iterator[None]:
    """Have controllers answer while the context lasts."""
    started, ended = threading.Event(), threading.Event()

    async def serve(controller: ServedController) -> None:
        store = Store(controller.folder)
        app, reconciler, ledger = controller.parts(store)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
        tasks = [asyncio.create_task(each) for each in (reconciler.run(), ledger.run(), server.serve())]
        while not server.started:  # noqa: ASYNC110 - the server tells it by nothing else
            await asyncio.sleep(0.01)
        controller.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        if all(each.url for each in controllers):
            started.set()
        await asyncio.to_thread(ended.wait)
        server.should_exit = server.force_exit = True
        await tasks.pop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await reconciler.close()
        store.close()

    async def serve_all() -> None:
        await asyncio.gather(*map(serve, controllers))

    thread = threading.Thread(target=lambda: asyncio.run(serve_all()), daemon=True)
    thread.start()
    try:
        assert started.wait(120)
        yield
    finally:
        ended.set()
        thread.join(30)


def quick(monkeypatch: Any) -> None:
    """Have controllers look again soon."""
    for name, seconds in (("BUSY_SECONDS", 0.05), ("WATCH_SECONDS", 0.1), ("IDLE_SECONDS", 0.2)):
        monkeypatch.setattr(requeueing, name, seconds)
