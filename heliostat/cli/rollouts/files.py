"""Writes what a command made: to a file, whole or not at all, or to standard output."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from heliostat.cli import say
from heliostat.systems.errors import explained


def write(text: str, file: str) -> None:
    """Writes `text` to `file` (`-`: standard output), and says where it is.

    Raises:
        PermanentError: it cannot be written there.
    """
    if file == "-":
        say.out(text)
        return
    path = Path(file).absolute()
    try:
        _replace(path, text)
    except OSError as error:
        raise explained(error, f"write {path}") from None
    say.told(f"Wrote {path} ({len(text.encode()) / 1024:.0f} KiB).")


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as partial:
            partial.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
