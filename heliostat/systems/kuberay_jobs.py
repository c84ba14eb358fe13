"""Jobs with a Ray cluster each: KubeRay makes it for a RayJob, and takes it away when that has ended."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from heliostat.spec.addresses import RayAddress, RayClusterAddress, StoreAddress
from heliostat.spec.ray_job import JOB_LABEL, STOPPED_ANNOTATION, WORK_LABEL, Request, mistakes, name_of, ray_job, shortened
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kuberay import KubeRay
from heliostat.systems.kuberay_status import is_told_to_stop, job_of, waiting
from heliostat.systems.objects import ObjectMissingError, open_store
from heliostat.systems.ray_jobs import (
    LIVE,
    Job,
    JobInterrupted,
    RayJobs,
    attempts_of,
    entrypoint,
    progress_in,
    until_next_look,
)

_POLL_SECONDS: Final = 1.0
_EVENTS_OF: Final = 3
"""Pods whose events are read: those of a group all wait for the same."""
_MAX_LABEL: Final = 63


@dataclass(frozen=True)
class OwnClusters:
    """What the clusters of jobs are made as, and where what the jobs write is kept."""

    pattern: RayClusterAddress
    group: str
    """Of workers."""
    replicas: int
    """Workers, or slices of several hosts, of that group."""
    timeout_seconds: float
    """After which KubeRay ends a job that nobody waits for."""
    store: StoreAddress


class KubeRayJobs:
    """RayJobs of one namespace, as a job runner. Use as an async context manager.

    Args:
        own: What clusters are made as.
        ray: The address of the cluster that is the pattern; those made as it ask for the same token.
        poll_seconds: How often whoever waits looks.
    """

    def __init__(self, own: OwnClusters, ray: RayAddress, poll_seconds: float = _POLL_SECONDS) -> None:
        self._own, self._ray, self._poll = own, ray, poll_seconds
        self._api = KubeRay(own.pattern)
        self._heads: dict[str, RayJobs] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.__aexit__()
        for head in self._heads.values():
            await head.__aexit__()

    async def attempts(self, base: str) -> list[Job]:
        """The jobs `<base>-<attempt>`, oldest first."""
        return attempts_of(base, map(job_of, await self._api.jobs({JOB_LABEL: shortened(base, _MAX_LABEL)})))

    async def find(self, submission_id: str) -> Job | None:
        """The job, or None where there is none."""
        found = await self._api.job(name_of(submission_id))
        return None if found is None else job_of(found)

    async def submit(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Make a RayJob; where there is one already, somebody else just did, and that is as good."""
        if await self._api.job(name_of(submission_id)) is not None:
            return
        manifest = await self._manifest(submission_id, entrypoint, runtime_env, metadata)
        # What a job of that id wrote whose RayJob is gone is not this one's.
        await asyncio.to_thread(open_store(self._own.store).delete, _log_key(submission_id))
        await self._api.create(manifest)

    async def rehearse(self, submission_id: str) -> None:
        """See that a RayJob could be made: by its definition, this user's rights and whoever admits it. Nothing is made.

        Raises:
            PermanentError: it could not.
            RetryableError: the cluster does not answer, or there is none to make others as.
        """
        await self._api.create(await self._manifest(submission_id, "true", {}, {}), rehearsal=True)

    async def logs(self, submission_id: str) -> str:
        """All that the job has written so far: by its cluster's own API, or what was kept of it."""
        found = await self._api.job(name_of(submission_id))
        if found is None:
            raise PermanentError(f"there is no RayJob {name_of(submission_id)} in the namespace {self._own.pattern.namespace}")
        return await self._logs(submission_id, found)

    async def stop(self, submission_id: str) -> None:
        """End the job and its cluster; nothing where it has ended or is unknown."""
        found = await self._api.job(name_of(submission_id))
        if found is None or is_told_to_stop(found) or job_of(found).status not in LIVE:
            return
        change = {"metadata": {"annotations": {STOPPED_ANNOTATION: "true"}}, "spec": {"suspend": True}}
        await self._api.change(name_of(submission_id), change)

    async def forget(self, work: str) -> None:
        """Delete the RayJobs of all that was done for `work` and has ended; what they wrote stays."""
        for each in await self._api.jobs({WORK_LABEL: shortened(work, _MAX_LABEL)}):
            if job_of(each).status not in LIVE:
                await self._api.delete(each["metadata"]["name"])

    async def follow(
        self, submission_id: str, on_progress: Callable[[dict[str, Any]], None], cancelled: asyncio.Event, seconds: float
    ) -> Job:
        """The job once it has ended; `on_progress` gets what it tells on the way, and what its cluster waits for.

        Raises:
            JobInterrupted: `cancelled` was set; the job goes on.
            PermanentError: it took more than `seconds` from its start, and was stopped.
        """
        told, waits, began = 0, "", time.monotonic()
        while True:
            found = await self._api.job(name_of(submission_id))
            if found is None:
                raise RetryableError(f"there is no RayJob {name_of(submission_id)} any more: run it again")
            job, text = job_of(found), await self._logs(submission_id, found)
            progress = list(progress_in(text))
            for each in progress[told:]:
                on_progress(each)
            told = max(told, len(progress))
            if job.status not in LIVE:
                return job
            before, waits = waits, await self._waits(found) if job.status == "PENDING" else ""
            if waits not in ("", before):
                on_progress({"text": waits})
            await self._refuse_overdue(job, seconds, waits)
            try:
                await asyncio.wait_for(cancelled.wait(), until_next_look(self._poll, time.monotonic() - began, text))
            except TimeoutError:
                continue
            raise JobInterrupted(submission_id)

    async def _manifest(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        own = self._own
        command = keeping_logs(entrypoint, own.store, _log_key(submission_id))
        request = Request(
            submission_id, command, runtime_env, metadata, own.group, own.replicas, timeout_seconds=own.timeout_seconds
        )
        try:
            manifest = ray_job(request, await self._api.pattern())
        except ValueError as error:
            raise PermanentError(f"{error}: bring the platform up with it") from None
        if wrong := list(mistakes(manifest)):
            raise PermanentError(f"KubeRay would not take the RayJob {manifest['metadata']['name']}: {'; '.join(wrong)}")
        return manifest

    async def _logs(self, submission_id: str, found: Mapping[str, Any]) -> str:
        status = found.get("status") or {}
        if job_of(found).status == "RUNNING" and (dashboard := status.get("dashboardURL")):
            try:
                return await self._head(dashboard).logs(submission_id)
            except (PermanentError, RetryableError):
                pass  # it is on its way, or out
        try:
            kept = await asyncio.to_thread(open_store(self._own.store).get, _log_key(submission_id))
        except ObjectMissingError:
            # Where not even the program that keeps it began, KubeRay has Ray's own words.
            return str(status.get("message") or "")
        return kept.decode(errors="replace")

    def _head(self, dashboard: str) -> RayJobs:
        if dashboard not in self._heads:
            self._heads[dashboard] = RayJobs(self._ray.model_copy(update={"url": f"http://{dashboard}"}))
        return self._heads[dashboard]

    async def _waits(self, found: Mapping[str, Any]) -> str:
        """Why its cluster is not there yet."""
        cluster = (found.get("status") or {}).get("rayClusterName")
        pods = await self._api.pods(cluster) if cluster else []
        pending = [each["metadata"]["name"] for each in pods if (each.get("status") or {}).get("phase") == "Pending"]
        events = [each for name in pending[:_EVENTS_OF] for each in await self._api.events(name)]
        return waiting(found, pods, events)

    async def _refuse_overdue(self, job: Job, seconds: float, waits: str) -> None:
        if job.started is None or time.time() - job.started <= seconds:
            return
        await self.stop(job.submission_id)
        fix = f"its cluster was not there: {waits}" if waits else "raise timeoutSeconds, or give it less to do"
        raise PermanentError(f"the job {job.submission_id} did not end within {seconds:g} s and was stopped: {fix}")


def keeping_logs(command: str, store: StoreAddress, key: str) -> str:
    """The command that does `command` and keeps what it writes at `key`, which outlives its cluster."""
    return f"{entrypoint('heliostat.jobs.kept_log', store, key)} {shlex.quote(command)}"


def _log_key(submission_id: str) -> str:
    return f"jobs/{submission_id}.log"
