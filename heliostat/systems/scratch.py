"""Folders for what a process computes and does not keep, which are gone even where it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from heliostat.systems.private_folder import node_folder, private


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder on this machine's disk (TMPDIR), gone after the block; what killed processes left goes before it.

    Raises:
        PermanentError: somebody else can write in the folder that it is made in.
    """
    root = private(node_folder() / "scratch", "remove it, or name another folder in TMPDIR")
    with FileLock(root / "making.lock"):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        claim = FileLock(folder.with_suffix(".lock"))
        claim.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        claim.release()
        folder.with_suffix(".lock").unlink(missing_ok=True)


def _sweep(root: Path) -> None:
    """Remove the folders that no process has a claim on."""
    for folder in root.iterdir():
        if not folder.is_dir():
            continue
        claim = FileLock(folder.with_suffix(".lock"), timeout=0)
        try:
            with claim:
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue
        folder.with_suffix(".lock").unlink(missing_ok=True)
