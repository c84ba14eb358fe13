"""Runs commands that never outlive the bench, whatever ends it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from heliostat.testing import commands
from heliostat.testing.commands import CommandError, CommandResult, tail

__all__ = ["MeasurementError", "run", "running", "tail"]


class MeasurementError(RuntimeError):
    """Something could not be measured; the text says what happened and, where the cause is known, what to do."""


def running(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A command at work, which ends with the block; `environment` is laid over the bench's own."""
    return commands.running(argv, folder, {**os.environ, **(environment or {})})


def run(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 600
) -> CommandResult:
    """A command's output and duration.

    Raises:
        MeasurementError: it failed, or took longer than `seconds`.
    """
    try:
        result = commands.run(argv, folder, {**os.environ, **(environment or {})}, seconds)
    except CommandError as late:
        raise MeasurementError(str(late)) from late
    if result.code:
        raise MeasurementError(str(commands.failure(result)))
    return result
