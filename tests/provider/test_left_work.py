"""Work that an update leaves to itself (`--detach`): who takes its end, and that nothing of it is lost or done twice."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import grpc
import pytest
from ml_world import World, failure

from heliostat.engine.protocol import plugins
from heliostat.provider import failures, left_work, ray_work
from heliostat.provider.ray_work import Work
from heliostat.provider.switches import Switches, switches_of
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.base import Model
from heliostat.spec.left_work import LeftWork
from heliostat.systems.errors import GoesOnError, PermanentError, RetryableError
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult, MemoryJobs


class Nothing(Model):
    """A specification."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.install(monkeypatch)
    world.outcome = lambda _: None
    monkeypatch.setenv("HELIOSTAT_DETACH", "1")
    monkeypatch.setenv("HELIOSTAT_DETACH_SECONDS", "0")
    return world


@pytest.fixture
def work(world):
    return Work(
        "the training of flights", "a.module", "train-flights-abc", lambda _: Nothing(), world.code, world.store, world.ray
    )


async def left(work, context):
    with pytest.raises(GoesOnError) as caught:
        await ray_work.run(work, context)
    return caught.value


async def test_it_is_submitted_and_left_and_says_by_which_job_it_goes_on(world, work):
    error = await left(work, world.context)
    assert str(error) == (
        "the training of flights goes on as Ray job train-flights-abc-1; the next `up` takes its end, and does what needs it"
    )
    assert (error.details["what"], error.details["job"]) == ("the training of flights", "train-flights-abc-1")
    assert StoreAddress.model_validate_json(error.details["store"]) == world.store
    noted = LeftWork.model_validate_json(open_store(world.store).get(error.details["note"]))
    assert (noted.job, noted.ray, noted.store, noted.timeout_seconds) == (
        "train-flights-abc-1", world.ray, world.store, work.timeout_seconds
    )  # fmt: skip
    assert (await world.jobs.find("train-flights-abc-1")).status == "RUNNING"


async def test_short_work_is_stayed_with(world, work, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_DETACH_SECONDS", "600")
    doing = asyncio.create_task(ray_work.run(work, world.context))
    await world.jobs.followed.wait()
    world.jobs.end("train-flights-abc-1", JobResult())
    assert (await doing).status == "SUCCEEDED"


async def test_an_update_that_does_not_detach_stays(world, work, monkeypatch):
    monkeypatch.delenv("HELIOSTAT_DETACH")
    doing = asyncio.create_task(ray_work.run(work, world.context))
    await world.jobs.followed.wait()
    await asyncio.sleep(0)
    assert not doing.done()
    world.jobs.end("train-flights-abc-1", JobResult())
    assert (await doing).status == "SUCCEEDED"


async def test_ctrl_c_is_told_as_ever(world, work, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_DETACH_SECONDS", "600")
    world.cancelled.set()
    with pytest.raises(RetryableError, match="the next `up` attaches to it") as caught:
        await ray_work.run(work, world.context)
    assert not isinstance(caught.value, GoesOnError)


async def test_the_next_one_attaches_and_a_third_gets_no_second_job(world, work):
    for _ in range(3):
        assert (await left(work, world.context)).details["job"] == "train-flights-abc-1"
    assert len(world.submitted) == 1


async def test_a_failure_that_nobody_saw_is_told_by_the_next_one_and_the_one_after_it_tries_again(world, work):
    await left(work, world.context)
    world.jobs.end("train-flights-abc-1", JobResult("FAILED", failure("error", "ValueError: no such column")))
    with pytest.raises(PermanentError, match="ValueError: no such column"):
        await ray_work.run(work, world.context)
    assert len(world.submitted) == 1
    assert (await left(work, world.context)).details["job"] == "train-flights-abc-2"


async def test_a_failure_that_was_seen_is_not_told_again(world, work, monkeypatch):
    await left(work, world.context)
    monkeypatch.delenv("HELIOSTAT_DETACH")
    world.jobs.followed.clear()
    doing = asyncio.create_task(ray_work.run(work, world.context))
    await world.jobs.followed.wait()
    world.jobs.end("train-flights-abc-1", JobResult("FAILED", failure("error", "it broke")))
    with pytest.raises(PermanentError, match="it broke"):
        await doing
    world.outcome = lambda _: JobResult()
    assert (await ray_work.run(work, world.context)).submission_id == "train-flights-abc-2"


async def test_what_takes_too_long_is_stopped_and_told_once(world, work, monkeypatch):
    await left(work, world.context)
    monkeypatch.setenv("HELIOSTAT_DETACH_SECONDS", "600")
    with pytest.raises(PermanentError, match="did not end within 0 s and was stopped"):
        await ray_work.run(replace(work, timeout_seconds=0.0), world.context)
    monkeypatch.setenv("HELIOSTAT_DETACH_SECONDS", "0")
    assert (await left(work, world.context)).details["job"] == "train-flights-abc-2"


async def test_a_failure_on_a_cluster_that_was_replaced_is_told_while_that_answers_and_then_begun_anew_on_the_new_one(
    world, work, monkeypatch
):
    """A failure of the work's own would come again; one that nobody can read any more is that of its cluster."""
    await left(work, world.context)
    former, new = world.jobs, MemoryJobs(lambda _: None)
    moved = replace(work, ray=RayAddress(url="http://another-cluster"))
    monkeypatch.setattr(ray_work, "open_runner", lambda address, own=None: new if address == moved.ray else former)
    assert (await left(moved, world.context)).details["job"] == "train-flights-abc-1" and not new.submitted, (
        "it is attached to"
    )
    former.end("train-flights-abc-1", JobResult("FAILED", failure("error", "ValueError: no such column")))
    with pytest.raises(PermanentError, match="ValueError: no such column"):
        await ray_work.run(moved, world.context)
    assert not new.submitted
    await left(moved, world.context)
    assert [each.submission_id for each in new.submitted] == ["train-flights-abc-1"]


async def test_what_was_left_on_a_cluster_that_is_gone_is_done_anew(world, work, monkeypatch):
    await left(work, world.context)
    former, new = world.jobs, MemoryJobs(lambda _: None)
    former.away = True
    moved = replace(work, ray=RayAddress(url="http://another-cluster"))
    monkeypatch.setattr(ray_work, "open_runner", lambda address, own=None: new if address == moved.ray else former)
    await left(moved, world.context)
    assert [each.submission_id for each in new.submitted] == ["train-flights-abc-1"]


async def test_each_stack_that_left_it_is_told_of_its_failure(world, work):
    other = replace(world.context, urn="another stack's")
    await left(work, world.context)
    await left(work, other)
    world.jobs.end("train-flights-abc-1", JobResult("FAILED", failure("error", "it broke")))
    for context in (world.context, other):
        with pytest.raises(PermanentError, match="it broke"):
            await ray_work.run(work, context)


async def test_work_without_a_result_is_not_done_again_where_it_ended_without_anybody(world, work):
    offered = replace(work, is_done_by_its_end=True)
    await left(offered, world.context)
    world.jobs.end("train-flights-abc-1", JobResult())
    assert (await ray_work.run(offered, world.context)).submission_id == "train-flights-abc-1"
    assert (await left(offered, world.context)).details["job"] == "train-flights-abc-2", "asked again, it is offered again"


async def test_work_whose_result_was_lost_is_done_again(world, work):
    await left(work, world.context)
    world.jobs.end("train-flights-abc-1", JobResult())
    assert (await left(work, world.context)).details["job"] == "train-flights-abc-2"


@pytest.mark.parametrize(
    ("started_ago", "stays"),
    [(None, 60.0), (0.0, 60.0), (50.0, 10.0), (59.5, 2.0), (10_000.0, 2.0)],
)
def test_how_long_an_update_stays_depends_on_how_long_the_work_runs_already(started_ago, stays):
    now = time.time()
    started = None if started_ago is None else now - started_ago
    assert left_work._stays(Switches(detach=True), started, now) == pytest.approx(stays)


@pytest.mark.parametrize(("said", "seconds"), [("", 60.0), ("600", 600.0), ("0.5", 0.5)])
def test_how_long_is_said_in_seconds(said, seconds):
    assert switches_of({"HELIOSTAT_DETACH_SECONDS": said}).stay_seconds == seconds


@pytest.mark.parametrize("said", ["10m", "-1", "1.2.3", "nan", "²"])
def test_what_is_no_number_of_seconds_is_refused_with_an_example(said):
    with pytest.raises(PermanentError, match="set it to a number of seconds, as 600"):
        switches_of({"HELIOSTAT_DETACH_SECONDS": said})


def test_engines_tell_it_from_a_failure_and_none_takes_the_state_for_unknown():
    error = GoesOnError("it goes on", {"job": "j-1"})
    [(key, packed)] = failures.metadata_of(error, "it goes on")
    assert key == plugins.GOES_ON
    assert plugins._texts(packed) == {"job": "j-1", plugins.TOLD: "it goes on"}
    assert failures.for_any_engine(error, "it goes on").startswith("it goes on. Nothing has failed")
    assert failures.for_any_engine(RetryableError("later"), "later") == "later"
    assert failures.status_of(error) is grpc.StatusCode.ABORTED
    assert failures.metadata_of(RetryableError("later"), "later") == ()
    assert failures.status_of(RetryableError("later")) is grpc.StatusCode.UNAVAILABLE
