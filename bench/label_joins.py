"""How the join of predictions with late labels grows with their number."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from typing import Any, Final

from bench.commands import MeasurementError, run
from bench.numbers import paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session

_FEW: Final = 1_000_000
_MANY: Final = 10_000_000
_ROUNDS: Final = 3


def late_labels(session: Session) -> Iterable[Result]:
    """Ten million predictions beside one million in turn, each in a process of its own."""
    few, many = [], []
    for _ in range(_ROUNDS):
        few.append(_joined(session, _FEW))
        many.append(_joined(session, _MANY))
    here, there = ([each["cpuSeconds"] for each in all_] for all_ in (many, few))
    yield BY_NAME["monitoring/join-growth"].result(paired_ratio(here, there), cpu_seconds=here, cpu_seconds_of_1m=there)
    most = max(each["mib"] for each in many)
    yield BY_NAME["monitoring/join-memory"].result(
        most, mib=[each["mib"] for each in many], mib_of_1m=[each["mib"] for each in few]
    )


def _joined(session: Session, rows: int) -> dict[str, Any]:
    folder = session.folder / "labels"
    try:
        said = run([sys.executable, "-m", "bench.label_join_run", str(rows), str(folder)], SOURCE, seconds=1_800).output
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    if not 0.89 * rows < found["labelled"] < 0.91 * rows:
        raise MeasurementError(f"{found['labelled']} of {rows} predictions have a label: nine of ten were made one")
    session.tell(f"{rows:,} predictions: {found['cpuSeconds']:.1f} s of the processor, {found['mib']} MiB at most")
    return found
