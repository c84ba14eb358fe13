"""A training leaves the cores to what serves, and takes no more than it was given."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from heliostat.ml.priority import lower_priority
os.setpriority(os.PRIO_PROCESS, 0, max(int(sys.argv[1]), os.getpriority(os.PRIO_PROCESS, 0)))
lower_priority()
print(os.getpriority(os.PRIO_PROCESS, 0))
"""


@pytest.mark.parametrize(("given", "left"), [(0, 15), (19, 19)])
def test_work_that_can_wait_gives_way(given: int, left: int) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(given)], capture_output=True, text=True, timeout=60)
    assert int(done.stdout) == max(left, ours), done.stderr
