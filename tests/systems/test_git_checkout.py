"""Another commit is checked out for as long as something works on it, and what was there is there again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from heliostat.systems.errors import PermanentError
from heliostat.systems.git_checkout import checked_out


def git(folder: Path, *arguments: str) -> str:
    somebody = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", "-C", folder, *somebody, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", text)
    return folder


@pytest.fixture
def clone(remote: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(remote), "clone")
    return tmp_path / "clone"


def test_the_commit_is_there_and_then_what_was_there_before(clone: Path):
    earlier = git(clone, "rev-parse", "HEAD^")
    (clone / "made beside").write_text("stays")
    with checked_out(clone, os.environ, earlier):
        assert (clone / "file").read_text() == "one"
        assert (clone / "made beside").exists()
    assert (clone / "file").read_text() == "two"
    assert git(clone, "branch", "--show-current") == "main"


def test_also_where_what_works_on_it_fails_and_no_branch_was_checked_out(clone: Path):
    newest, earlier = git(clone, "rev-parse", "HEAD"), git(clone, "rev-parse", "HEAD^")
    git(clone, "checkout", "-q", "--detach")
    with pytest.raises(ZeroDivisionError), checked_out(clone, os.environ, earlier):
        raise ZeroDivisionError
    assert git(clone, "rev-parse", "HEAD") == newest


def test_what_is_checked_out_already_may_have_changes_and_nothing_else_may(clone: Path):
    (clone / "file").write_text("edited")
    with checked_out(clone, os.environ, git(clone, "rev-parse", "HEAD")):
        assert (clone / "file").read_text() == "edited"
    with (
        pytest.raises(PermanentError, match="commit them, or run this in a clone of its own"),
        checked_out(clone, os.environ, git(clone, "rev-parse", "HEAD^")),
    ):
        pass
    assert (clone / "file").read_text() == "edited"


def test_a_commit_that_the_clone_does_not_have_is_fetched(clone: Path, remote: Path):
    (remote / "file").write_text("three")
    git(remote, "commit", "-q", "-a", "-m", "three")
    merge = git(remote, "rev-parse", "HEAD")
    git(remote, "update-ref", "refs/pull/7/merge", merge)
    git(remote, "reset", "-q", "--hard", "HEAD^")
    with checked_out(clone, os.environ, merge):
        assert (clone / "file").read_text() == "three"
    why = "this clone does not have aaaaaaaaaaaa, and origin does not give it"
    with pytest.raises(PermanentError, match=why), checked_out(clone, os.environ, "a" * 40):
        pass
