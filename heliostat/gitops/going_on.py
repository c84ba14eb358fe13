"""How work stands that an update left, by whoever runs it, and what of it is told on the pull request that brought it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from heliostat.engine.state.going import DONE, FAILED, Record, Work
from heliostat.gitops.markdown import text_of
from heliostat.gitops.rollout_outcomes import RolloutOutcome
from heliostat.provider.runners import open_runner
from heliostat.provider.training_changes import told
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.formatting import minute
from heliostat.spec.left_work import LeftWork
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kuberay_jobs import OwnClusters
from heliostat.systems.objects import ObjectMissingError, open_store
from heliostat.systems.ray_jobs import LIVE, Job, progress_in


@dataclass(frozen=True)
class Standing:
    """How work stands that no update has taken the end of."""

    work: Work
    is_ready: bool
    """Whether an update that comes now finds something to do about it: it has ended, or is to be ended."""
    told: str
    """How far it is, or what became of it; empty where it says nothing yet."""
    failure: str = ""
    """Why nobody can tell."""
    overdue: LeftWork | None = None
    """What is noted of it, where it runs for longer than it may."""

    @property
    def line(self) -> str:
        """It for a terminal."""
        return f"{self.work.message.partition(';')[0]}: {self.told or self.failure or 'it says nothing yet'}"


def standings_of(record: Record) -> list[Standing]:
    """Look at all that goes on of a stack."""

    async def looked() -> list[Standing]:
        return [*await asyncio.gather(*(standing(work) for work in record.going))]

    return asyncio.run(looked())


def ended_where_overdue(found: Iterable[Standing]) -> list[Standing]:
    """How it stands after what has run for longer than it may was stopped: for where no update comes that would do so."""

    async def ended() -> list[Standing]:
        return [*await asyncio.gather(*(_ended_where_overdue(each) for each in found))]

    return asyncio.run(ended())


async def _ended_where_overdue(looked: Standing) -> Standing:
    left = looked.overdue
    if left is None:
        return looked
    try:
        async with open_runner(left.ray, _own(left)) as jobs:
            await jobs.stop(left.job)
    except (PermanentError, RetryableError) as error:
        return replace(looked, failure=str(error))
    return replace(looked, told=f"{looked.told}, and was stopped", overdue=None)


async def standing(work: Work, now: float | None = None) -> Standing:
    """Look at work where it runs."""
    moment = time.time() if now is None else now
    try:
        store = StoreAddress.model_validate_json(work.details["store"])
        left = LeftWork.model_validate_json(open_store(store).get(work.details["note"]))
    except (KeyError, ValidationError, ObjectMissingError):
        # Another update has told its end; or it is of a provider that keeps none of our notes.
        return Standing(work, True, "nothing is noted of it any more")
    except (PermanentError, RetryableError) as error:
        return Standing(work, False, "", str(error))
    try:
        async with open_runner(left.ray, _own(left)) as jobs:
            job = await jobs.find(left.job)
            logs = await jobs.logs(left.job) if job is not None and job.status in LIVE else ""
    except (PermanentError, RetryableError) as error:
        # It began before it was left: a cluster that is gone for good is not waited for.
        is_over = moment - work.since > left.timeout_seconds
        told = f"its cluster does not answer, and its {left.timeout_seconds:g} s are over" if is_over else ""
        return Standing(work, is_over, told, str(error))
    return _standing(work, left, job, logs, moment)


def _own(left: LeftWork) -> OwnClusters | None:
    if left.pattern is None:
        return None
    return OwnClusters(left.pattern, group="", replicas=0, timeout_seconds=left.timeout_seconds, store=left.store)


def _standing(work: Work, left: LeftWork, job: Job | None, logs: str, now: float) -> Standing:
    if job is None:
        return Standing(work, True, "Ray knows nothing of it any more")
    if job.status not in LIVE:
        return Standing(work, True, f"it has ended: {job.status}")
    if job.started and now - job.started > left.timeout_seconds:
        return Standing(work, True, f"it has run for longer than its {left.timeout_seconds:g} s", overdue=left)
    progress = [*progress_in(logs)]
    how_far = told(progress[-1]) if progress else ""
    return Standing(work, False, how_far or ("it waits for room on the cluster" if job.status == "PENDING" else ""))


def outcomes_of(
    stack: str, record: Record, standings: Iterable[Standing], since: float, *, of_branch: bool = False
) -> Iterator[RolloutOutcome]:
    """What goes on of a stack, and what of it ended after `since`, as rows of the comment on its pull request.

    Of what a checkout declared that differed from its commit, nobody can say which pull request brought it, unless the stack
    is `of_branch`.
    """
    looked = {(each.work.urn, each.work.job): each for each in standings}
    for work in record.works:
        is_job = "job" in work.details  # rollouts have rows of their own
        if is_job and (work.commit or of_branch) and (work.goes_on or work.ended >= since):
            yield _outcome(stack, work, looked.get((work.urn, work.job)), record.stopped)


def _outcome(stack: str, work: Work, looked: Standing | None, stopped: str) -> RolloutOutcome:
    base, _, attempt = work.job.rpartition("-")
    number = int(attempt) if attempt.isdecimal() else 0
    return RolloutOutcome(
        stack, "-".join((base or work.job).split()), number, work.commit, work.job, "Ray job", _told(work, looked, stopped)
    )


def _told(work: Work, looked: Standing | None, stopped: str) -> str:
    what = text_of(work.details.get("what") or "what it began")
    if work.goes_on:
        how_far = looked.told or looked.failure if looked is not None else ""
        why = f"; **what comes after it waits for a person**: {text_of(stopped)}" if stopped else ""
        return f"{what} goes on since {minute(work.since)}" + (f": {text_of(_first_line(how_far))}" if how_far else "") + why
    if work.result == DONE:
        return f"{what} ended well, and was taken at {minute(work.ended)}"
    if work.result == FAILED:
        return f"{what} **failed**, as was found at {minute(work.ended)}: {text_of(_last_line(work.error))}"
    return f"another declaration took its place at {minute(work.ended)}; {what} may still go on"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _last_line(error: str) -> str:
    """What a traceback ends with."""
    return next((line.strip() for line in reversed(error.splitlines()) if line.strip()), "nobody said why")
