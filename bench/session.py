"""One run of the bench: what it has started, so that it all ends with it, and what the measurements share."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock, Timeout
from rich.console import Console

from bench import baseline, payloads
from bench.arrivals import Arrivals, arrivals
from bench.commands import MeasurementError, tail
from bench.loadgen import Generator
from bench.workspace import Workspace, until
from heliostat.systems import processes
from heliostat.systems.errors import PermanentError
from heliostat.systems.processes import Service
from heliostat.testing import CommandError

SOURCE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stack:
    """The bench's stack, up."""

    workspace: Workspace
    first_prediction_seconds: float
    application: str
    """`http://host:port/flights`"""
    outputs: dict[str, Any]
    replicas: int

    @property
    def predict_url(self) -> str:
        """Where a client asks."""
        return f"{self.application}/predict"


@dataclass
class Session:
    """What one run shares and ends."""

    console: Console
    folder: Path
    _services: list[tuple[Path, str]] = field(default_factory=list)

    @cached_property
    def workspace(self) -> Workspace:
        """The checkout of the bench, just made."""
        workspace = Workspace(SOURCE, self.folder / "checkout")
        workspace.make()
        return workspace

    @cached_property
    def stack(self) -> Stack:
        """The whole local stack, brought up from nothing when first asked for, as `make up` does.

        Raises:
            CommandError: it did not come up.
        """
        self.tell("bringing up a stack from nothing")
        done = self.workspace.first_up()
        outputs = self.workspace.outputs()
        application = outputs["flights"]["url"]
        inputs = self.workspace.resources()["Application"]["inputs"]
        stack = Stack(self.workspace, done.seconds, application, outputs, int(inputs["replicas"]))
        self.tell(f"up with a prediction after {done.seconds:.1f} s, at {application}")
        return stack

    @cached_property
    def baseline(self) -> Path:
        """The files of the build that this one is measured against."""
        return baseline.checkout(SOURCE, self.folder / "baseline")

    @cached_property
    def workspace_before(self) -> Workspace:
        """A checkout of that build, with a stack of its own that keeps what it made while it is down."""
        workspace = Workspace(self.baseline, self.folder / "before", baseline.environment(self.baseline))
        workspace.make()
        workspace.edit("platform", lambda platform: platform.update(onDestroy="keep"))
        return workspace

    @cached_property
    def rows(self) -> Generator:
        """Load of the application's own requests: one row each."""
        return Generator.of(payloads.flights(), self.folder / "load", "rows")

    @contextmanager
    def arrivals(self, rate: int) -> Iterator[Arrivals]:
        """Load of the application's own requests at a constant rate, for as long as the block takes."""
        with arrivals(self.stack.predict_url, rate, payloads.flights(), self.folder / "load") as load:
            yield load

    def tell(self, text: str) -> None:
        """A line about how far the run is."""
        self.console.print(f"  [dim]{text}[/]", highlight=False)

    @contextmanager
    def serving(self, service: Service, answers: Callable[[], bool], seconds: float = 120) -> Iterator[None]:
        """A process tree that runs while the block does and `answers` when the block begins.

        Raises:
            MeasurementError: it never answered; with the end of its log.
        """
        self._services.append((service.directory, service.name))
        root = processes.start(service)

        def up() -> bool:
            if processes.find(service.directory, service.name) is None:
                raise MeasurementError(f"{service.name} (process {root}) ended")
            return answers()

        try:
            until(up, f"{service.name} answers", seconds)
            yield
        except MeasurementError as error:
            log = tail(processes.log_tail(service.directory, service.name))
            raise MeasurementError(f"{error}\n{log}") from error
        finally:
            asyncio.run(processes.stop(service.directory, service.name, grace_seconds=0.0))
            self._services.remove((service.directory, service.name))

    def close(self) -> None:
        """End everything that the run started, in order where that works, and remove its folder."""
        for workspace in (self.__dict__.get("workspace"), self.__dict__.get("workspace_before")):
            if workspace is not None:
                self._destroy(workspace)
        sweep(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _destroy(self, workspace: Workspace) -> None:
        try:
            workspace.close()
        except (CommandError, OSError) as error:
            self.tell(f"the stack did not go down in order; its processes are killed: {error}")


def sweep(folder: Path) -> None:
    """End every service whose data folder is below `folder`, whoever started it."""
    for record in sorted(folder.rglob("*.pid.json")):
        name = record.name.removesuffix(".pid.json")
        try:
            asyncio.run(processes.stop(record.parent, name, grace_seconds=0.0))
        except PermanentError:
            continue


def answers(url: str, body: Any = None, key: str = "") -> bool:
    """Whether `url` answers with status 200 now, and, where `key` is given, with JSON that has it."""
    try:
        answer = httpx.get(url, timeout=5) if body is None else httpx.post(url, json=body, timeout=5)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and (not key or key in answer.text)


@contextmanager
def opened(console: Console) -> Iterator[Session]:
    """A session; what an earlier run that was killed left behind is cleared first.

    Raises:
        MeasurementError: another bench of this checkout is running.
    """
    folder = SOURCE / ".heliostat" / "bench"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_suffix(".lock"), timeout=0):
            sweep(folder)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            session = Session(console, folder)
            try:
                yield session
            finally:
                session.close()
    except Timeout:
        raise MeasurementError(f"another bench runs in this checkout (it holds {folder.with_suffix('.lock')})") from None
