"""A job runner in memory, at the seam where the provider runs jobs: each ends at once, or when a test says so."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_jobs import LIVE, PROGRESS, Job, JobInterrupted

__all__ = ["JobResult", "MemoryJobs", "Submission"]


@dataclass(frozen=True)
class Submission:
    """What a runner was asked to run."""

    submission_id: str
    entrypoint: str
    """A command line, as a shell takes it."""
    runtime_env: Mapping[str, Any]
    """Ray's: `working_dir`, `env_vars` and the like."""
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class JobResult:
    """How a job ends."""

    status: str = "SUCCEEDED"
    """`SUCCEEDED`, `FAILED` or `STOPPED`."""
    logs: str = ""
    """All that it wrote."""
    message: str = ""
    """What the runner says of its end."""
    exit_code: int | None = 0


@dataclass
class _Entry:
    """A job, what it wrote, and whether it has ended."""

    job: Job
    logs: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryJobs:
    """A `JobRunner`, and a context manager as the real one is.

    `program` says how what is submitted ends; None: it runs until `end` or `stop`. By default all succeeds at once.
    """

    def __init__(self, program: Callable[[Submission], JobResult | None] = lambda _: JobResult()) -> None:
        self.away = False
        """Whether it does not answer."""
        self.submitted: list[Submission] = []
        """What was started, in order."""
        self.followed = asyncio.Event()
        """Set when somebody waits for a job that runs."""
        self._program = program
        self._jobs: dict[str, _Entry] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def attempts(self, base: str) -> list[Job]:  # noqa: D102 - see JobRunner
        self._require_answer()
        found = [each.job for each in self._jobs.values() if each.job.submission_id.rpartition("-")[0] == base]
        return sorted((job for job in found if job.attempt), key=lambda job: job.attempt)

    async def find(self, submission_id: str) -> Job | None:  # noqa: D102
        self._require_answer()
        entry = self._jobs.get(submission_id)
        return entry.job if entry is not None else None

    async def submit(  # noqa: D102
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        self._require_answer()
        if submission_id in self._jobs:
            return
        submission = Submission(submission_id, entrypoint, dict(runtime_env), dict(metadata))
        self.submitted.append(submission)
        self._jobs[submission_id] = _Entry(Job(submission_id, "RUNNING", "", time.time(), None))
        result = self._program(submission)
        if result is not None:
            self.end(submission_id, result)

    async def logs(self, submission_id: str) -> str:  # noqa: D102
        self._require_answer()
        if submission_id not in self._jobs:
            raise PermanentError(f"there is no job {submission_id}")
        return self._jobs[submission_id].logs

    async def stop(self, submission_id: str) -> None:  # noqa: D102
        self._require_answer()
        entry = self._jobs.get(submission_id)
        if entry is not None and entry.job.status in LIVE:
            self.end(submission_id, JobResult("STOPPED", entry.logs, exit_code=None))

    async def follow(  # noqa: D102
        self, submission_id: str, on_progress: Callable[[dict[str, Any]], None], cancelled: asyncio.Event, seconds: float
    ) -> Job:
        self._require_answer()
        entry = self._jobs.get(submission_id)
        if entry is None:
            raise RetryableError(f"there is no job {submission_id} any more: run it again")
        if not entry.ended.is_set():
            await self._wait(entry, cancelled, seconds)
        for line in entry.logs.splitlines():
            _, mark, told = line.partition(PROGRESS)
            if mark:
                on_progress(json.loads(told))
        return entry.job

    def end(self, submission_id: str, result: JobResult) -> None:
        """End a job that runs.

        Raises:
            KeyError: none of that id was submitted.
        """
        entry = self._jobs[submission_id]
        entry.job = replace(entry.job, status=result.status, message=result.message, exit_code=result.exit_code)
        entry.logs = result.logs
        entry.ended.set()

    def lose(self) -> None:
        """Forget every job, as a cluster whose head is made anew."""
        self._jobs.clear()

    async def _wait(self, entry: _Entry, cancelled: asyncio.Event, seconds: float) -> None:
        """Return at the end of a job."""
        self.followed.set()
        identifier, left = entry.job.submission_id, (entry.job.started or 0.0) + seconds - time.time()
        waiting = {asyncio.create_task(event.wait()) for event in (entry.ended, cancelled)}
        try:
            await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if entry.ended.is_set():
            return
        if cancelled.is_set():
            raise JobInterrupted(identifier)
        await self.stop(identifier)
        raise PermanentError(f"the job {identifier} did not end within {seconds:g} s and was stopped")

    def _require_answer(self) -> None:
        if self.away:
            raise RetryableError("the cluster does not answer")
