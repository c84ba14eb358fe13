"""What a snapshot takes whose data come in parts, beside one of the same rows as tables in memory."""

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

_ROWS: Final = 5_000_000
_ROUNDS: Final = 3


def in_parts(session: Session) -> Iterable[Result]:
    """The same rows both ways in turn, each in a process of its own with a new store: made, written, hashed and described."""
    parts, table = [], []
    for _ in range(_ROUNDS):
        parts.append(_made(session, "parts"))
        table.append(_made(session, "table"))
        if parts[-1]["digest"] != table[-1]["digest"]:
            raise MeasurementError(f"the same rows have two digests: {parts[-1]['digest']} and {table[-1]['digest']}")
    for what, row in (("mib", "snapshot/parts-memory"), ("seconds", "snapshot/parts-time")):
        here, there = ([each[what] for each in all_] for all_ in (parts, table))
        yield BY_NAME[row].result(paired_ratio(here, there), **{what: here, f"{what}_in_memory": there})


def _made(session: Session, how: str) -> dict[str, Any]:
    store = session.folder / "snapshots"
    try:
        said = run([sys.executable, "-m", "bench.snapshot_run", how, str(_ROWS), str(store)], SOURCE, seconds=1_200).output
    finally:
        shutil.rmtree(store, ignore_errors=True)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    session.tell(f"{how}: {found['seconds']:.1f} s, {found['mib']} MiB at most")
    return found
