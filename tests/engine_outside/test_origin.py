"""What the history says an operation ran from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from heliostat.engine.state.history import Origin, origin_of

WHO = ("-c", "user.name=Ada L", "-c", "user.email=ada@example.org")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *WHO, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "The first line\n\nand more")
    return tmp_path


def test_it_is_the_last_commit_and_its_branch(checkout: Path) -> None:
    assert origin_of(checkout) == Origin(
        "The first line",
        {
            "exec.kind": "cli",
            "git.head": git(checkout, "rev-parse", "HEAD"),
            "git.author": "Ada L",
            "git.author.email": "ada@example.org",
            "git.committer": "Ada L",
            "git.committer.email": "ada@example.org",
            "git.headName": "refs/heads/trunk",
            "git.dirty": "false",
        },
    )


@pytest.mark.parametrize(("name", "is_dirty"), [("file", "true"), ("another", "false")])
def test_it_is_dirty_where_a_known_file_was_changed(checkout: Path, name: str, is_dirty: str) -> None:
    (checkout / name).write_text("2")
    assert origin_of(checkout).environment["git.dirty"] == is_dirty


def test_a_commit_without_a_branch_has_no_name_and_one_without_a_message_none(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--detach")
    git(checkout, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    found = origin_of(checkout)
    assert "git.headName" not in found.environment
    assert (found.message, found.environment["git.head"]) == ("", git(checkout, "rev-parse", "HEAD"))


def test_outside_a_checkout_and_before_the_first_commit_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert origin_of(tmp_path) == Origin("", {"exec.kind": "cli"})
    git(tmp_path, "init", "-q")
    assert origin_of(tmp_path) == Origin("", {"exec.kind": "cli"})
