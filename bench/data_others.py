"""The same by others, run by file in environments of their own, without us: `python data_others.py WHAT FILE [FILE]`.

`read-pyarrow`, `read-pyarrow-dictionary`, `read-polars` and `read-duckdb` read and decode all columns; `summarize` is
DuckDB's; `evidently` a drift report with its defaults, of frames that are there already.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from typing import Any

_MODULES = {
    "read-pyarrow": ("pyarrow.parquet",),
    "read-pyarrow-dictionary": ("pyarrow.parquet",),
    "read-polars": ("polars",),
    "read-duckdb": ("duckdb", "pyarrow"),
    "summarize": ("duckdb",),
    "evidently": ("pandas", "evidently.presets"),
}


def read_pyarrow(file: str) -> int:
    """Texts as texts."""
    import pyarrow.parquet as pq

    return int(pq.read_table(file).num_rows)


def read_pyarrow_dictionary(file: str) -> int:
    """Texts as dictionaries."""
    import pyarrow.parquet as pq

    texts = [field.name for field in pq.read_schema(file) if str(field.type) == "string"]
    return int(pq.read_table(file, read_dictionary=texts).num_rows)


def read_polars(file: str) -> int:
    """Into a frame."""
    import polars

    return int(polars.read_parquet(file).height)


def read_duckdb(file: str) -> int:
    """Into an Arrow table."""
    import duckdb

    return int(duckdb.read_parquet(file).to_arrow_table().num_rows)


def summarize(file: str) -> int:
    """DuckDB's own statistics of a file."""
    import duckdb

    return len(duckdb.sql(f"SUMMARIZE FROM '{file}'").fetchall())


def evidently(file: str, reference: str) -> float:
    """A report; the seconds without reading."""
    import pandas as pd
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    current, before = (Dataset.from_pandas(pd.read_parquet(each)) for each in (file, reference))
    began = time.perf_counter()
    Report([DataDriftPreset()]).run(current, before).dict()
    return time.perf_counter() - began


def main(what: str, *files: str) -> None:
    """Measure, and print."""
    os.environ["DO_NOT_TRACK"] = "1"
    known: dict[str, Any] = {
        "read-pyarrow": read_pyarrow,
        "read-pyarrow-dictionary": read_pyarrow_dictionary,
        "read-polars": read_polars,
        "read-duckdb": read_duckdb,
        "summarize": summarize,
        "evidently": evidently,
    }
    for module in _MODULES[what]:
        importlib.import_module(module)  # what is imported is not measured
    began, before = time.perf_counter(), time.process_time()
    found = known[what](*files)
    took = found if what == "evidently" else time.perf_counter() - began
    figures = {
        "seconds": round(took, 3),
        "cpu_seconds": round(time.process_time() - before, 3),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }
    print(json.dumps(figures))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
