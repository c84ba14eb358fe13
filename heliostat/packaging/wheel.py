"""Builds wheels with setuptools, offline, to the same bytes for the same sources."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from heliostat.packaging.contents import PackageError

_EARLIEST: Final = "315532800"
"""1980-01-01, before which zip has no time."""
_PROGRAM: Final = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
_TAIL: Final = 4000


def build(folder: Path, target: Path) -> Path:
    """Build the wheel of the project in `folder` into `target`.

    Raises:
        PackageError: the backend fails, or leaves out a file below `src`.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.rglob("*"):  # wheels keep modes, and a umask decides those of new files
        path.chmod(0o755 if path.is_dir() else 0o644)
    variables = {**os.environ, "SOURCE_DATE_EPOCH": _EARLIEST, "PYTHONHASHSEED": "0"}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-P", "-c", _PROGRAM, str(target)],
        cwd=folder,
        env=variables,
        umask=stat.S_IWGRP | stat.S_IWOTH,
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = sorted(target.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise PackageError(f"setuptools did not build the wheel: {(done.stderr or done.stdout).strip()[-_TAIL:]}")
    _require_whole(folder / "src", wheels[0])
    return wheels[0]


def _require_whole(sources: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    expected = {path.relative_to(sources).as_posix() for path in sources.rglob("*") if path.is_file()}
    left = sorted(name for name in expected - there if ".egg-info/" not in name)
    if left:
        raise PackageError(f"the wheel has no {', '.join(left)}: give files of a model names that do not begin with a dot")
