"""Runs commands that never outlive a test, whatever ends it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TAIL_LINES = 60
GRACE_SECONDS = 20.0
"""How long an interrupted command may take to put its affairs in order."""


@dataclass(frozen=True)
class CommandResult:
    """A command that ended."""

    command: str
    code: int
    """Its exit code."""
    output: str
    """What it wrote to stdout, and to stderr where that was not kept apart."""
    seconds: float


class CommandError(RuntimeError):
    """A command failed, or took too long; the text has it with the end of what it wrote."""


@contextmanager
def running(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], stderr: int = subprocess.STDOUT
) -> Iterator[subprocess.Popen[str]]:
    """Have a command at work in a process group of its own, which is ended on the way out: Ctrl-C reaches only the test."""
    process = subprocess.Popen(  # noqa: S603 - the callers' own commands, as lists
        list(argv), cwd=folder, env=dict(environment), text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
    )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def run(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float, *, apart: bool = False
) -> CommandResult:
    """Run a command to its end, whatever its exit code; `apart` keeps what it writes to stderr for its errors.

    Raises:
        CommandError: it took longer than `seconds`; or it failed, where stderr is kept apart.
    """
    began = time.perf_counter()
    with running(argv, folder, environment, subprocess.PIPE if apart else subprocess.STDOUT) as process:
        try:
            written, told = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            written = _interrupt(process)
            raise CommandError(f"`{shown(argv)}` did not end within {seconds:g} s:\n{tail(written)}") from None
    result = CommandResult(shown(argv), process.returncode, written, time.perf_counter() - began)
    if apart and result.code:
        raise failure(result, told)
    return result


def failure(result: CommandResult, told: str | None = None) -> CommandError:
    """Make the error of a command that failed."""
    return CommandError(f"`{result.command}` failed with exit code {result.code}:\n{tail(told or result.output)}")


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """The last lines."""
    return "\n".join(text.splitlines()[-lines:])


def shown(argv: Sequence[str]) -> str:
    """A command for people."""
    return shlex.join([Path(argv[0]).name, *argv[1:]])


def _end(process: subprocess.Popen[str]) -> None:
    _interrupt(process)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _interrupt(process: subprocess.Popen[str]) -> str:
    """Send SIGINT to a command that runs, and SIGKILL to what is left of its group after that; all that it wrote."""
    if process.poll() is not None:
        return ""
    _signal(process, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=GRACE_SECONDS)
    _signal(process, signal.SIGKILL)
    written, _ = process.communicate()
    return written or ""


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
