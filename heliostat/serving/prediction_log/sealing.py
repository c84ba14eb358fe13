"""Has a spool sealed by a process of its own (`heliostat.serving.prediction_log.files`), told on stdin what it is.

Making Parquet takes pyarrow, some 50 MiB that a replica then never has, and Python's lock, which answers would wait for.
The process goes on where its replica is killed, and holds the spool's lock until it is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import heliostat
from heliostat.serving.prediction_log.spools import Head
from heliostat.spec.base import Model

_SEALER: Final = "heliostat.serving.prediction_log.files"
_TAIL: Final = 500
_NICENESS: Final = 10
_LEAST: Final = 19
"""The lowest priority that there is."""


class Sealed(Model):
    """What became of a spool."""

    predictions: int = 0
    misfits: dict[str, str] = {}
    """What does not fit a column, the first such of each."""
    unread: dict[int, str] = {}
    """Why a line was no entry, by its number, from 1."""


class SealingError(Exception):
    """A spool could not be sealed now; it is there as it was."""


Seal = Callable[[Path, int, Head], Sealed]
"""Seals a spool, by its path and a descriptor that has its lock, into the store of a Head, which also says the columns of a
spool that says none itself."""


def seal(spool: Path, descriptor: int, head: Head) -> Sealed:
    """Seal a spool that nobody writes any more in another process.

    Raises:
        SealingError: it cannot be done now.
        OSError: no process can be started.
    """
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", _SEALER, str(spool)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(descriptor,),
        env={**os.environ, "PYTHONPATH": str(Path(heliostat.__file__).parents[1])},
    ) as process:
        # At once: what it imports first would take as much from replicas as what it does then.
        os.setpriority(os.PRIO_PROCESS, process.pid, min(os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS, _LEAST))
        told, complaints = process.communicate(head.line)
    if process.returncode:
        raise SealingError(complaints.decode(errors="replace").strip()[-_TAIL:] or f"it ended with {process.returncode}")
    return Sealed.model_validate_json(told)
