"""Analysis runners beside the loop: one process an application, for as long as every pass asks for it.

`heliostat.spec.analysis_runner` has their protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from heliostat.spec.analysis import Measurements, Source
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints
from heliostat.systems import processes

_log = logging.getLogger(__name__)
_NICE = 10
_LINE_BYTES = 16 * 1024 * 1024
_STOP_SECONDS = 3.0
_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
_TAIL_LINES = 20


@dataclass
class _AnalysisRunner:
    """One that is at work, or is begun again."""

    key: str
    task: AnalysisTask
    endpoints: Endpoints
    asked_at: float
    """When it was asked for `task` first, by the loop's clock."""
    figures: Measurements | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    runner: asyncio.Task[None] | None = None
    asked: bool = True


class AnalysisRunners:
    """All of them."""

    def __init__(self, module: str, directory: Path, told: Callable[[], None]) -> None:
        """`told` is called when one says something new; `directory` takes their tasks."""
        self._module = module
        self._directory = directory
        self._told = told
        self._running: dict[str, _AnalysisRunner] = {}
        self._ending: set[asyncio.Task[None]] = set()
        for name in ("analysis-*.json", "analyst-*.json"):  # by a controller that was killed, or an older one
            for left in directory.glob(name):
                left.unlink(missing_ok=True)

    def ask(self, key: str, task: AnalysisTask, endpoints: Endpoints) -> None:
        """Have one at work on `task`; another key is another one, from the start."""
        found = self._running.get(task.application)
        if found is not None and found.key != key:
            self._end(task.application)
            found = None
        if found is None:
            now = asyncio.get_running_loop().time()
            found = self._running[task.application] = _AnalysisRunner(key, task, endpoints, now)
            found.runner = asyncio.create_task(self._supervise(found))
        found.asked = True
        if found.endpoints != endpoints:
            found.endpoints = endpoints
            found.changed.set()

    def figures(self, application: str, key: str) -> Measurements | None:
        """What the one at work on `key` measured so far."""
        found = self._running.get(application)
        return found.figures if found is not None and found.key == key else None

    def sweep(self) -> None:
        """End those that were not asked for since the sweep before."""
        for name in [name for name, each in self._running.items() if not each.asked]:
            self._end(name)
        for each in self._running.values():
            each.asked = False

    def end_but(self, applications: Set[str]) -> None:
        """End those of all others, while nobody asks for any."""
        for name in self._running.keys() - applications:
            self._end(name)

    async def close(self) -> None:
        """End all of them."""
        for name in list(self._running):
            self._end(name)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, name: str) -> None:
        runner = self._running.pop(name).runner
        if runner is not None:
            runner.cancel()
            self._ending.add(runner)
            runner.add_done_callback(self._ending.discard)

    async def _supervise(self, runner: _AnalysisRunner) -> None:
        """Begin it again, less and less often, until it has done what it can."""
        # A name of its own: the one before may end, and take its file along, after this one began.
        path = self._directory / f"analysis-{runner.task.application}-{uuid.uuid4().hex[:8]}.json"
        loop, delay = asyncio.get_running_loop(), _FIRST_SECONDS
        try:
            while True:
                began = loop.time()
                error = await self._once(runner, path, runner.task.elapsed_seconds + began - runner.asked_at)
                if error is None:
                    return
                _log.warning("the analysis runner of %s %s", runner.task.application, error)
                self._take(runner, _with_error(runner, f"the analysis runner {error}"))
                if loop.time() - began > _LONGEST_SECONDS:
                    delay = _FIRST_SECONDS
                await asyncio.sleep(delay)
                delay = min(_LONGEST_SECONDS, delay * 2)
        finally:
            path.unlink(missing_ok=True)

    async def _once(self, runner: _AnalysisRunner, path: Path, elapsed: float) -> str | None:
        """One process, `elapsed` seconds into the analysis: how it went wrong; None where it has done what it can."""
        task = runner.task.model_copy(update={"elapsed_seconds": elapsed})
        try:
            processes.write_private(path, task.model_dump_json())
            code, tail = await self._run(runner, path)
        except OSError as error:
            # A full disk, or no room for another process: that passes.
            return f"cannot be started: {error.strerror or error}"
        return f"ended with {code}: {tail}" if code else None

    async def _run(self, runner: _AnalysisRunner, path: Path) -> tuple[int, str]:
        """One process from its start to its end: its exit code, and the end of what it said on stderr."""
        argv = (sys.executable, "-P", "-m", self._module, "--task", str(path))
        process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE_BYTES)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        beside = [
            asyncio.create_task(self._tell(runner, process)),
            asyncio.create_task(self._listen(runner, process)),
            asyncio.create_task(_collect(process, tail)),
        ]
        try:
            code = await process.wait()
            await asyncio.wait(beside[1:], timeout=1.0)
            return code, "\n".join(tail)
        finally:
            for task in beside:
                task.cancel()
            await _stop(process)

    async def _tell(self, runner: _AnalysisRunner, process: Process) -> None:
        """Where replicas answer, now and whenever that changes."""
        assert process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(ConnectionError):
            while True:
                runner.changed.clear()
                process.stdin.write(f"{runner.endpoints.model_dump_json()}\n".encode())
                await process.stdin.drain()
                await runner.changed.wait()

    async def _listen(self, runner: _AnalysisRunner, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for above
        async for line in process.stdout:
            try:
                self._take(runner, Measurements.model_validate_json(line))
            except ValidationError:
                _log.warning("the analysis runner of %s said %.200r", runner.task.application, line)

    def _take(self, runner: _AnalysisRunner, figures: Measurements) -> None:
        runner.figures = figures
        self._told()


def _with_error(runner: _AnalysisRunner, error: str) -> Measurements:
    if runner.figures is not None:
        return runner.figures.model_copy(update={"error": error})
    source = Source.SHADOW if runner.task.shadow_share is not None else Source.RECENT
    return Measurements(source=source, error=error)


async def _collect(process: Process, tail: deque[str]) -> None:
    assert process.stderr is not None  # noqa: S101 - asked for by the caller
    async for line in process.stderr:
        tail.append(line.decode(errors="replace").rstrip())


async def _stop(process: Process) -> None:
    """The end of its stdin is the order to stop; one that does not hear is killed."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
