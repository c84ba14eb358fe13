"""The job runner in memory does what its seam asks, and the suite of that seam fails a runner that does not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from heliostat.provider.runners import JobRunner
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_jobs import PROGRESS, Job
from heliostat.testing.conformance import JobRunnerConformance
from heliostat.testing.jobs import JobResult, MemoryJobs, Submission

SUITE = JobRunnerConformance
RESULTS = {
    SUITE.TELLS: JobResult(logs=f'at first\n(w) {PROGRESS}{{"text": "one"}}\n{PROGRESS}{{"step": 2, "steps": 3}}\nat last\n'),
    SUITE.FAILS: JobResult("FAILED", "last words\n", "exit code 3", 3),
    SUITE.LASTS: None,
}


def program(submission: Submission) -> JobResult | None:
    return RESULTS[submission.entrypoint]


class TestMemoryJobs(JobRunnerConformance):
    @pytest.fixture
    async def runner(self) -> AsyncIterator[JobRunner]:
        async with MemoryJobs(program) as runner:
            yield runner


class StartsTwice(MemoryJobs):
    async def submit(self, submission_id: str, *rest: Any) -> None:
        self._jobs.pop(submission_id, None)
        await super().submit(submission_id, *rest)


class StopsWithItsFollower(MemoryJobs):
    async def follow(self, submission_id: str, on_progress: Any, cancelled: asyncio.Event, seconds: float) -> Job:
        try:
            return await super().follow(submission_id, on_progress, cancelled, seconds)
        finally:
            await self.stop(submission_id)


class SaysNothing(MemoryJobs):
    async def follow(self, submission_id: str, on_progress: Any, cancelled: asyncio.Event, seconds: float) -> Job:
        return await super().follow(submission_id, lambda told: None, cancelled, seconds)

    async def logs(self, submission_id: str) -> str:
        return ""


class WaitsForEver(MemoryJobs):
    async def follow(self, submission_id: str, on_progress: Any, cancelled: asyncio.Event, seconds: float) -> Job:
        return await super().follow(submission_id, on_progress, cancelled, 3600)


class SucceedsAlways(MemoryJobs):
    def end(self, submission_id: str, result: JobResult) -> None:
        super().end(submission_id, replace(result, status="SUCCEEDED", exit_code=0))


class SortsByName(MemoryJobs):
    async def attempts(self, base: str) -> list[Job]:
        return [each.job for name, each in sorted(self._jobs.items()) if name.startswith(base)]


async def failed_of(runner: Callable[[], MemoryJobs]) -> set[str]:
    """The tests of the suite that a runner does not pass."""

    class Suite(JobRunnerConformance):
        seconds = 0.5

    suite, failed = Suite(), set[str]()
    for name, test in inspect.getmembers(suite, inspect.iscoroutinefunction):
        if name.startswith("test_"):
            try:
                await test(runner(), "broken")
            except (AssertionError, pytest.fail.Exception):
                failed.add(name.removeprefix("test_"))
    return failed


@pytest.mark.parametrize(
    ("broken", "noticed"),
    [
        (MemoryJobs, set()),
        (StartsTwice, {"an_id_that_is_taken_is_not_started_again"}),
        (StopsWithItsFollower, {"a_job_that_runs_is_live_and_goes_on_when_nobody_waits"}),
        (
            SaysNothing,
            {
                "a_job_tells_how_far_it_is_and_succeeds",
                "all_that_a_job_wrote_can_be_read_when_it_has_ended",
                "a_job_that_fails_says_its_exit_code_and_its_last_words",
            },
        ),
        (WaitsForEver, {"a_job_beyond_its_time_is_stopped"}),
        (
            SucceedsAlways,
            {
                "a_job_that_fails_says_its_exit_code_and_its_last_words",
                "who_waits_while_it_is_stopped_sees_its_end",
                "a_job_beyond_its_time_is_stopped",
            },
        ),
        (SortsByName, {"attempts_are_those_of_one_name_the_oldest_first"}),
    ],
)
async def test_the_suite_fails_a_runner_that_breaks_a_promise(broken: type[MemoryJobs], noticed: set[str]) -> None:
    assert await failed_of(lambda: broken(program)) == noticed


async def test_what_a_job_was_submitted_with_can_be_looked_at() -> None:
    runner = MemoryJobs()
    await runner.submit("a-1", "true", {"env_vars": {"A": "1"}}, {"heliostat": "a"})
    assert runner.submitted == [Submission("a-1", "true", {"env_vars": {"A": "1"}}, {"heliostat": "a"})]
    job = await runner.find("a-1")
    assert job is not None
    assert job.status == "SUCCEEDED"


async def test_a_job_that_lasts_ends_when_a_test_says_so() -> None:
    runner = MemoryJobs(lambda _: None)
    await runner.submit("a-1", "true", {}, {})
    waiting = asyncio.create_task(runner.follow("a-1", lambda told: None, asyncio.Event(), 60))
    await runner.followed.wait()
    assert not waiting.done()
    runner.end("a-1", JobResult("FAILED", "no", exit_code=1))
    assert ((await waiting).status, await runner.logs("a-1")) == ("FAILED", "no")
    with pytest.raises(KeyError):
        runner.end("b-1", JobResult())


async def test_a_cluster_that_is_away_may_be_asked_again_and_one_that_lost_its_jobs_knows_none() -> None:
    runner = MemoryJobs()
    await runner.submit("a-1", "true", {}, {})
    runner.away = True
    calls: Mapping[str, Any] = {"attempts": ("a",), "find": ("a-1",), "logs": ("a-1",), "stop": ("a-1",)}
    for name, arguments in calls.items():
        with pytest.raises(RetryableError, match="does not answer"):
            await getattr(runner, name)(*arguments)
    runner.away = False
    runner.lose()
    assert await runner.attempts("a") == []
    with pytest.raises(PermanentError, match="no job a-1"):
        await runner.logs("a-1")
