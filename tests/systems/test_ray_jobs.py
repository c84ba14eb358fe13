"""The Jobs API's wrapper, against a server that answers as Ray does."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from heliostat.spec.addresses import RayAddress, StoreAddress, TokenFile
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_jobs import FAILURE, PROGRESS, JobInterrupted, RayJobs, entrypoint, failure_in, until_next_look


def jobs(handler, tmp_path=None):
    token = None
    if tmp_path:
        token = tmp_path / "token"
        token.write_text("secret\n")
    credential = TokenFile(path=str(token)) if token else None
    return RayJobs(RayAddress(url="http://ray", credential=credential), httpx.MockTransport(handler))


def record(submission_id, status="RUNNING", **more):
    return {"submission_id": submission_id, "status": status, "message": "", "start_time": None, **more}


async def test_attempts_are_only_ours_and_in_order(tmp_path):
    def handler(request):
        assert request.headers["authorization"] == "Bearer secret"
        names = ["a-10", "a-9", "a-b-1", "x", None]
        return httpx.Response(200, json=[record(name) for name in names])

    async with jobs(handler, tmp_path) as client:
        assert [job.submission_id for job in await client.attempts("a")] == ["a-9", "a-10"]


async def test_following_tells_each_line_of_progress_once_and_ends_with_the_job():
    polls = iter(
        [
            ("RUNNING", f"{PROGRESS}1\n{PROGRESS}"),
            ("RUNNING", f"{PROGRESS}1\n(w) {PROGRESS}2\n"),
            ("SUCCEEDED", f"{PROGRESS}1\n(w) {PROGRESS}2\n"),
        ]
    )
    now = {}

    def handler(request):
        if request.url.path.endswith("/logs"):
            return httpx.Response(200, json={"logs": now["log"]})
        now["status"], now["log"] = next(polls)
        return httpx.Response(200, json=record("a-1", now["status"]))

    told = []
    async with jobs(handler) as client:
        job = await client.follow("a-1", told.append, asyncio.Event(), 60)
    assert job.status == "SUCCEEDED"
    assert told == [1, 2]


def test_a_job_is_looked_at_the_less_often_the_longer_it_is_waited_for():
    assert until_next_look(0.25, 0, "") == until_next_look(0.25, 25, "") == 0.25
    assert until_next_look(0.25, 130, "") == 1.3
    assert until_next_look(0.25, 86_400, "") == 5
    assert until_next_look(0.25, 0, "x" * 1_000_000) == 0.75


async def test_an_interrupt_stops_waiting_and_not_the_job():
    asked = []

    def handler(request):
        asked.append(request.method)
        return httpx.Response(200, json={"logs": ""} if request.url.path.endswith("/logs") else record("a-1"))

    cancelled = asyncio.Event()
    cancelled.set()
    async with jobs(handler) as client:
        with pytest.raises(JobInterrupted):
            await client.follow("a-1", lambda told: None, cancelled, 60)
    assert set(asked) == {"GET"}


async def test_a_job_beyond_its_time_is_stopped():
    asked = []

    def handler(request):
        asked.append(request.url.path)
        return httpx.Response(200, json={"logs": ""} if request.url.path.endswith("/logs") else record("a-1", start_time=1000))

    async with jobs(handler) as client:
        with pytest.raises(PermanentError, match="did not end within 5 s and was stopped"):
            await client.follow("a-1", lambda told: None, asyncio.Event(), 5)
    assert asked[-1] == "/api/jobs/a-1/stop"


async def test_submitting_what_somebody_just_submitted_is_a_success():
    def handler(request):
        if request.method == "POST":
            return httpx.Response(500, text="Job with submission_id a-1 already exists")
        return httpx.Response(200, json=record("a-1"))

    async with jobs(handler) as client:
        await client.submit("a-1", "true", {}, {})


async def test_a_cluster_that_is_down_may_be_asked_again_and_a_wrong_token_not(tmp_path):
    def down(request):
        raise httpx.ConnectError("refused")

    async with jobs(down) as client:
        with pytest.raises(RetryableError, match="does not answer at http://ray"):
            await client.attempts("a")
    async with jobs(lambda request: httpx.Response(401), tmp_path) as client:
        with pytest.raises(PermanentError, match="refuses the token") as caught:
            await client.attempts("a")
    assert "secret" not in str(caught.value)


def test_the_command_quotes_what_it_passes_on():
    command = entrypoint("heliostat.jobs.train", StoreAddress(uri="file:///it's here"), "jobs/a.json")
    import shlex

    program, flag, module, where = shlex.split(command)
    assert (program, flag, module) == ("python", "-m", "heliostat.jobs.train")
    assert json.loads(where) == {"store": {"uri": "file:///it's here"}, "key": "jobs/a.json"}


def test_the_last_failure_that_a_log_tells_is_found():
    logs = f'x\n{FAILURE}{{"kind":"failed","message":"a"}}\n{FAILURE}torn'
    assert failure_in(logs) == {"kind": "failed", "message": "a"}
    assert failure_in("nothing") is None
