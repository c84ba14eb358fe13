"""The process that waits for those of a Ray node."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from heliostat.systems import ray_watch

# As `ray_node` does: it starts the processes, and then becomes the watch over them.
PARENT = """
import os, subprocess, sys
children = [subprocess.Popen([sys.executable, "-S", "-c", code], stdout=-3, stderr=-3) for code in sys.argv[2:]]
named = [f"part{number}={child.pid}" for number, child in enumerate(children)]
print(*(child.pid for child in children), flush=True)
os.execv(sys.executable, [sys.executable, "-I", "-S", sys.argv[1], *named])
"""
SLEEP = "import time; time.sleep(600)"


def watching(*codes: str) -> tuple[subprocess.Popen[str], list[int]]:
    argv = [sys.executable, "-c", PARENT, ray_watch.__file__, *codes]
    watch = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    return watch, [int(pid) for pid in watch.stdout.readline().split()]


def test_a_part_that_is_killed_ends_the_node_and_is_named() -> None:
    watch, (first, second) = watching(SLEEP, SLEEP)
    try:
        subprocess.run(["kill", "-9", str(second)], check=True)
        _, told = watch.communicate(timeout=20)
        assert watch.returncode == 1
        assert f"Ray's part1 (process {second}) ended with -9" in told
    finally:
        subprocess.run(["kill", "-9", str(first)], check=False)


@pytest.mark.parametrize("code", ["", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "raise SystemExit(143)"])
def test_parts_that_were_asked_to_end_end_nothing_but_themselves(code: str) -> None:
    watch, _ = watching(code, "import time; time.sleep(1)")
    watch.communicate(timeout=20)
    assert watch.returncode == 0


def test_the_watch_itself_ends_at_once_when_asked_to() -> None:
    watch, (child,) = watching(SLEEP)
    watch.send_signal(signal.SIGTERM)
    try:
        assert watch.wait(10) == -signal.SIGTERM
    finally:
        subprocess.run(["kill", "-9", str(child)], check=False)
