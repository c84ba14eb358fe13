"""One measurement of `heliostat.data` in a process of its own: `python -m bench.data_run WHAT FILE [FILE]`.

Prints the seconds, those of computing and the process's greatest resident memory as JSON. What is imported is not measured.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.data import distances
from heliostat.data.drift import compare
from heliostat.data.inference import infer
from heliostat.data.parquet import profile_parquet
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, Measures, profile
from heliostat.data.storage import from_bytes, to_bytes

NUMBERS: Final = 25
TEXTS: Final = 25
_CATEGORIES: Final = (2, 3, 5, 8, 12, 20, 50, 100, 300, 1000)
_PART_ROWS: Final = 1 << 20


def make(rows: int, path: Path, seed: int = 0) -> None:
    """A Parquet file as pyarrow writes it: 25 columns of numbers of seven kinds, 25 of texts; a fifth with missing values."""
    writer: pq.ParquetWriter | None = None
    for first in range(0, rows, _PART_ROWS):
        part = piece(min(_PART_ROWS, rows - first), np.random.default_rng((seed, first)))
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()


def piece(rows: int, generator: np.random.Generator) -> pa.Table:
    """So many of these rows."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: generator.normal(size=rows),
        lambda: generator.lognormal(2, 1.5, rows),
        lambda: generator.integers(0, 1_000, rows),
        lambda: np.round(generator.gamma(2, 20, rows), 2),
        lambda: 1.7e9 + generator.uniform(0, 2.6e6, rows),
        lambda: generator.integers(0, 10**9, rows),
        lambda: generator.uniform(size=rows),
    )
    columns: dict[str, Any] = {}
    for number in range(NUMBERS):
        mask = generator.random(rows) < 0.02 if number % 5 == 0 else None
        columns[f"number_{number}"] = pa.array(kinds[number % len(kinds)](), mask=mask)
    for number in range(TEXTS):
        count = _CATEGORIES[number % len(_CATEGORIES)]
        weights = 1 / np.arange(1, count + 1)
        indices = generator.choice(count, rows, p=weights / weights.sum()).astype(np.int32)
        mask = generator.random(rows) < 0.02 if number % 5 == 0 else None
        values = pa.array([f"value-{place:04}" for place in range(count)])
        columns[f"text_{number}"] = pa.DictionaryArray.from_arrays(pa.array(indices, mask=mask), values).cast(pa.string())
    return pa.table(columns)


def drift(file: str, reference: str) -> dict[str, Any]:
    """The file against the profile that is kept: from opening it to the report."""
    report = compare(from_bytes(Path(reference).read_bytes()), profile_parquet(file, DRIFT))
    return {"columns": len(report.columns), "alarming": len(report.alarming)}


def statistics(file: str) -> dict[str, Any]:
    """Everything a profile has, and a schema."""
    found = profile_parquet(file, Measures())
    return {"columns": len(infer(found).columns), "rows": found.rows}


def keep(file: str, reference: str) -> dict[str, Any]:
    """Write the profile of a file."""
    content = to_bytes(profile_parquet(file, DRIFT))
    Path(reference).write_bytes(content)
    return {"bytes": len(content)}


def merge(parts: str) -> dict[str, Any]:
    """Profiles of so many parts of 10,000 rows, which are there already: only that they become one is measured."""
    generator = np.random.default_rng(0)
    made = [profile(piece(10_000, generator), Measures(correlations=True, distinct=True, threads=1)) for _ in range(20)]
    profiles = [made[place % len(made)] for place in range(int(parts))]
    began, before = time.perf_counter(), time.process_time()
    rows = Profile.merged(profiles).rows
    return {"rows": rows, "merging": time.perf_counter() - began, "merging_cpu": time.process_time() - before}


def warm_up() -> None:
    """Import what SciPy would import at the first comparison."""
    counts = np.array([5.0, 7.0])
    distances.jensen_shannon(counts, counts)
    distances.chi_squared_p(counts, counts)
    distances.wasserstein(counts, counts, counts)


def main(what: str, *arguments: str) -> None:
    """Measure, and print."""
    if what == "make":
        make(int(arguments[0]), Path(arguments[1]), int(arguments[2]))
        return
    warm_up()
    began, before = time.perf_counter(), time.process_time()
    found = {"drift": drift, "statistics": statistics, "keep": keep, "merge": merge}[what](*arguments)  # type: ignore[operator]
    print(  # noqa: T201
        json.dumps(
            {
                "seconds": round(time.perf_counter() - began, 3),
                "cpu_seconds": round(time.process_time() - before, 3),
                "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
                **found,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
