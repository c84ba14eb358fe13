"""How work stands that nobody waits for, looked at where it runs, and what is told of it on the pull request."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from heliostat.engine.state.going import DONE, FAILED, REPLACED, Record, Work
from heliostat.gitops import going_on
from heliostat.gitops.going_on import Standing, ended_where_overdue, outcomes_of, standings_of
from heliostat.gitops.plan_comment import EnvironmentNote, PlanReport, comment
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.left_work import LeftWork
from heliostat.systems.objects import open_store
from heliostat.systems.ray_jobs import PROGRESS
from heliostat.testing.jobs import JobResult, MemoryJobs

JOB, COMMIT = "train-bees-abc-2", "c" * 40


class World:
    def __init__(self, folder: Path) -> None:
        self.store = StoreAddress(uri=f"file://{folder}/objects")
        self.jobs = MemoryJobs(lambda _: None)
        self.note(3600.0)

    def note(self, timeout_seconds: float) -> None:
        left = LeftWork(
            what="the training of bees",
            job=JOB,
            ray=RayAddress(url="http://ray"),
            store=self.store,
            timeout_seconds=timeout_seconds,
        )
        open_store(self.store).put("jobs/note", left.model_dump_json().encode())

    def work(self, **said: object) -> Work:
        details = {"what": "the training of bees", "job": JOB, "note": "jobs/note", "store": self.store.model_dump_json()}
        return Work("urn", "the training of bees goes on; later", COMMIT, 60.0, **{"details": details, **said})  # type: ignore[arg-type]

    async def run(self, logs: str = "") -> None:
        await self.jobs.submit(JOB, "true", {}, {})
        self.jobs._jobs[JOB].logs = logs


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(going_on, "open_runner", lambda address, own=None: made.jobs)
    return made


async def test_one_that_runs_is_as_far_as_it_says(world: World) -> None:
    await world.run()
    looked = await going_on.standing(world.work())
    assert (looked.is_ready, looked.told) == (False, "")
    world.jobs._jobs[JOB].logs = f"{PROGRESS}{json.dumps({'step': 12, 'steps': 30})}\n"
    looked = await going_on.standing(world.work())
    assert (looked.is_ready, looked.told) == (False, "round 12 of 30")
    assert looked.line == "the training of bees goes on: round 12 of 30"


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "STOPPED"])
async def test_one_that_has_ended_however_is_to_be_gone_on_with(world: World, status: str) -> None:
    await world.run()
    world.jobs.end(JOB, JobResult(status))
    looked = await going_on.standing(world.work())
    assert (looked.is_ready, looked.told) == (True, f"it has ended: {status}")


async def test_what_is_overdue_lost_or_told_already_is_to_be_gone_on_with(world: World) -> None:
    looked = await going_on.standing(world.work())
    assert (looked.is_ready, looked.told) == (True, "Ray knows nothing of it any more")
    await world.run()
    looked = await going_on.standing(world.work(), time.time() + 3700)
    assert (looked.is_ready, looked.told) == (True, "it has run for longer than its 3600 s")
    open_store(world.store).delete("jobs/note")
    assert (await going_on.standing(world.work())).is_ready


async def test_a_cluster_that_does_not_answer_says_nothing_about_it(world: World) -> None:
    world.jobs.away = True
    looked = await going_on.standing(world.work(), 60.0 + 3500)
    assert (looked.is_ready, looked.failure) == (False, "the cluster does not answer")


async def test_a_cluster_that_is_gone_for_good_is_not_waited_for_longer_than_the_work_may_take(world: World) -> None:
    world.jobs.away = True
    looked = await going_on.standing(world.work(), 60.0 + 3700)
    assert (looked.is_ready, looked.told) == (True, "its cluster does not answer, and its 3600 s are over")
    assert (looked.failure, looked.overdue) == ("the cluster does not answer", None)


def test_where_no_update_comes_what_is_overdue_is_stopped_and_nothing_else(world: World) -> None:
    asyncio.run(world.run())
    for limit, status in ((3600.0, "RUNNING"), (0.0, "STOPPED")):
        world.note(limit)
        (looked,) = ended_where_overdue(standings_of(Record((world.work(),), COMMIT)))
        assert world.jobs._jobs[JOB].job.status == status
    assert looked.told == "it has run for longer than its 0 s, and was stopped"
    world.jobs.away = True
    (looked,) = ended_where_overdue([Standing(world.work(), True, "it has run for too long", overdue=looked_at(world))])
    assert looked.failure == "the cluster does not answer" and "stopped" not in looked.told


def looked_at(world: World) -> LeftWork:
    return LeftWork.model_validate_json(open_store(world.store).get("jobs/note"))


def test_a_row_says_since_when_it_goes_on_and_how_it_ended(world: World) -> None:
    works = [
        world.work(),
        world.work(ended=120.0, result=DONE),
        world.work(ended=120.0, result=FAILED, error="Traceback\n  a | b\nValueError: no such column\n"),
        world.work(ended=120.0, result=REPLACED),
    ]
    world.note(1e12)
    world.jobs.away = True
    rows = [
        each.standing for each in outcomes_of("staging", Record(tuple(works)), standings_of(Record(tuple(works))), since=100.0)
    ]
    assert rows == [
        "the training of bees goes on since 1970-01-01 00:01 UTC: the cluster does not answer",
        "the training of bees ended well, and was taken at 1970-01-01 00:02 UTC",
        "the training of bees **failed**, as was found at 1970-01-01 00:02 UTC: ValueError: no such column",
        "another declaration took its place at 1970-01-01 00:02 UTC; the training of bees may still go on",
    ]
    (row,) = {each.key for each in outcomes_of("staging", Record(tuple(works)), [], since=100.0)}
    assert row == ("staging", "train-bees-abc", "2"), "one row an attempt, whatever becomes of it"
    assert len([*outcomes_of("staging", Record(tuple(works)), [], since=130.0)]) == 1, "what ended before is told already"


def test_where_its_update_failed_a_person_is_asked_for(world: World) -> None:
    record = Record((world.work(), world.work(details={"what": "the rollout of bees"})), stopped="no | room")
    (row,) = outcomes_of("staging", record, [], since=100.0)
    assert row.standing.endswith("; **what comes after it waits for a person**: no \\| room"), "a rollout has rows of its own"


def test_what_no_commit_has_is_told_on_a_branch_alone(world: World) -> None:
    dirty = Work("urn", "it goes on", "", 60.0, {"job": JOB})
    assert [*outcomes_of("staging", Record((dirty,)), [], 0.0)] == []
    assert len([*outcomes_of("branch-abc", Record((dirty,)), [], 0.0, of_branch=True)]) == 1


def test_the_comment_of_a_branch_says_what_is_not_there_yet() -> None:
    note = EnvironmentNote("branch-abc", {"bees": "http://bees"}, going=["the training of bees goes on as Ray job a-1"])
    assert "- not there yet: the training of bees goes on as Ray job a-1" in comment(
        PlanReport("", (), environment=note), 9999
    )
    assert "not there yet" not in comment(PlanReport("", (), environment=EnvironmentNote("branch-abc")), 9999)
