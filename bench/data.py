"""Profiles and drift reports, beside Evidently, DuckDB and a mere reading of the same file; and how often they are wrong.

Evidently does not import beside our pandas, so it has an environment of its own, and so have the other readers: made once, in
`.heliostat/bench`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy.stats import binom

from bench.commands import run
from bench.data_run import piece
from bench.environments import binaries
from bench.numbers import paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session
from heliostat.data.drift import Limit, Limits, compare
from heliostat.data.profiling import DRIFT, Measures, profile

_EVIDENTLY: Final = ("evidently==0.7.23", "pandas<3", "pyarrow>=21")
_READERS: Final = ("duckdb==2.0.1", "polars>=2,<3", "pyarrow>=21")
_WAYS: Final = ("read-pyarrow-dictionary", "read-polars", "read-pyarrow", "read-duckdb")
_MANY: Final = 10_000_000
_FEW: Final = 1_000_000
_ROUNDS: Final = 3
_WINDOWS: Final = 1_000
_WINDOW_ROWS: Final = 1_000
_SECONDS: Final = 3_600


def against_evidently(session: Session) -> Iterable[Result]:
    """1M rows: ours from the file to the report, theirs from frames in memory on."""
    python = binaries("evidently-0.7.23", _EVIDENTLY) / "python"
    window, then = (_file(session, _FEW, seed) for seed in (1, 2))
    reference = _reference(session, then)
    ours, theirs = [], []
    for _ in range(2):
        ours.append(_ours("drift", window, reference))
        theirs.append(_others(python, "evidently", window, then))
    yield BY_NAME["data/drift-evidently"].result(_ratio(ours, theirs), ours=ours, evidently=theirs)


def against_reading(session: Session) -> Iterable[Result]:
    """10M rows: the report, and the statistics with a schema, beside the fastest reader and DuckDB's SUMMARIZE."""
    python = binaries("readers", _READERS) / "python"
    window = _file(session, _MANY, 1)
    reference = _reference(session, _file(session, _FEW, 2))
    readers = {way: _others(python, way, window) for way in _WAYS}
    fastest = min(readers, key=lambda way: float(readers[way]["seconds"]))
    ours, reading = [], []
    for _ in range(_ROUNDS):
        ours.append(_ours("drift", window, reference))
        reading.append(_others(python, fastest, window))
    yield BY_NAME["data/drift-read"].result(
        _ratio(ours, reading), ours=ours, fastest=fastest, reading=reading, readers=readers
    )
    yield BY_NAME["data/drift-memory"].result(max(each["mib"] for each in ours))
    statistics, summarize = _ours("statistics", window), _others(python, "summarize", window)
    yield BY_NAME["data/statistics-duckdb"].result(_ratio([statistics], [summarize]), ours=statistics, duckdb=summarize)


def merging(session: Session) -> Iterable[Result]:
    """Profiles of 1,000 parts become one."""
    rounds = [_ours("merge", "1000")["merging"] for _ in range(_ROUNDS)]
    session.tell(f"seconds: {rounds}")
    yield BY_NAME["data/merge"].result(max(rounds), seconds=rounds)


def false_alarms(session: Session) -> Iterable[Result]:
    """Windows of 1,000 rows from where the reference is from: how many alarm by chance alone, no distance being too small."""
    generator = np.random.default_rng(0)
    limits = Limits(numbers=Limit("kolmogorov-smirnov", 0), texts=Limit("jensen-shannon", 0))
    reference = profile(piece(_FEW // 2, generator), DRIFT)
    single = Measures(correlations=False, distinct=False, threads=1)
    alarms = sum(
        bool(compare(reference, profile(piece(_WINDOW_ROWS, generator), single), limits).alarming) for _ in range(_WINDOWS)
    )
    bounds = [100 * float(binom.ppf(each, _WINDOWS, limits.alpha)) / _WINDOWS for each in (0.0005, 0.9995)]
    session.tell(f"{alarms} of {_WINDOWS} stable windows alarm; {limits.alpha:.0%} are declared, {bounds} % lie within chance")
    yield BY_NAME["data/false-alarms"].result(100 * alarms / _WINDOWS, declared=100 * limits.alpha, bounds=bounds)
    yield BY_NAME["data/power"].result(100 * _power(limits), rows=_WINDOW_ROWS * 10, shift=0.1)


def _power(limits: Limits) -> float:
    """In how many windows of 10,000 rows a shift of 0.1 standard deviations is found, in one column of 50."""
    generator = np.random.default_rng(1)
    rows, windows = _WINDOW_ROWS * 10, 100
    reference = profile(pa.table({f"x{place}": generator.normal(size=100_000) for place in range(50)}), DRIFT)
    found = 0
    for _ in range(windows):
        values = {f"x{place}": generator.normal(0.1 if place == 0 else 0, 1, rows) for place in range(50)}
        found += "x0" in {column.name for column in compare(reference, profile(pa.table(values), DRIFT), limits).alarming}
    return found / windows


def _ratio(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> float:
    return paired_ratio([each["seconds"] for each in ours], [each["seconds"] for each in theirs])


def _file(session: Session, rows: int, seed: int) -> str:
    path = session.folder / f"data-{rows}-{seed}.parquet"
    if not path.is_file():
        session.tell(f"writing {rows:,} rows")
        run([sys.executable, "-m", "bench.data_run", "make", str(rows), str(path), str(seed)], SOURCE, seconds=_SECONDS)
    return str(path)


def _reference(session: Session, file: str) -> str:
    path = str(session.folder / "reference.profile")
    _ours("keep", file, path)
    return path


def _ours(what: str, *arguments: str) -> dict[str, Any]:
    return _measured([sys.executable, "-m", "bench.data_run", what, *arguments])


def _others(python: Path, what: str, *files: str) -> dict[str, Any]:
    return _measured([str(python), "-P", str(SOURCE / "bench" / "data_others.py"), what, *files])


def _measured(command: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(command, SOURCE, seconds=_SECONDS).output.splitlines()[-1])
    return found
