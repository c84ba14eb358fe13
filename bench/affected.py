"""How long it takes to say what a change affects, with a hundred workloads in each of ten stacks."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from bench import many_workloads
from bench.commands import MeasurementError, run
from bench.engine import heliostat, own_environment
from bench.rows import BY_NAME, Result
from bench.session import Session

_WORKLOADS, _STACKS = 100, 10
_ROUNDS: Final = 5
_ONE: Final = "workloads/flights_007/train.py"


def affected(session: Session) -> Iterable[Result]:
    """The whole command, as a job calls it: of a change to one workload, and of one to what all of them share.

    The least of the rounds: what else runs on the machine makes a command slower, and none faster.
    """
    root = session.folder / "affected" / "repository"
    environment = own_environment(root.parent)
    many_workloads.make(root, _WORKLOADS, _STACKS)

    def measured(row: str, file: str, workloads: int) -> Result:
        text = (root / file).read_text()
        (root / file).write_text(f"{text}\nCHANGED = True\n")
        try:
            took = [_took(root, environment, workloads) for _ in range(_ROUNDS)]
        finally:
            (root / file).write_text(text)
        seconds, cpu = zip(*took, strict=True)
        session.tell(f"{row}: {min(seconds):.1f} s, {min(cpu):.1f} s of CPU time")
        return BY_NAME[row].result(min(seconds), seconds=seconds, cpu_seconds=cpu)

    try:
        yield measured("gitops/affected", _ONE, 1)
        yield measured("gitops/affected-shared", many_workloads.SHARED, _WORKLOADS)
    finally:
        shutil.rmtree(root.parent)


def _took(root: Path, environment: Mapping[str, str], workloads: int) -> tuple[float, float]:
    """Seconds of one call and of its CPU time, after seeing that it said what it should."""
    before = _cpu_seconds()
    done = run([heliostat(), "ci", "affected", "--base", "main", "--json"], root, environment, seconds=300)
    cpu = _cpu_seconds() - before
    said = json.loads(done.output)
    whys = [[why["why"] for why in stack["workloads"].values()] for stack in said]
    if whys != [[["training"]] * workloads] * _STACKS:
        raise MeasurementError(f"a change to {workloads} of {_WORKLOADS} workloads affects:\n{done.output[:2000]}")
    return done.seconds, cpu


def _cpu_seconds() -> float:
    """Of all commands until now, and of what they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
