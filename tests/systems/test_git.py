"""Who declares something, from which commit: with the real git."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

import pytest

from heliostat.systems.git import actor, origin_of

ENVIRONMENT = {"PATH": os.environ["PATH"], "HELIOSTAT_BY": "ada"}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("a = 1\n")
    (folder / ".gitignore").write_text("/built\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    origin = origin_of(checkout, ENVIRONMENT)
    assert (origin.by, origin.commit, origin.dirty) == ("ada", git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("file", ["a.py", "new.py"])
def test_a_changed_or_a_new_file_makes_it_dirty(checkout: Path, file: str) -> None:
    (checkout / file).write_text("a = 2\n")
    assert origin_of(checkout, ENVIRONMENT).dirty


def test_what_git_ignores_does_not_make_it_dirty(checkout: Path) -> None:
    (checkout / "built").write_text("x")
    assert not origin_of(checkout, ENVIRONMENT).dirty


def test_another_checkout_whose_hook_runs_this_is_not_the_one_meant(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    hook = {**ENVIRONMENT, "GIT_DIR": str(tmp_path / ".git"), "GIT_WORK_TREE": str(tmp_path)}
    assert origin_of(checkout, hook).commit == git(checkout, "rev-parse", "HEAD")


def test_without_a_checkout_a_commit_or_git_itself_there_is_none(tmp_path: Path) -> None:
    assert origin_of(tmp_path, ENVIRONMENT).commit is None
    git(tmp_path, "init", "-q")
    origin = origin_of(tmp_path, ENVIRONMENT)
    assert (origin.commit, origin.dirty) == (None, False), "before its first commit"
    assert origin_of(tmp_path, {**ENVIRONMENT, "PATH": str(tmp_path)}).commit is None


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"HELIOSTAT_BY": "ada", "GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octo"}, "ada"),
        ({"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octo"}, "octo"),
        ({"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "lab"}, "lab"),
        ({"GITHUB_ACTOR": "octo"}, getpass.getuser()),
        ({"HELIOSTAT_BY": " "}, getpass.getuser()),
    ],
)
def test_it_is_who_says_so_or_the_ci_account_or_the_login(environment: dict[str, str], name: str) -> None:
    assert actor(environment) == name


def test_what_a_job_makes_beside_its_checkout_does_not_make_it_dirty(checkout: Path) -> None:
    (checkout / ".venv/lib").mkdir(parents=True)
    (checkout / ".venv/lib/module.py").write_text("x = 1\n")
    (checkout / ".heliostat/ci").mkdir(parents=True)
    (checkout / ".heliostat/ci/report.json").write_text("{}")
    assert not origin_of(checkout, ENVIRONMENT).dirty
    (checkout / "venv.py").write_text("x = 1\n")
    assert origin_of(checkout, ENVIRONMENT).dirty
