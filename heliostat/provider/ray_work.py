"""How the provider's resources run work on a cluster: one job for each identity, attached to where it runs already."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from heliostat.provider import left_work
from heliostat.provider.resource import Context
from heliostat.provider.runners import JobRunner, open_runner
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.base import Model
from heliostat.spec.left_work import LeftWork
from heliostat.spec.training_resources import Code
from heliostat.systems import code_packages
from heliostat.systems.errors import GoesOnError, PermanentError, RetryableError
from heliostat.systems.kuberay_jobs import OwnClusters
from heliostat.systems.objects import ObjectMissingError, ObjectStore, open_store
from heliostat.systems.ray_jobs import LIVE, Job, JobInterrupted, entrypoint, failure_in

_TAIL_LINES = 30
_FORMER_SECONDS = 10.0
"""How long a cluster that is left may take to say whether the work still runs there."""


@dataclass(frozen=True)
class Work:
    """A job to be done on a cluster."""

    what: str
    """What people call it, e.g. `the training flights`."""
    module: str
    base: str
    """The submission id without the attempt; the same for the same work."""
    specification: Callable[[str], Model]
    """The job's specification for a submission id."""
    code: Code
    store: StoreAddress
    ray: RayAddress
    timeout_seconds: float = 3600.0
    variables: dict[str, str] = field(default_factory=dict)
    own: OwnClusters | None = None
    """What a cluster for this job alone is made as; None where it runs on that of `ray`."""
    is_done_by_its_end: bool = False
    """Its end is all there is of it: no result tells whoever comes later that it was done."""
    environment_uri: str | None = None
    """Packages of a model's own, before those that are installed."""


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def key_of(uri: str, store: StoreAddress) -> str:
    """The key of what lies at `uri` in `store`.

    Raises:
        PermanentError: it lies elsewhere.
    """
    root = open_store(store).uri("_")[:-1]
    if not uri.startswith(root):
        raise PermanentError(f"{uri} is not in the object store {store.uri}")
    return uri.removeprefix(root)


async def run(work: Work, context: Context, on_progress: Callable[[dict[str, Any]], None] | None = None) -> Job:
    """Do the work: attach to an attempt that still runs, or submit the next; the job once it has succeeded.

    Raises:
        PermanentError: the job failed, with its own traceback, or took too long.
        RetryableError: Ctrl-C; the job goes on.
        GoesOnError: the update is to leave it (`--detach`), and the job goes on.
    """
    tell = on_progress or (lambda told: context.progress(str(told.get("text", told))))
    # One of its own is found by its name in Kubernetes, whatever the platform's cluster is.
    left = left_work.Note(open_store(work.store), work.base, context.urn)
    ray = work.ray if work.own else await _cluster_of(work, left)
    async with open_runner(ray, work.own) as jobs:
        attempts = await jobs.attempts(work.base)
        last = attempts[-1] if attempts else None
        if last is not None and last.status in LIVE:
            context.info(f"{work.what} runs already as {last.submission_id}: attached to it")
            job = await _followed(work, jobs, last, tell, context, left, ray)
        elif last is not None and await asyncio.to_thread(left.is_of, last.submission_id) and _is_news(work, last):
            job = last
        else:
            submission_id = f"{work.base}-{last.attempt + 1 if last is not None else 1}"
            await _submit(work, jobs, submission_id)
            begun = Job(submission_id, "PENDING", "", None, None)
            job = await _followed(work, jobs, begun, tell, context, left, ray)
        await asyncio.to_thread(left.remove)
        if job.status != "SUCCEEDED":
            raise PermanentError(explain(work.what, job, await jobs.logs(job.submission_id)))
        return job


def _is_news(work: Work, ended: Job) -> bool:
    """Whether the end of an attempt that an update left is to be told, rather than the work be done once more."""
    return ended.status != "SUCCEEDED" or work.is_done_by_its_end


async def _followed(
    work: Work,
    jobs: JobRunner,
    begun: Job,
    tell: Callable[[dict[str, Any]], None],
    context: Context,
    left: left_work.Note,
    ray: RayAddress,
) -> Job:
    """The job at its end.

    Raises:
        RetryableError: Ctrl-C; the job goes on.
        GoesOnError: it has run for so long that an update that detaches leaves it.
    """
    submission_id = begun.submission_id
    async with left_work.to_leave(context.cancelled, begun.started) as is_to_leave:
        try:
            return await jobs.follow(submission_id, tell, is_to_leave, work.timeout_seconds)
        except PermanentError:
            await asyncio.to_thread(left.remove)  # it took too long, which is told now
            raise
        except JobInterrupted:
            goes_on = f"{work.what} goes on as Ray job {submission_id}"
            if context.cancelled.is_set():
                raise RetryableError(f"{goes_on}; the next `up` attaches to it") from None
            noted = LeftWork(
                what=work.what,
                job=submission_id,
                ray=ray,
                pattern=work.own.pattern if work.own is not None else None,
                store=work.store,
                timeout_seconds=work.timeout_seconds,
            )
            await asyncio.to_thread(left.write, noted)
            details = {
                "what": work.what,
                "job": submission_id,
                "note": left.key,
                "store": work.store.model_dump_json(by_alias=True, exclude_none=True),
            }
            raise GoesOnError(f"{goes_on}; the next `up` takes its end, and does what needs it", details) from None


async def _cluster_of(work: Work, left: left_work.Note) -> RayAddress:
    """The cluster that an attempt still runs on, or failed on with nobody there, where the platform's is another one by now;
    else the platform's.
    """
    before = await asyncio.to_thread(_noted, work)
    if before is None or before.url == work.ray.url:
        return work.ray
    try:
        async with asyncio.timeout(_FORMER_SECONDS), open_runner(before) as jobs:
            attempts = await jobs.attempts(work.base)
    except (RetryableError, PermanentError, TimeoutError):
        # It is gone, and what ran on it too: whether that failed, nobody can tell any more, and it is done anew.
        return work.ray
    newest = attempts[-1] if attempts else None
    if newest is None:
        return work.ray
    is_untold = newest.status not in {*LIVE, "SUCCEEDED"} and await asyncio.to_thread(left.is_of, newest.submission_id)
    return before if newest.status in LIVE or is_untold else work.ray


def _note_key(work: Work) -> str:
    return f"jobs/{work.base}.ray.json"


def _noted(work: Work) -> RayAddress | None:
    """The cluster that the newest attempt was submitted to; None where none was."""
    try:
        return RayAddress.model_validate_json(open_store(work.store).get(_note_key(work)))
    except (ObjectMissingError, ValidationError):
        return None


async def _submit(work: Work, jobs: JobRunner, submission_id: str) -> None:
    store = open_store(work.store)
    key = f"jobs/{submission_id}.json"
    uri = await asyncio.to_thread(_prepare, work, store, key, submission_id)
    environment = code_packages.job_env(uri, work.variables, work.environment_uri)
    await jobs.submit(submission_id, entrypoint(work.module, work.store, key), environment, {"heliostat": work.base})


def _prepare(work: Work, store: ObjectStore, key: str, submission_id: str) -> str:
    store.put(key, work.specification(submission_id).model_dump_json().encode())
    store.put(_note_key(work), work.ray.model_dump_json(exclude_none=True).encode())
    return code_packages.upload(work.code, store)


def explain(what: str, job: Job, logs: str) -> str:
    """Why a job failed, and what to do about it."""
    told = failure_in(logs)
    tail = "\n".join(logs.strip().splitlines()[-_TAIL_LINES:])
    if job.status == "STOPPED":
        return f"{what} was stopped (Ray job {job.submission_id}); run `up` again to go on"
    if told and told["kind"] == "memory":
        return (
            f"{what} ran out of memory (Ray job {job.submission_id}): give it fewer workers at a time or less data, "
            f"or a machine with more memory\n{told['message']}"
        )
    if told and told["kind"] == "killed":
        return (
            f"a worker of {what} was killed, more often than maxFailures allows (Ray job {job.submission_id}): if the machine "
            f"is short of memory, give it fewer workers; `up` goes on from the last checkpoint\n{told['message']}"
        )
    if told:
        return f"{what} failed (Ray job {job.submission_id}):\n{told['message']}"
    if job.exit_code in (-9, 137) or "-9" in job.message or "actor died" in job.message.lower():
        return (
            f"{what} was killed (Ray job {job.submission_id}: {job.message}): by somebody, or for want of memory; "
            f"`up` goes on from the last checkpoint\n{tail}"
        )
    return f"{what} failed (Ray job {job.submission_id}): {job.message}\n{tail}"
