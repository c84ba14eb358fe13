"""What a job with a cluster of its own writes is kept in the store, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.jobs.kept_log import KeptLog
from heliostat.systems.errors import RetryableError


def started(store: Path, command: str) -> subprocess.Popen[bytes]:
    where = json.dumps({"store": {"uri": f"file://{store}"}, "key": "jobs/a.log"})
    arguments = [sys.executable, "-m", "heliostat.jobs.kept_log", where, command]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_it_ends_as_the_command_does_and_all_that_was_written_is_kept(tmp_path: Path, command: str, code: int) -> None:
    process = started(tmp_path, f"echo 'one $HOME'; echo two >&2; {command}")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == code
    assert told == (tmp_path / "jobs/a.log").read_bytes() == b"one $HOME\ntwo\n"


def test_a_command_that_is_told_to_end_has_the_last_word(tmp_path: Path) -> None:
    process = started(tmp_path, "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGTERM)
    told, _ = process.communicate(timeout=120)
    assert (process.returncode, told) == (4, b"bye\n")
    assert (tmp_path / "jobs/a.log").read_bytes() == b"ready\nbye\n"


def test_a_store_that_is_away_fails_no_job(capsys: pytest.CaptureFixture[str]) -> None:
    def put(_: bytes) -> None:
        raise RetryableError("the bucket does not answer")

    kept = KeptLog(put)
    kept.write(b"text")
    kept.close()
    assert "the log cannot be kept: the bucket does not answer" in capsys.readouterr().err


def test_nothing_new_is_not_written_again_and_a_log_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliostat.jobs.kept_log._MOST_BYTES", 4)
    put: list[bytes] = []
    kept = KeptLog(put.append)
    kept.write(b"0123456789")
    kept.close()
    kept.close()
    assert put == [b"(what came before is left out)\n6789"]
