"""How a job's process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.jobs import SpecificationAddress

JOB = """
import atexit, sys
from heliostat.jobs.specification import run
from heliostat.spec.jobs import SpecificationAddress
atexit.register(lambda: print("took itself apart"))

def work(specification):
    print("told", end="")
    if specification.key == "wrong":
        raise ValueError("went wrong")

run(SpecificationAddress, work)
"""


def ended(folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    address = StoreAddress(uri=folder.as_uri())
    (folder / "job.json").write_text(SpecificationAddress(store=address, key=key).model_dump_json(by_alias=True))
    where = SpecificationAddress(store=address, key="job.json").model_dump_json(by_alias=True)
    return subprocess.run([sys.executable, "-c", JOB, where], capture_output=True, text=True, check=False)


def test_a_job_that_is_done_ends_at_once_with_all_that_it_told(tmp_path: Path) -> None:
    done = ended(tmp_path, "right")
    assert (done.returncode, done.stdout) == (0, "told"), done.stderr


def test_a_job_that_failed_says_why_and_ends_as_any_program(tmp_path: Path) -> None:
    done = ended(tmp_path, "wrong")
    assert done.returncode == 1
    assert "went wrong" in done.stderr
    assert "took itself apart" in done.stdout
