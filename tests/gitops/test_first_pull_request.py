"""The first pull request of a repository: its stacks, or the platform of its environments, are not there yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from story import Story, comment_on, story

from heliostat.engine.state.backend import Backend, StackRef
from heliostat.spec.branch_environments import environment_name

pytestmark = pytest.mark.timeout(900)
BRANCH, NUMBER = "feature/more-bees", 7
BESIDE = ("ci", "comment", "--beside", "production")
PREVIEW = ("ci", "preview", "--base", "origin/main")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Story]:
    with story(tmp_path, monkeypatch, capsys, wrong="") as there:
        there.in_pull_request(NUMBER, BRANCH)
        there.git("checkout", "-q", "-b", BRANCH)
        there.push(BRANCH, "workloads/shared.py", "LIMIT = 3", "LIMIT = 4")
        for played in there.forges.values():
            played.repository.pull(BRANCH, number=NUMBER)
        yield there


def remove(told: Story, *stacks: str) -> None:
    backend = Backend.open(f"file://{told.world.folder / 'state'}")
    for stack in filter(lambda each: backend.exists(StackRef("heliostat", each)), stacks):
        backend.remove(StackRef("heliostat", stack))


def test_where_no_stack_is_there_each_job_says_so_and_the_comment_is_written(told: Story):
    remove(told, "tests", "live", "staging", "production")
    for since in (("--base", "origin/main"), ("--since-applied",)):
        assert "production" in told.heliostat("ci", "affected", *since)
    previewed = told.heliostat(*PREVIEW, code=1)
    assert "heliostat stack init tests" in previewed and "Traceback" not in previewed
    failed = told.heliostat("env", "up", code=6)
    assert "heliostat stack init tests" in failed and "Traceback" not in failed
    for played in told.at_each():
        told.heliostat(*BESIDE)
        text = comment_on(NUMBER, played)
        assert "did not come up" in text and "no stack named 'tests'" in text and "There is no stack production yet" in text
    told.heliostat("ci", "close")
    assert "There is no environment" in told.heliostat("env", "list")


def test_a_platform_that_was_never_brought_up_is_told_without_a_traceback(told: Story):
    remove(told, "tests", "live", environment_name(BRANCH))
    backend = Backend.open(f"file://{told.world.folder / 'state'}")
    for stack in ("tests", "live"):
        backend.create(StackRef("heliostat", stack), None)
    previewed = told.heliostat(*PREVIEW, code=1)
    assert "heliostat up -s live" in previewed and "Traceback" not in previewed and "KeyError" not in previewed
    assert "heliostat up -s tests" in told.heliostat("env", "up", code=1)
    told.heliostat(*BESIDE)


def test_an_environment_is_told_of_without_the_comparison_where_there_is_nothing_to_compare_with(told: Story):
    remove(told, "production")
    previewed = told.heliostat(*PREVIEW)
    assert "| production | +5 create |" in previewed, "it is what its first update makes"
    applied = told.heliostat("ci", "apply", "production", code=1)
    assert "heliostat stack init production" in applied and "Traceback" not in applied
    told.heliostat("env", "up")
    for played in told.at_each():
        assert "no stack named 'production'" in told.heliostat(*BESIDE)
        text = comment_on(NUMBER, played)
        assert f"http://public/bees-{environment_name(BRANCH)}" in text and "There is no stack production yet" in text
    remove(told, environment_name(BRANCH))
    told.heliostat(*BESIDE)
    assert "There is no stack production yet" not in comment_on(NUMBER, told.played)
