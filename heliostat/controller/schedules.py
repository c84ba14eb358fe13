"""Predictions and looks that are due again: a job each, by what lies in the object store and nothing that this process knows.

What shall run is at `schedules/`, written by whoever declares it; what ran is noted beside what it made. So a controller
that was away makes up for the newest run alone, and two of them submit the same job, which Ray takes once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, Protocol

from pydantic import ValidationError

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.predictions import SCHEDULES, Scheduled, run_key
from heliostat.systems import code_packages
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, ObjectStore
from heliostat.systems.ray_jobs import LIVE, Job, entrypoint

_log = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 30.0
_ATTEMPTS: Final = 3


class Jobs(Protocol):
    """What is asked of `heliostat.systems.ray_jobs.RayJobs`."""

    async def attempts(self, base: str) -> list[Job]:
        """List the jobs `<base>-<attempt>`, the oldest first."""

    async def submit(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Start a job; where the id is taken already, somebody else just did, and that is as good."""

    async def stop(self, submission_id: str) -> None:
        """End a job; nothing where it has ended or is unknown."""


class Step(Enum):
    """What a due run needs."""

    SUBMIT = "submit"
    WAIT = "wait"
    STOP = "stop"
    """It takes longer than it may."""
    NOTE = "note"
    """It has ended, well or for good."""


@dataclass(frozen=True)
class Due:
    """A run that is due."""

    scheduled: Scheduled
    at: datetime

    @property
    def base(self) -> str:
        """Its jobs are called so, with the attempt behind."""
        return f"{self.scheduled.base}-{self.at:%Y%m%dT%H%M}"

    @property
    def note(self) -> str:
        """Where it is noted in the object store."""
        return run_key(self.scheduled, f"{self.at:%Y%m%dT%H%M}")


def due(scheduled: Scheduled, now: datetime) -> Due | None:
    """The newest run that is due; None where there was none since it was put on schedule."""
    from cronsim import CronSim

    since = datetime.fromtimestamp(scheduled.since, UTC)
    # Backwards from the next minute, the first is the newest up to now.
    at = next(CronSim(scheduled.schedule, now.replace(second=0, microsecond=0) + timedelta(minutes=1), reverse=True), None)
    return Due(scheduled, at) if at is not None and since < at <= now else None


def step(attempts: Sequence[Job], timeout_seconds: float, now: float) -> Step:
    """What a due run needs, by its jobs up to now."""
    if not attempts:
        return Step.SUBMIT
    last = attempts[-1]
    if last.status in LIVE:
        return Step.STOP if last.started and now - last.started > timeout_seconds else Step.WAIT
    return Step.NOTE if last.status == "SUCCEEDED" or len(attempts) >= _ATTEMPTS else Step.SUBMIT


class Schedules:
    """Looks for what is due, and has it run."""

    def __init__(
        self,
        objects: ObjectStore,
        address: StoreAddress,
        jobs: Callable[[], AbstractAsyncContextManager[Jobs]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._objects = objects
        self._address = address
        self._jobs = jobs
        self._now = now

    async def run(self) -> None:
        """Look every few seconds, for ever; whatever is away is tried again."""
        trouble = ""
        while True:
            try:
                await self.look()
                trouble = ""
            except (RetryableError, PermanentError) as error:
                if str(error) != trouble:  # once for each trouble, not at each look
                    _log.warning("what is due cannot be looked for: %s", error)
                trouble = str(error)
            except Exception:
                _log.exception("what is due cannot be looked for")
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Have each run that is due come a step further.

        Raises:
            PermanentError, RetryableError: the object store or Ray refuses, or does not answer.
        """
        found = await asyncio.to_thread(self._due)
        if not found:
            return
        async with self._jobs() as jobs:
            for each in found:
                await self._advance(jobs, each)

    def _due(self) -> list[Due]:
        """The runs that are due and were not noted."""
        now = datetime.fromtimestamp(self._now(), UTC)
        found = []
        for info in self._objects.list(SCHEDULES):
            try:
                scheduled = Scheduled.model_validate_json(self._objects.get(info.key))
            except ObjectMissingError:
                continue
            except ValidationError:
                _log.warning("%s is no schedule", self._objects.uri(info.key))
                continue
            each = due(scheduled, now)
            if each is not None and not self._objects.exists(each.note):
                found.append(each)
        return found

    async def _advance(self, jobs: Jobs, each: Due) -> None:
        attempts = await jobs.attempts(each.base)
        scheduled = each.scheduled
        match step(attempts, scheduled.timeout_seconds, self._now()):
            case Step.SUBMIT:
                identifier = f"{each.base}-{len(attempts) + 1}"
                _log.info("%s is due: %s begins", scheduled.name, identifier)
                environment = code_packages.job_env(scheduled.code_uri, environment_uri=scheduled.environment_uri)
                command = entrypoint(scheduled.module, self._address, scheduled.specification)
                await jobs.submit(identifier, command, environment, {"heliostat": each.base})
            case Step.STOP:
                _log.warning("%s takes more than %g s, and is stopped", attempts[-1].submission_id, scheduled.timeout_seconds)
                await jobs.stop(attempts[-1].submission_id)
            case Step.NOTE:
                await asyncio.to_thread(self._note, each, attempts[-1])

    def _note(self, each: Due, last: Job) -> None:
        if last.status != "SUCCEEDED":
            text = "%s failed %s times (%s) and is left until it is due again: see its log with `heliostat logs`"
            _log.warning(text, each.base, _ATTEMPTS, last.message or last.status)
        body = {"due": each.at.isoformat(), "job": last.submission_id, "status": last.status, "message": last.message}
        self._objects.put(each.note, json.dumps(body).encode())
