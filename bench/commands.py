"""Runs commands that never outlive the bench, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TAIL_LINES = 40
_GRACE_S = 20.0


class MeasurementError(RuntimeError):
    """Something could not be measured; the text says what happened and, where the cause is known, what to do."""


@dataclass(frozen=True)
class Done:
    """A command that succeeded."""

    output: str
    """stdout and stderr."""
    seconds: float


@contextmanager
def running(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A command at work, in a process group of its own: Ctrl-C reaches only the bench, which ends the group on the way out."""
    process = subprocess.Popen(  # noqa: S603 - the callers' own commands, as lists
        list(argv), cwd=folder, env={**os.environ, **(environment or {})}, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def run(argv: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 600) -> Done:
    """A command's output and duration.

    Raises:
        MeasurementError: it failed, or took longer than `seconds`.
    """
    began = time.perf_counter()
    with running(argv, folder, environment) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise MeasurementError(f"{shown(argv)} did not end within {seconds:g} s") from late
    if process.returncode:
        raise MeasurementError(f"{shown(argv)} failed with exit code {process.returncode}:\n{tail(output)}")
    return Done(output, time.perf_counter() - began)


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """The last lines."""
    return "\n".join(text.splitlines()[-lines:])


def shown(argv: Sequence[str]) -> str:
    """A command for people."""
    return " ".join([Path(argv[0]).name, *argv[1:]])


def _end(process: subprocess.Popen[str]) -> None:
    """An interrupted command gets SIGINT, to put its affairs in order, and what is left after that SIGKILL."""
    if process.poll() is None:
        _signal(process, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE_S)
        _signal(process, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
