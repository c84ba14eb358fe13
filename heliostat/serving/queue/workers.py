"""The workers of one replica: processes that are started, looked after, and ended in order.

A task that kills its process kills no more than that: what the process had goes back to the broker at once, and another
process takes its place.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from typing import Final

from heliostat.serving.queue.consumer import TOOK_TOO_LONG
from heliostat.serving.queue.settings import WorkerSettings
from heliostat.spec.rollouts import ServingArguments
from heliostat.systems.brokers.base import TaskBroker
from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger("ray.serve")

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_MORE_STARTS: Final = 2
_FAILED: Final = 1
"""The exit code of a worker that has said why, or of a program that Python could not run."""
_LOOK_SECONDS: Final = 0.2


class Worker:
    """One process, and those that take its place."""

    def __init__(self, arguments: ServingArguments, command: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._command = command
        self.name = ""
        self.process: subprocess.Popen[str] | None = None
        self._ready = False
        self._pause = _FIRST_PAUSE
        self.due = 0.0
        """When it may be started again, by `time.monotonic`."""

    def start(self) -> None:
        """Start it; whether it can answer is told by `await_ready`."""
        self.name = f"{self._arguments.version.label}-{secrets.token_hex(6)}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        self._ready = False
        settings = WorkerSettings(name=self.name, arguments=self._arguments)
        assert self.process.stdin is not None  # noqa: S101 - for mypy
        try:
            # Its input stays open: its end tells the worker that nobody looks after it any more.
            self.process.stdin.write(settings.model_dump_json() + "\n")
            self.process.stdin.flush()
        except OSError:
            _log.warning("the worker %s ended as it was started", self.name)

    def await_ready(self) -> str:
        """Why it cannot answer; empty once it can."""
        error = self._told()
        self._ready = not error
        return error

    def _told(self) -> str:
        """What it says of its start: why it cannot answer, or nothing."""
        assert self.process is not None  # noqa: S101
        assert self.process.stdout is not None  # noqa: S101
        line = self.process.stdout.readline()
        if not line:
            return f"the process ended with {self.process.wait()} before it was ready; the replica's log has more"
        return str(json.loads(line).get("error", ""))

    def ended(self) -> int | None:
        """The exit code of a process that has ended and was not looked at yet."""
        code = None if self.process is None else self.process.poll()
        if code is None or self.process is None:
            return None
        if self._ready or not self._told():
            # A task ended it; the next one can start at once.
            self._pause, self.due = _FIRST_PAUSE, 0.0
        else:
            self.due = time.monotonic() + self._pause
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        self._close()
        return code

    def terminate(self) -> None:
        """Have it finish what it works on."""
        if self.process is not None:
            self.process.terminate()

    def kill_at(self, end: float) -> bool:
        """Wait for its end until then, by `time.monotonic`, and kill it; whether it had to be."""
        if self.process is None:
            return False
        try:
            self.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return True
        finally:
            self._close()
        return False

    def _close(self) -> None:
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        _log.debug("the worker %s ended before it read what it is", self.name)
        self.process = None


class Workers:
    """As many as a version's queue says. Not for several threads."""

    def __init__(
        self,
        arguments: ServingArguments,
        broker: TaskBroker,
        count: int,
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "heliostat.serving.queue"),
    ) -> None:
        self._broker = broker
        self._workers = [Worker(arguments, command) for _ in range(count)]
        self._stop = threading.Event()
        self._minder = threading.Thread(target=self._mind, name="workers", daemon=True)

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def start(self) -> None:
        """Start all, and return once they take tasks.

        Raises:
            PermanentError: one cannot answer with this version; none runs then.
        """
        for worker in self._workers:
            worker.start()
        problems = [problem for worker in self._workers if (problem := self._problem_of(worker))]
        if problems:
            self._end(time.monotonic())
            raise PermanentError(f"the workers of tasks do not start: {problems[0]}")
        self._minder.start()

    def _problem_of(self, worker: Worker) -> str:
        """Why one does not start; one that died without a word may have been killed, and is started again."""
        problem = worker.await_ready()
        for _ in range(_MORE_STARTS):
            if worker.ended() in (None, 0, _FAILED):
                break
            worker.start()
            problem = worker.await_ready()
        return problem

    def stop(self, seconds: float) -> None:
        """Have each finish the task that it has, for so long; what is not finished then another worker begins anew."""
        self._stop.set()
        if self._minder.is_alive():
            self._minder.join()
        self._end(time.monotonic() + seconds)

    def _end(self, at: float) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            if worker.kill_at(at):
                self._abandon(worker.name, blame=False)

    def _mind(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for worker in self._workers:
                code = worker.ended()
                if code is not None:
                    _log.warning("the worker %s ended with %d; another one takes its place", worker.name, code)
                    self._abandon(worker.name, blame=code not in (0, TOOK_TOO_LONG))
                if worker.process is None and time.monotonic() >= worker.due and not self._stop.is_set():
                    worker.start()

    def _abandon(self, name: str, blame: bool) -> None:
        try:
            self._broker.abandon(name, blame)
        except RetryableError as error:
            _log.warning("what %s had is back when its lease ends: %s", name, error)
