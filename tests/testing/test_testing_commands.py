"""Commands that a test runs end with it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from heliostat.testing import commands
from heliostat.testing.commands import CommandError, run, running, tail

DEAF = "trap '' INT; echo begun; sleep 100"
"""A shell that does not listen to Ctrl-C, and neither does what it starts."""


def variables(**more: str) -> dict[str, str]:
    return {**os.environ, **more}


def test_a_command_gives_its_output_its_exit_code_and_its_duration(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['A'], os.getcwd()); print('told', file=sys.stderr); sys.exit(3)"
    done = run([sys.executable, "-u", "-c", code], tmp_path, variables(A="b"), 60)
    assert (done.output, done.code) == (f"b {tmp_path}\ntold\n", 3)
    assert done.seconds > 0
    assert str(commands.failure(done)).endswith(f"failed with exit code 3:\nb {tmp_path}\ntold")


def test_stderr_can_be_kept_for_the_error(tmp_path: Path) -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"], tmp_path, variables(), 60, apart=True)
    assert done.output == "out\n"
    with pytest.raises(CommandError, match=r"exit code 3:\nerr$"):
        run(["sh", "-c", "echo out; echo err >&2; exit 3"], tmp_path, variables(), 60, apart=True)


def test_a_command_that_takes_too_long_is_ended_also_where_it_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "GRACE_SECONDS", 1.0)
    before, began = set(psutil.Process().children()), time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 1 s:\nbegun"):
        run(["sh", "-c", DEAF], tmp_path, variables(), 1)
    assert time.monotonic() - began < 60
    assert set(psutil.Process().children()) <= before


def test_nothing_that_a_command_started_outlives_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "GRACE_SECONDS", 1.0)
    with pytest.raises(KeyboardInterrupt), running(["sh", "-c", DEAF], tmp_path, variables()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (child,) = until_there(psutil.Process(process.pid))
        raise KeyboardInterrupt
    assert process.returncode is not None
    child.wait(5)


def until_there(process: psutil.Process) -> list[psutil.Process]:
    while not (children := process.children()):
        time.sleep(0.01)
    return children


def test_a_tail_is_the_last_lines() -> None:
    assert tail("a\nb\nc\n", lines=2) == "b\nc"
