"""A traffic plane of real HAProxies with their agents as processes, and a controller's part of it in this one."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import Depends, FastAPI
from traffic_plane import free_port

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.controller.doors import Door, Guard
from heliostat.controller.store import Store
from heliostat.controller.traffic_api import add_traffic
from heliostat.spec.base import make_all
from heliostat.spec.controller import TRAFFIC_SERVICE
from heliostat.systems import processes

TOKEN = "secret-token"
_PROGRAM = """
from heliostat.traffic import __main__, agent
agent.LEASE_SECONDS = 2.0  # as a test's time is short
__main__.main()
"""


class Clock:
    """Time that a test can have pass."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


class Controller:
    """The part of a controller that agents speak to."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self.clock = Clock()

    async def start(self) -> FleetRouter:
        """Begin, with what an earlier one kept."""
        make_all()
        self.store = Store(self.directory)
        self.fleet = FleetRouter(self.store, self.clock)
        app = FastAPI(dependencies=[Depends(Guard(Door(TOKEN)))])
        add_traffic(app, self.fleet)
        config = uvicorn.Config(app, port=self.port, log_level="critical", timeout_graceful_shutdown=0, lifespan="off")
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server._serve())
        return self.fleet

    async def stop(self) -> None:
        """End; agents go on."""
        self._server.should_exit = self._server.force_exit = True
        await self._serving
        self.store.close()

    async def until(self, holds: Callable[[FleetRouter], bool], seconds: float = 60.0) -> None:
        """Wait until something holds of the members."""
        async with asyncio.timeout(seconds):
            while not holds(self.fleet):
                await self.fleet._heard.wait(0.2)

    async def members(self, *names: str) -> None:
        """Wait until these, and no others, have clients."""
        await self.until(lambda fleet: [each.name for each in fleet.members() if each.report.ready] == sorted(names))


class Agent:
    """One member."""

    def __init__(self, name: str, directory: Path, controller_port: int) -> None:
        self.name, self.directory = name, directory / name
        self.public_port, self.port = free_port(), free_port()
        self.controller = f"http://127.0.0.1:{controller_port}"
        self.process: Process | None = None

    async def start(self) -> Agent:
        """Begin, with what an earlier one of this folder kept."""
        token = self.directory.parent / "token"
        token.write_text(TOKEN)
        ports = ("--public-port", str(self.public_port), "--port", str(self.port), "--url", f"http://127.0.0.1:{self.port}")
        of = ("--controller", self.controller, "--token-file", str(token), "--directory", str(self.directory))
        limits = ("--settle-seconds", "0.3", "--drain-seconds", "10", "--host", "127.0.0.1", "--member", self.name)
        argv = (sys.executable, "-P", "-c", _PROGRAM, *of, *ports, *limits)
        self.directory.mkdir(exist_ok=True)
        with (self.directory / "agent.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=log, stderr=log)
        return self

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.returncode is None

    async def ready(self) -> str:
        """What its probe answers; why it does not, where it does not."""
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"http://127.0.0.1:{self.port}/readyz")).text.strip()
            except httpx.HTTPError as error:
                return type(error).__name__

    async def says(self, text: str) -> None:
        """Wait until its probe answers that."""
        async with asyncio.timeout(60):
            while True:
                found = await self.ready()
                if found == text:
                    return
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End all of it at once, as a node that is lost does."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await processes.stop(self.directory, TRAFFIC_SERVICE, grace_seconds=0)

    async def end(self) -> int:
        """End it in order; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def plane(directory: Path, *names: str) -> AsyncIterator[tuple[Controller, dict[str, Agent]]]:
    """A controller and members, all of them ready; more may be added."""
    controller = Controller(directory / "controller")
    await controller.start()
    agents = {name: Agent(name, directory, controller.port) for name in names}
    try:
        for agent in agents.values():
            await agent.start()
        await controller.members(*names)
        yield controller, agents
    finally:
        for agent in agents.values():
            await agent.kill()
        await controller.stop()
