from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import baseline
from bench.commands import MeasurementError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "then.txt").write_text("from the start")
    for command in (
        ["init", "-q"],
        ["add", "then.txt"],
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "now.txt").write_text("since then")
    (folder / ".venv").mkdir()
    return folder


def test_the_build_of_before_has_the_files_of_its_commit_and_the_environment_of_now(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "COMMIT", "HEAD")
    made = baseline.checkout(repository, tmp_path / "before")
    assert (made / "then.txt").exists() and not (made / "now.txt").exists()
    assert (made / ".venv").resolve() == (repository / ".venv").resolve()
    assert baseline.environment(made) == {"PYTHONPATH": str(made)}


def test_a_history_that_is_too_short_is_told_with_what_to_do(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=rf"no commit {baseline.COMMIT}.*git fetch --unshallow"):
        baseline.checkout(repository, tmp_path / "before")
