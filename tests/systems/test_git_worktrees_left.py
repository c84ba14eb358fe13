"""A change on a branch is made in a worktree of its own; of one whose process was killed, the next leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.systems.git_branches import Branches, push_change

_KILLED = """
import os, signal, sys
from pathlib import Path
from heliostat.systems import git_branches

def kill(tree):
    os.kill(os.getpid(), signal.SIGKILL)

git_branches.push_change(Path(sys.argv[1]), os.environ, git_branches.Branches("origin", "main", "changed"), kill, "changed")
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(folder)
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "--allow-empty", "-m", "begun")
    git(folder, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(folder, "push", "-q", "origin", "main")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def write(tree: Path) -> None:
    (tree / "file").write_text("changed")


def change(repository: Path) -> None:
    push_change(repository, os.environ, Branches("origin", "main", "changed"), write, "changed")


@pytest.mark.parametrize("locked", [False, True], ids=["as it was", "while git was still making it"])
def test_what_a_killed_process_left_goes_with_the_next_change(repository: Path, locked: bool) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, str(repository)], check=False)
    [left] = (repository.parent / "temporary").iterdir()
    if locked:
        git(repository, "worktree", "lock", "--reason", "initializing", str(left / "tree"))
    change(repository)
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert [*(repository.parent / "temporary").iterdir()] == []


def test_one_whose_folder_is_gone_and_those_of_others_are_told_apart(repository: Path) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, str(repository)], check=False)
    [left] = (repository.parent / "temporary").iterdir()
    git(repository, "worktree", "lock", str(left / "tree"))
    for path in sorted(left.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    left.rmdir()
    git(repository, "worktree", "add", "-q", "--detach", str(repository.parent / "mine"))
    change(repository)
    assert str(repository.parent / "mine") in git(repository, "worktree", "list")
    assert "heliostat-branch" not in git(repository, "worktree", "list")


def test_one_that_another_process_works_in_stays(repository: Path) -> None:
    kept = []

    def inside(tree: Path) -> None:
        write(tree)
        change(repository)
        kept.append(tree.is_dir() and str(tree) in git(repository, "worktree", "list"))

    push_change(repository, os.environ, Branches("origin", "main", "other"), inside, "changed")
    assert kept == [True]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_remote_beside_the_checkout_may_be_named_from_it(repository: Path) -> None:
    git(repository, "remote", "set-url", "origin", "../remote.git")
    git(repository, "config", "user.name", "Ada")
    git(repository, "config", "user.email", "ada@example.com")
    pushed = push_change(repository, os.environ, Branches("origin", "main", "changed"), write, "changed")
    assert pushed == git(repository.parent / "remote.git", "rev-parse", "changed").strip()
    again = push_change(repository, os.environ, Branches("origin", "main", "changed"), write, "said otherwise")
    assert again == pushed, "what has just this already stays as it is"
