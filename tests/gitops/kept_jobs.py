"""A job runner whose jobs are files, for processes that come and go: each runs until a test ends it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from heliostat.systems.errors import PermanentError
from heliostat.systems.ray_jobs import LIVE, Job, JobInterrupted, attempts_of


class KeptJobs:
    """A `JobRunner`, and a context manager as the real one is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def all(self) -> list[Job]:
        """The jobs, by id."""
        return [Job(**json.loads(file.read_text())) for file in sorted(self._folder.glob("*.json"))]

    def end(self, submission_id: str, status: str = "SUCCEEDED", logs: str = "") -> None:
        """End a job that runs."""
        (job,) = (each for each in self.all() if each.submission_id == submission_id)
        self._keep(replace(job, status=status))
        self.write(submission_id, logs)

    def have_begun(self, submission_id: str, moment: float) -> None:
        """Have a job have begun then, Unix time."""
        (job,) = (each for each in self.all() if each.submission_id == submission_id)
        self._keep(replace(job, started=moment))

    def write(self, submission_id: str, logs: str) -> None:
        """Have a job have written something."""
        (self._folder / f"{submission_id}.log").write_text(logs)

    async def attempts(self, base: str) -> list[Job]:
        return attempts_of(base, self.all())

    async def find(self, submission_id: str) -> Job | None:
        return next((job for job in self.all() if job.submission_id == submission_id), None)

    async def submit(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        self._keep(Job(submission_id, "RUNNING", "", time.time(), None))

    async def logs(self, submission_id: str) -> str:
        file = self._folder / f"{submission_id}.log"
        return file.read_text() if file.exists() else ""

    async def stop(self, submission_id: str) -> None:
        self.end(submission_id, "STOPPED")

    async def follow(
        self, submission_id: str, on_progress: Callable[[dict[str, Any]], None], cancelled: asyncio.Event, seconds: float
    ) -> Job:
        while True:
            job = await self.find(submission_id)
            assert job is not None
            if job.status not in LIVE:
                return job
            if job.started and time.time() - job.started > seconds:
                await self.stop(submission_id)
                raise PermanentError(f"the job {submission_id} did not end within {seconds:g} s and was stopped")
            if cancelled.is_set():
                raise JobInterrupted(submission_id)
            await asyncio.sleep(0.01)

    def _keep(self, job: Job) -> None:
        (self._folder / f"{job.submission_id}.json").write_text(json.dumps(asdict(job)))
