"""What a schedule goes on with: the commits of its own branch, and no others."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliostat.cli import left_work
from heliostat.cli.commands import ci_continue
from heliostat.engine.state.going import Record, Work
from heliostat.engine.state.urns import Urn
from heliostat.gitops import commands, going_on
from heliostat.gitops.going_on import Standing
from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.left_work import LeftWork
from heliostat.testing.jobs import MemoryJobs

URN = Urn("urn:pulumi:staging::models::heliostat:index:TrainJob::bees")


def git(folder: Path, *arguments: str) -> str:
    argv = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A branch with a commit, and another branch's commit beside it, by their names."""
    (tmp_path / "Pulumi.yaml").write_text("name: models\nruntime: python\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commits = {"of main": git(tmp_path, "rev-parse", "HEAD")}
    git(tmp_path, "checkout", "-q", "-b", "other")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "two")
    commits["of a branch"] = git(tmp_path, "rev-parse", "HEAD")
    commits["of nobody"] = "1" * 40
    git(tmp_path, "checkout", "-q", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "three")
    monkeypatch.chdir(tmp_path)
    return commits


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
@pytest.mark.parametrize(("commit", "standing"), [("of main", "done"), ("of a branch", "by hand"), ("of nobody", "by hand")])
def test_a_schedule_goes_on_with_commits_of_its_own_branch_alone(checkout, monkeypatch, commit, standing, options):
    work = Work(URN, "the training of bees goes on as Ray job bees-1", checkout[commit], 1.0)
    record = Record((work,), checkout[commit])
    applied = []
    monkeypatch.setattr(left_work, "left_of", lambda stack: record)
    monkeypatch.setattr(left_work, "wait_for_holder", lambda *_: None)
    monkeypatch.setattr(going_on, "standings_of", lambda _: [Standing(work, True, "it has ended")])
    monkeypatch.setattr(commands.CommandLine, "apply", lambda self, stack, *_: applied.append(stack))
    done = CliRunner().invoke(ci_continue.continue_, ["-s", "staging", *options], standalone_mode=False)
    shown = "ready" if options and standing == "done" else standing
    assert done.exception is None and f"staging: {shown}" in done.output
    assert applied == (["staging"] if standing == "done" and not options else [])
    assert ("not in the history of what is checked out" in done.output) == (standing == "by hand")


@pytest.mark.parametrize(("dry", "ends"), [(True, 0), (False, 1)])
@pytest.mark.parametrize(
    ("commit", "stopped", "standing"), [("of main", "no room", "stopped"), ("", "", "by hand"), ("of a branch", "", "by hand")]
)
def test_what_no_update_comes_for_is_ended_all_the_same_once_it_runs_for_too_long(
    checkout, monkeypatch, tmp_path, dry, ends, commit, stopped, standing
):
    store = StoreAddress(uri=f"file://{tmp_path}/objects")
    left = LeftWork(what="it", job="bees-1", ray=RayAddress(url="http://ray"), store=store, timeout_seconds=60.0)
    work = Work(URN, "the training of bees goes on as Ray job bees-1", checkout.get(commit, ""), 1.0)
    jobs = MemoryJobs(lambda _: None)
    asyncio.run(jobs.submit("bees-1", "true", {}, {}))
    monkeypatch.setattr(left_work, "left_of", lambda stack: Record((work,), checkout.get(commit, ""), "", stopped))
    monkeypatch.setattr(going_on, "standings_of", lambda _: [Standing(work, True, "it runs for too long", overdue=left)])
    monkeypatch.setattr(going_on, "open_runner", lambda address, own=None: jobs)
    done = CliRunner().invoke(ci_continue.continue_, ["-s", "staging", *["--dry-run"] * dry], standalone_mode=False)
    assert done.exception is None and f"staging: {standing}" in done.output
    assert done.output.count("and was stopped") == ends
    assert (asyncio.run(jobs.find("bees-1")).status == "STOPPED") == bool(ends)
