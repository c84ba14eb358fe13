"""Ray's Jobs API: programs that run on a cluster and outlive whoever submitted them.

A job's submission id is deterministic, `<name>-<digest>-<attempt>`: whoever comes later finds the attempt that still runs
and attaches to it, or the number that the next attempt gets.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx

from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_client, reason

LIVE: Final = frozenset({"PENDING", "RUNNING"})
PROGRESS: Final = "heliostat-progress "
"""A line of a job's log with this in it tells, after it and as JSON, how far the job is."""
FAILURE: Final = "heliostat-failure "
"""The same for why it failed: `{"kind": ..., "message": ...}`."""
_POLL_SECONDS: Final = 0.25
_BYTES_A_SECOND: Final = 2_000_000
_OF_THE_WAIT: Final = 0.01
_MOST_SECONDS: Final = 5.0
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """One attempt, as Ray has it."""

    submission_id: str
    status: str
    """`PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`."""
    message: str
    started: float | None
    """Unix time, seconds."""
    exit_code: int | None

    @property
    def attempt(self) -> int:
        """From 1; 0 where the id is not one of ours."""
        number = self.submission_id.rpartition("-")[2]
        return int(number) if number.isdigit() else 0


class JobInterrupted(Exception):
    """Waiting was cancelled; the job goes on."""


class RayJobs:
    """The Jobs API of one cluster. Use as an async context manager."""

    def __init__(self, address: RayAddress, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = address.url
        self._client = open_client(address, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def attempts(self, base: str) -> list[Job]:
        """The jobs `<base>-<attempt>`, oldest first."""
        found = (await self._call("GET", "/api/jobs/")).json()
        return attempts_of(base, (_job(item) for item in found if item.get("submission_id")))

    async def find(self, submission_id: str) -> Job | None:
        """The job, or None where there is none."""
        response = await self._call("GET", f"/api/jobs/{submission_id}", absent_is_fine=True)
        return None if response.status_code == 404 else _job(response.json())

    async def submit(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Start a job; where the id is taken already, somebody else just did, and that is as good."""
        body = {
            "entrypoint": entrypoint,
            "submission_id": submission_id,
            "runtime_env": dict(runtime_env),
            "metadata": dict(metadata),
        }
        try:
            await self._call("POST", "/api/jobs/", json=body)
        except (PermanentError, RetryableError):
            if await self.find(submission_id) is None:
                raise

    async def logs(self, submission_id: str) -> str:
        """All that the job has written so far, without colours."""
        text: str = (await self._call("GET", f"/api/jobs/{submission_id}/logs")).json()["logs"]
        return _COLOURS.sub("", text or "")

    async def stop(self, submission_id: str) -> None:
        """End the job; nothing where it has ended or is unknown."""
        await self._call("POST", f"/api/jobs/{submission_id}/stop", absent_is_fine=True)

    async def delete(self, submission_id: str) -> None:
        """Forget a job that has ended; nothing where it is unknown."""
        await self._call("DELETE", f"/api/jobs/{submission_id}", absent_is_fine=True)

    async def follow(
        self, submission_id: str, on_progress: Callable[[dict[str, Any]], None], cancelled: asyncio.Event, seconds: float
    ) -> Job:
        """The job once it has ended; `on_progress` gets what it tells on the way.

        Raises:
            JobInterrupted: `cancelled` was set; the job goes on.
            PermanentError: it took more than `seconds` from its start, and was stopped.
        """
        seen, began = 0, time.monotonic()
        while True:
            job = await self.find(submission_id)
            if job is None:
                raise RetryableError(f"Ray no longer knows the job {submission_id}: the cluster is a new one; run it again")
            text = await self.logs(submission_id)
            for told in progress_in(text[seen:]):
                on_progress(told)
            seen = text.rfind("\n") + 1
            if job.status not in LIVE:
                return job
            await self._refuse_overdue(job, seconds)
            try:
                await asyncio.wait_for(cancelled.wait(), until_next_look(_POLL_SECONDS, time.monotonic() - began, text))
            except TimeoutError:
                continue
            raise JobInterrupted(submission_id)

    async def _refuse_overdue(self, job: Job, seconds: float) -> None:
        if job.started and time.time() - job.started > seconds:
            await self.stop(job.submission_id)
            raise PermanentError(
                f"the job {job.submission_id} did not end within {seconds:g} s and was stopped: "
                "raise timeoutSeconds, or give it less to do"
            )

    async def _call(self, method: str, path: str, absent_is_fine: bool = False, **arguments: Any) -> httpx.Response:
        try:
            response = await self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise RetryableError(f"Ray does not answer at {self._url}: {reason(error)}; is the cluster up?") from None
        if response.status_code == 404 and absent_is_fine:
            return response
        if response.status_code in (401, 403):
            raise PermanentError(f"Ray at {self._url} refuses the token ({response.status_code}): it is another cluster's")
        if response.status_code >= 400:
            text = response.text.strip()[-2000:]
            kind = RetryableError if response.status_code >= 502 or absent_is_fine else PermanentError
            raise kind(f"Ray at {self._url} answered {response.status_code} to {method} {path}: {text}")
        return response


def until_next_look(shortest: float, waited: float, log: str) -> float:
    """Seconds until a job that was waited for so long is looked at again, and its log asked for, as a whole.

    Each look costs the cluster's head hundredths of a second of the processor, which it may share with the job: on a small
    machine a job of two minutes lost six seconds where it was looked at four times a second.
    """
    return max(shortest, min(_OF_THE_WAIT * waited, _MOST_SECONDS)) + len(log) / _BYTES_A_SECOND


def attempts_of(base: str, jobs: Iterable[Job]) -> list[Job]:
    """Those of `jobs` that are called `<base>-<attempt>`, the oldest first."""
    ours = [job for job in jobs if job.submission_id.rpartition("-")[0] == base and job.attempt]
    return sorted(ours, key=lambda job: job.attempt)


def entrypoint(module: str, store: StoreAddress, key: str) -> str:
    """The command of a program of ours: `python -m <module>` with the place in the store that it works with."""
    where = json.dumps({"store": store.model_dump(mode="json", by_alias=True, exclude_none=True), "key": key})
    return f"python -m {module} {shlex.quote(where)}"


def failure_in(logs: str) -> dict[str, str] | None:
    """What the job said of its failure, last; None where it said nothing (it was killed)."""
    for line in reversed(logs.splitlines()):
        _, mark, told = line.partition(FAILURE)
        if mark:
            try:
                found: dict[str, str] = json.loads(told)
                return found
            except ValueError:
                continue
    return None


def progress_in(logs: str) -> Iterator[dict[str, Any]]:
    """All that a job told of how far it was, in order; a line that is not whole yet is left out."""
    for line in logs.splitlines():
        _, mark, told = line.partition(PROGRESS)
        if mark:
            try:
                yield json.loads(told)
            except ValueError:
                continue


def _job(item: Mapping[str, Any]) -> Job:
    started = item.get("start_time")
    return Job(
        submission_id=item["submission_id"],
        status=item["status"],
        message=item.get("message") or "",
        started=started / 1000 if started else None,
        exit_code=item.get("driver_exit_code"),
    )
