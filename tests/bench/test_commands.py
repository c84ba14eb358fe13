import sys

import psutil
import pytest

from bench import commands
from bench.commands import MeasurementError, run, running, tail


def test_a_command_gives_its_output_and_its_duration(tmp_path):
    done = run([sys.executable, "-c", "import os; print(os.environ['A'], os.getcwd())"], tmp_path, {"A": "b"})
    assert done.output == f"b {tmp_path}\n"
    assert done.seconds > 0


def test_a_failure_shows_the_end_of_the_output(tmp_path):
    with pytest.raises(MeasurementError, match=r"exit code 3(?s:.*)the reason"):
        run([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path)


def test_a_command_that_takes_too_long_is_ended_also_where_it_does_not_listen(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "_GRACE_S", 1.0)
    before = set(psutil.Process().children())
    deaf = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    with pytest.raises(MeasurementError, match=r"did not end within 0\.5 s"):
        run([sys.executable, "-c", deaf], tmp_path, seconds=0.5)
    assert set(psutil.Process().children()) <= before


def test_nothing_that_a_command_started_outlives_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "_GRACE_S", 1.0)
    script = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); time.sleep(60)']); time.sleep(60)"
    )
    with pytest.raises(KeyboardInterrupt), running([sys.executable, "-c", script], tmp_path) as process:
        process.stdout.readline()
        (child,) = psutil.Process(process.pid).children()
        raise KeyboardInterrupt
    assert process.returncode is not None
    child.wait(5)


def test_a_tail_is_the_last_lines():
    assert tail("a\nb\nc\n", lines=2) == "b\nc"
