"""What every job runner has to do."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from heliostat.provider.runners import JobRunner
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_jobs import LIVE, PROGRESS, Job, JobInterrupted


def _says(*lines: str) -> str:
    return "; ".join(f"echo '{line}'" for line in lines)


class JobRunnerConformance:
    """Inherit it, and give `runner`, which runs the commands below as a shell does."""

    seconds = 10.0
    """How long a runner may take until a short job has ended."""

    TOLD: Final[tuple[dict[str, Any], ...]] = ({"text": "one"}, {"step": 2, "steps": 3})
    TELLS: Final = _says("at first", *(f"(worker) {PROGRESS}{json.dumps(each)}" for each in TOLD), "at last")
    """Tells how far it is, and succeeds."""
    FAILS: Final = f"{_says('last words')}; exit 3"
    LASTS: Final = "sleep 600"

    @pytest.fixture
    async def runner(self) -> AsyncIterator[JobRunner]:
        """The runner; jobs of other tests may be on it."""
        raise NotImplementedError
        yield

    @pytest.fixture
    def base(self) -> str:
        """A name that no other test's jobs have."""
        return f"conformance-{secrets.token_hex(4)}"

    async def test_what_was_never_submitted_is_not_there(self, runner: JobRunner, base: str) -> None:
        assert await runner.attempts(base) == []
        assert await runner.find(f"{base}-1") is None

    async def test_a_job_tells_how_far_it_is_and_succeeds(self, runner: JobRunner, base: str) -> None:
        told: list[dict[str, Any]] = []
        await self.submit(runner, f"{base}-1", self.TELLS)
        job = await self.followed(runner, f"{base}-1", told)
        assert (job.submission_id, job.attempt, job.status, job.exit_code) == (f"{base}-1", 1, "SUCCEEDED", 0)
        assert tuple(told) == self.TOLD

    async def test_all_that_a_job_wrote_can_be_read_when_it_has_ended(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.TELLS)
        await self.followed(runner, f"{base}-1")
        lines = (await runner.logs(f"{base}-1")).splitlines()
        assert [line for line in lines if line.startswith("at ")] == ["at first", "at last"]

    async def test_who_comes_later_is_told_the_same(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.TELLS)
        first, later = list[dict[str, Any]](), list[dict[str, Any]]()
        job = await self.followed(runner, f"{base}-1", first)
        assert await self.followed(runner, f"{base}-1", later) == job == await runner.find(f"{base}-1")
        assert later == first

    async def test_a_job_that_fails_says_its_exit_code_and_its_last_words(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.FAILS)
        job = await self.followed(runner, f"{base}-1")
        assert (job.status, job.exit_code) == ("FAILED", 3)
        assert "last words" in await runner.logs(f"{base}-1")

    async def test_attempts_are_those_of_one_name_the_oldest_first(self, runner: JobRunner, base: str) -> None:
        others = (f"{base}-x-1", f"{base}1-1", base)
        for name in (f"{base}-2", f"{base}-10", f"{base}-1", *others):
            await self.submit(runner, name, self.TELLS)
        assert [each.submission_id for each in await runner.attempts(base)] == [f"{base}-{each}" for each in (1, 2, 10)]

    async def test_an_id_that_is_taken_is_not_started_again(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.TELLS)
        job = await self.followed(runner, f"{base}-1")
        await self.submit(runner, f"{base}-1", self.FAILS)
        assert await self.followed(runner, f"{base}-1") == job

    async def test_a_job_that_runs_is_live_and_goes_on_when_nobody_waits(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.LASTS)
        cancelled = asyncio.Event()
        waiting = asyncio.create_task(self.followed(runner, f"{base}-1", cancelled=cancelled))
        await asyncio.sleep(0)
        cancelled.set()
        with pytest.raises(JobInterrupted):
            await waiting
        (job,) = await runner.attempts(base)
        assert job.status in LIVE
        await self.stopped(runner, f"{base}-1")

    async def test_who_waits_while_it_is_stopped_sees_its_end(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.LASTS)
        waiting = asyncio.create_task(self.followed(runner, f"{base}-1"))
        await runner.stop(f"{base}-1")
        assert (await waiting).status == "STOPPED"

    async def test_to_stop_what_has_ended_or_is_unknown_is_nothing(self, runner: JobRunner, base: str) -> None:
        await runner.stop(f"{base}-1")
        await self.submit(runner, f"{base}-1", self.TELLS)
        job = await self.followed(runner, f"{base}-1")
        await runner.stop(f"{base}-1")
        assert await runner.find(f"{base}-1") == job

    async def test_a_job_beyond_its_time_is_stopped(self, runner: JobRunner, base: str) -> None:
        await self.submit(runner, f"{base}-1", self.LASTS)
        with pytest.raises(PermanentError, match="was stopped"):
            await self.followed(runner, f"{base}-1", seconds=0.2)
        assert (await self.followed(runner, f"{base}-1")).status == "STOPPED"

    async def test_to_wait_for_what_is_gone_may_be_tried_again_once_it_runs(self, runner: JobRunner, base: str) -> None:
        with pytest.raises(RetryableError, match="run it again"):
            await self.followed(runner, f"{base}-1")

    async def submit(self, runner: JobRunner, submission_id: str, command: str) -> None:
        """Start a command."""
        await runner.submit(submission_id, command, {}, {"heliostat": "conformance"})

    async def followed(
        self,
        runner: JobRunner,
        submission_id: str,
        told: list[dict[str, Any]] | None = None,
        cancelled: asyncio.Event | None = None,
        seconds: float = 3600.0,
    ) -> Job:
        """Wait for a job's end; what it tells on the way goes into `told`."""
        told = told if told is not None else []
        try:
            async with asyncio.timeout(self.seconds):
                return await runner.follow(submission_id, told.append, cancelled or asyncio.Event(), seconds)
        except TimeoutError:
            raise AssertionError(f"{submission_id} has not ended within {self.seconds:g} s") from None

    async def stopped(self, runner: JobRunner, submission_id: str) -> None:
        """End a job that lasts, so that no other test has it beside its own."""
        await runner.stop(submission_id)
        await self.followed(runner, submission_id)
