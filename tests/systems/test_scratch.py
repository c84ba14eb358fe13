"""Scratch folders: gone after use, and after whoever was killed; never from under somebody at work."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from heliostat.systems.scratch import scratch_folder

KILLED = """
import os
from heliostat.systems.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "large").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    os._exit(9)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_empty_and_gone_afterwards_whatever_happens(temporary: Path) -> None:
    with pytest.raises(RuntimeError), scratch_folder() as folder:
        assert list(folder.iterdir()) == []
        assert temporary in folder.parents
        (folder / "file").touch()
        raise RuntimeError
    assert not folder.exists()
    assert [left.name for left in folder.parent.iterdir()] == ["making.lock"]


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_in_use_stays() -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    left = Path(killed.stdout.strip())
    assert (killed.returncode, (left / "large").exists()) == (9, True)
    with scratch_folder() as first:
        assert not left.exists()
        with scratch_folder() as second:
            assert first.exists()
            assert first != second
        assert first.exists()
