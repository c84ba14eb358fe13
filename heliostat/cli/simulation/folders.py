"""The folder of a simulation: one at a time writes there, and nothing is emptied that no simulation made."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heliostat.cli.exits import UsageError

MARK: Final = ".simulation"
"""Is in a folder that a simulation made, and held by the one that writes there."""
_BEGUN: Final = "begun\n"
"""What it holds until that one has come to its end."""


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Have a folder for one simulation alone, with nothing of another one in it.

    Raises:
        UsageError: another one is at it, or something else is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = [each.name for each in folder.iterdir()]
    if there and MARK not in there and not {"datasets", "versions"} <= {*there}:
        raise UsageError(
            f"{folder} is not empty, and no simulation made it ({sorted(there)[0]} is there): name a folder of its own"
        )
    with (folder / MARK).open("a") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another simulation is writing into {folder}: wait for its end, or name another --output"
            ) from None
        for each in folder.iterdir():
            if each.name == MARK:
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()
        mark.truncate(0)
        mark.write(_BEGUN)
        mark.flush()
        yield
        mark.truncate(0)


def is_unfinished(folder: Path) -> bool:
    """Whether a simulation is at work there, or was ended before its end."""
    mark = folder / MARK
    return mark.is_file() and mark.read_text() == _BEGUN
