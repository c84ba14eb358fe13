"""Predictions that are due again: a job for each, once, whoever was away."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from heliostat.controller.schedules import Schedules, due
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.predictions import Scheduled, schedule_key
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory
from heliostat.testing.jobs import JobResult, MemoryJobs, Submission

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
FAILED = JobResult("FAILED", message="no database", exit_code=1)


class World:
    """A store, a cluster's jobs, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.store = Directory(folder)
        self.outcome: JobResult | None = JobResult()
        self.jobs = MemoryJobs(lambda _: self.outcome)
        self.now = MIDNIGHT
        self.schedules = self.anew()

    def anew(self) -> Schedules:
        address = StoreAddress(uri=f"file://{self.store.root}")
        return Schedules(self.store, address, lambda: self.jobs, lambda: self.now.timestamp())

    def put(self, schedule: str = "0 3 * * *", name: str = "nightly", **changes: Any) -> Scheduled:
        given = {
            "name": name, "schedule": schedule, "since": MIDNIGHT.timestamp(), "base": f"batch-{name}-due",
            "specification": "jobs/x.json", "code_uri": "file:///code.zip", "timeout_seconds": 3600.0, **changes,
        }  # fmt: skip
        scheduled = Scheduled.model_validate(given)
        self.store.put(schedule_key(name), scheduled.model_dump_json().encode())
        return scheduled

    async def at(self, hours: float) -> list[str]:
        """Look so many hours after midnight; the jobs that there were up to then."""
        self.now = MIDNIGHT + timedelta(hours=hours)
        await self.schedules.look()
        return [each.submission_id for each in self.jobs.submitted]

    def note(self, moment: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.get(f"batches/nightly/runs/{moment}.json"))
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_nothing_runs_before_it_is_due_and_then_once(world: World) -> None:
    world.put()
    assert await world.at(2.9) == []
    assert await world.at(3) == ["batch-nightly-due-20260301T0300-1"]
    assert await world.at(3.5) == await world.at(20) == ["batch-nightly-due-20260301T0300-1"]
    assert world.note("20260301T0300")["status"] == "SUCCEEDED"
    assert len(await world.at(27)) == 2
    asked: Submission = world.jobs.submitted[0]
    assert "heliostat.jobs.batch_predict" in asked.entrypoint
    assert "jobs/x.json" in asked.entrypoint
    assert asked.runtime_env["working_dir"] == "file:///code.zip"


async def test_a_look_of_a_monitor_is_due_like_a_prediction_and_noted_beside_its_reports(world: World) -> None:
    scheduled = world.put(name="flights", module="heliostat.jobs.monitor", runs="monitors/flights/runs/")
    world.store.delete(schedule_key("flights"))
    world.store.put(schedule_key("monitor.flights"), scheduled.model_dump_json().encode())
    await world.at(3)
    await world.at(3.1)
    [asked] = world.jobs.submitted
    assert "heliostat.jobs.monitor" in asked.entrypoint
    assert world.store.exists("monitors/flights/runs/20260301T0300.json")


async def test_without_a_schedule_no_cluster_is_asked(world: World) -> None:
    world.jobs.away = True
    assert await world.at(30) == []


async def test_a_controller_that_was_away_makes_up_for_the_newest_run_alone(world: World) -> None:
    world.put("0 * * * *")
    assert await world.at(50.2) == ["batch-nightly-due-20260303T0200-1"]


async def test_another_controller_goes_on_where_one_ended(world: World) -> None:
    world.put()
    world.outcome = None
    await world.at(3)
    world.schedules = world.anew()
    assert len(await world.at(3.1)) == 1, "it runs already"
    world.jobs.end("batch-nightly-due-20260301T0300-1", JobResult())
    assert len(await world.at(3.2)) == 1
    world.jobs.lose()
    world.schedules = world.anew()
    assert len(await world.at(3.3)) == 1, "that it ran is noted, whatever the cluster forgot"


async def test_a_run_that_fails_is_tried_three_times_and_then_left_until_it_is_due_again(world: World) -> None:
    world.put()
    world.outcome = FAILED
    for hours in (3, 3.1, 3.2, 3.3, 3.4):
        tried = await world.at(hours)
    assert tried == [f"batch-nightly-due-20260301T0300-{attempt}" for attempt in (1, 2, 3)]
    assert world.note("20260301T0300") == {
        "due": "2026-03-01T03:00:00+00:00", "job": tried[-1], "status": "FAILED", "message": "no database",
    }  # fmt: skip
    world.outcome = JobResult()
    assert len(await world.at(27.1)) == 4


async def test_a_run_that_takes_too_long_is_stopped_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put()
    world.outcome = None
    await world.at(3)
    began = world.jobs.submitted[0].submission_id
    (job,) = await world.jobs.attempts("batch-nightly-due-20260301T0300")
    world.now = datetime.fromtimestamp(job.started or 0, UTC)  # Ray's own clock
    scheduled = world.put(since=(world.now - timedelta(days=400)).timestamp())
    found = due(scheduled, world.now)
    assert found is not None
    late = Schedules(
        world.store, StoreAddress(uri=f"file://{world.store.root}"), lambda: world.jobs, lambda: (job.started or 0) + 3601
    )
    monkeypatch.setattr("heliostat.controller.schedules.due", lambda *_: type(found)(scheduled, MIDNIGHT + timedelta(hours=3)))
    await late.look()
    assert (await world.jobs.attempts("batch-nightly-due-20260301T0300"))[0].status == "STOPPED"
    await late.look()
    assert [each.submission_id for each in world.jobs.submitted] == [began, began[:-1] + "2"]


async def test_what_is_no_schedule_is_passed_over_and_the_others_run(world: World) -> None:
    world.store.put(schedule_key("broken"), b"{}")
    world.put()
    assert len(await world.at(3)) == 1


async def test_a_cluster_that_is_away_is_asked_again(world: World) -> None:
    world.put()
    world.jobs.away = True
    with pytest.raises(RetryableError):
        await world.at(3)
    world.jobs.away = False
    assert len(await world.at(3.1)) == 1


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        ("0 3 * * *", MIDNIGHT + timedelta(hours=3), MIDNIGHT + timedelta(hours=3)),
        ("0 3 * * *", MIDNIGHT + timedelta(hours=2, minutes=59, seconds=59), None),
        ("*/15 * * * *", MIDNIGHT + timedelta(minutes=44), MIDNIGHT + timedelta(minutes=30)),
        ("0 3 * * MON", MIDNIGHT + timedelta(days=3), MIDNIGHT + timedelta(days=1, hours=3)),
        ("0 0 1 3 *", MIDNIGHT, None),
    ],
)
def test_the_newest_moment_after_it_was_put_on_schedule_is_due(
    world: World, schedule: str, now: datetime, expected: datetime | None
) -> None:
    found = due(world.put(schedule), now)
    assert (found.at if found else None) == expected
