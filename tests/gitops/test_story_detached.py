"""Trainings that no job waits for: what a merge brings goes on by itself, is picked up, and is told where it came from.

As in the story of a branch; a training is a job of a cluster that outlives the commands, and runs until it is ended here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kept_jobs import KeptJobs
from story import Story, comment_on, story
from test_story import previewed

from heliostat.gitops import going_on
from heliostat.spec.branch_environments import environment_name
from heliostat.systems.ray_jobs import FAILURE, PROGRESS

pytestmark = pytest.mark.timeout(900)
MERGED = 7


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Story]:
    with story(tmp_path, monkeypatch, capsys, wrong="none") as made:
        (made.world.registry.folder / "jobs").mkdir()
        monkeypatch.setattr(going_on, "open_runner", lambda address, own=None: jobs(made))
        monkeypatch.setenv("HELIOSTAT_DETACH_SECONDS", "0.5")
        yield made


def jobs(told: Story) -> KeptJobs:
    return KeptJobs(told.world.registry.folder / "jobs")


def merge(told: Story, number: int, limit: int) -> None:
    """A pull request that changes what is trained, merged."""
    branch = f"limit-{limit}"
    told.git("checkout", "-q", "-B", branch)
    told.push(branch, "workloads/shared.py", f"LIMIT = {limit - 1}", f"LIMIT = {limit}")
    for played in told.forges.values():
        played.repository.pull(branch, number=number)
    told.merge(branch)
    told.on_branch("main")


def outcome(told: Story, number: int) -> str:
    told.heliostat("ci", "outcomes", "-s", "staging")
    return comment_on(number, told.played)


def test_a_training_holds_no_job_and_a_later_one_does_the_rest(told: Story) -> None:
    merge(told, MERGED, 4)
    previewed(told, "", "staging", "production")
    said = told.heliostat("ci", "apply", "staging", "--detach")
    (job,) = jobs(told).all()
    assert f"the training of bees goes on as Ray job {job.submission_id}" in said and "`heliostat ci continue" in said
    assert told.world.tests.served == {} and not list((told.world.folder / "state/.pulumi/locks").rglob("*.json"))
    early = told.heliostat("ci", "apply", "production", "--after", "staging", code=75)
    assert "staging is not through with" in early and job.submission_id in early and told.world.live.served == {}
    step = {"step": 12, "steps": 30, "metrics": {}}
    jobs(told).write(job.submission_id, f"{PROGRESS}{json.dumps(step)}\n")
    assert "the training of bees goes on since" in outcome(told, MERGED) and "round 12 of 30" in outcome(told, MERGED)
    assert "staging: on its way" in told.heliostat("ci", "continue", "-s", "staging", "-s", "production")
    told.heliostat("ci", "continue", "-s", "staging", "--dry-run", code=75)
    # The schedule's job has main as it is by then.
    told.push("main", "README.md", "A repository.", "A repository of bees.")
    newest = told.git("rev-parse", "HEAD")
    jobs(told).end(job.submission_id)
    told.heliostat("ci", "continue", "-s", "staging", "--dry-run")
    assert "staging: done" in told.heliostat("ci", "continue", "-s", "staging")
    assert told.git("rev-parse", "HEAD") == newest, "what was checked out is what was there"
    assert told.world.tests.served == {"bees": "models:/bees/2"}
    assert len(jobs(told).all()) == 1
    text = outcome(told, MERGED)
    assert "the training of bees ended well" in text and "goes on since" not in text and "through" in text
    assert "staging: nothing" in told.heliostat("ci", "continue", "-s", "staging")
    told.git("checkout", "-q", "--detach", "HEAD^")
    told.heliostat("ci", "apply", "production", "--after", "staging")
    assert told.world.live.served == {"bees": "models:/bees/1"}


def test_a_training_that_fails_unseen_is_told_with_its_own_words(told: Story) -> None:
    merge(told, MERGED, 4)
    previewed(told, "", "staging")
    told.heliostat("ci", "apply", "staging", "--detach")
    (job,) = jobs(told).all()
    why = "Traceback (most recent call last):\n  train.py\nValueError: no such column"
    jobs(told).end(job.submission_id, "FAILED", f"{FAILURE}{json.dumps({'kind': 'error', 'message': why})}\n")
    said = told.heliostat("ci", "continue", "-s", "staging", code=1)
    assert "ValueError: no such column" in said
    text = outcome(told, MERGED)
    assert "the training of bees **failed**" in text and "ValueError: no such column" in text
    assert len(jobs(told).all()) == 1, "nothing is begun anew by a schedule"
    assert "staging: nothing" in told.heliostat("ci", "continue", "-s", "staging")
    assert "staging is not at what" in told.heliostat("ci", "apply", "staging", "--after", "staging", code=1)


def test_a_training_that_takes_too_long_is_ended_by_the_schedule_and_told_on_its_pull_request(told: Story) -> None:
    merge(told, MERGED, 4)
    previewed(told, "", "staging")
    told.heliostat("ci", "apply", "staging", "--detach")
    (job,) = jobs(told).all()
    assert "staging: on its way" in told.heliostat("ci", "continue", "-s", "staging")
    jobs(told).have_begun(job.submission_id, 1.0)
    assert "has run for longer than its" in told.heliostat("ci", "continue", "-s", "staging", "--dry-run")
    assert [each.status for each in jobs(told).all()] == ["RUNNING"], "it was only looked at"
    assert "did not end within" in told.heliostat("ci", "continue", "-s", "staging", code=1)
    assert [each.status for each in jobs(told).all()] == ["STOPPED"]
    text = outcome(told, MERGED)
    assert "the training of bees **failed**" in text and "did not end within" in text
    assert "staging: nothing" in told.heliostat("ci", "continue", "-s", "staging"), "nothing is begun anew by a schedule"


def test_a_later_merge_takes_the_place_of_what_goes_on(told: Story) -> None:
    merge(told, MERGED, 4)
    previewed(told, "", "staging")
    told.heliostat("ci", "apply", "staging", "--detach")
    earlier = told.git("rev-parse", "HEAD")
    merge(told, 8, 5)
    previewed(told, "", "staging")
    said = told.heliostat("ci", "apply", "staging", "--detach")
    assert "nothing of staging waits for it any more" in said
    first, second = sorted(jobs(told).all(), key=lambda each: each.started or 0)
    assert (first.status, second.status) == ("RUNNING", "RUNNING"), "another stack may wait for the first"
    jobs(told).end(second.submission_id)
    assert "staging: done" in told.heliostat("ci", "continue", "-s", "staging")
    told.heliostat("ci", "outcomes", "-s", "staging")
    assert "another declaration took its place" in comment_on(MERGED, told.played)
    assert "ended well" in comment_on(8, told.played)
    told.git("checkout", "-q", "--detach", earlier)
    previewed(told, "HEAD^", "staging")
    assert "comes after" in told.heliostat("ci", "apply", "staging", code=1)


def test_a_branch_s_environment_says_what_is_not_there_yet_and_is_gone_on_with(told: Story) -> None:
    branch = "feature/bees"
    told.in_pull_request(MERGED, branch)
    told.git("checkout", "-q", "-b", branch)
    told.push(branch, "workloads/shared.py", "LIMIT = 3", "LIMIT = 4")
    for played in told.forges.values():
        played.repository.pull(branch, number=MERGED)
    previewed(told, "origin/main", "production")
    told.heliostat("env", "up", "--detach")
    (job,) = jobs(told).all()
    told.heliostat("ci", "comment")
    assert f"not there yet: the training of bees goes on as Ray job {job.submission_id}" in comment_on(MERGED, told.played)
    told.git("checkout", "-q", "--detach", "origin/main")
    told.on_branch("main")
    (before,) = json.loads(told.heliostat("env", "list", "--json"))
    assert "on its way" in told.heliostat("ci", "continue", "--environments")
    (after,) = json.loads(told.heliostat("env", "list", "--json"))
    assert after["used"] > before["used"], "nobody can use it yet, so it is not idle"
    jobs(told).end(job.submission_id)
    name = environment_name(branch)
    assert f"{name}: done" in told.heliostat("ci", "continue", "--environments")
    assert told.world.tests.served == {f"bees-{name}": "models:/bees/2"}
    assert json.loads(told.heliostat("env", "list", "--json"))[0]["going"] == ""
    assert told.heliostat("ci", "continue", "--environments").strip() == ""
