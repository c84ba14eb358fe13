"""The build that this one is measured against: an earlier commit's files, on the same machine and virtual environment."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from bench.commands import MeasurementError

COMMIT = "e029389"
"""The last commit before the engine, the replica and the local stack were made faster."""


def checkout(source: Path, folder: Path) -> Path:
    """The files of `COMMIT` in `folder`, with the virtual environment of `source`.

    Raises:
        MeasurementError: the history does not reach back to it.
    """
    archived = subprocess.run(["git", "archive", COMMIT], cwd=source, capture_output=True)  # noqa: S603, S607
    if archived.returncode:
        said = archived.stderr.decode().strip()
        raise MeasurementError(f"no commit {COMMIT} to compare with ({said}); in a shallow clone: git fetch --unshallow")
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as files:
        files.extractall(folder, filter="data")
    (folder / ".venv").symlink_to(source / ".venv")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """What has every process import that build and not the one that the virtual environment was made for."""
    return {"PYTHONPATH": str(folder)}
