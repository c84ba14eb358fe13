"""Predictions made beforehand: how fast a job makes them beside a bare loop, and how fast they are looked up."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from bench import bare_batch, baselines
from bench.commands import MeasurementError
from bench.rows import BY_NAME, Result
from bench.serving import compared
from bench.session import SOURCE, Session
from heliostat.provider.batch_prediction import BatchPredictionHandler
from heliostat.provider.resource import Context
from heliostat.serving import model_cache
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.platform_resources import RayClusterOutputs
from heliostat.spec.predictions import Current, current_key
from heliostat.spec.serving_resources import ApplicationOutputs, BatchPredictionInputs
from heliostat.systems.objects import directory_of

ROWS = int(os.environ.get("HELIOSTAT_BENCH_ROWS", "10000000"))
"""How many rows are predicted; fewer, where somebody has less time, count the job's start for more."""
_FILE_ROWS = 1_000_000
_SAMPLE_SECONDS = 5.0
_WORKERS = 2
_KEY = ("carrier", "origin", "destination", "scheduled_departure", "scheduled_arrival", "distance_miles")


def batch(session: Session) -> Iterable[Result]:
    """A BatchPrediction of the stack, its job's start included, and then the loop; each alone on the machine.

    Rows are flights of the test data, drawn again and again, with a number.
    """
    stack = session.stack
    resources = stack.workspace.resources()
    application = ApplicationOutputs.model_validate(resources["Application"]["outputs"])
    ray = RayClusterOutputs.model_validate(resources["RayCluster"]["outputs"])
    folder = session.folder / "batch"
    session.tell(f"writing {ROWS:,} rows")
    rows = _written(folder / "rows")
    inputs = BatchPredictionInputs.model_validate(
        {
            "name": "bench", "application": application.name, "code": application.code, "contract": application.contract,
            "modelUri": application.model_uri, "sink": {"kind": "parquet"},
            "source": {"kind": "parquet", "uri": rows.as_uri()},
            "key": ("flight",), "store": application.store, "ray": ray.address, "trackingUri": application.tracking_uri,
            "workers": _WORKERS, "cpusPerWorker": 0.1, "batchRows": bare_batch.BATCH_ROWS,
        }
    )  # fmt: skip
    with _peak() as peak:
        began = time.perf_counter()
        asyncio.run(BatchPredictionHandler().create(_context(session), inputs))
        ours = time.perf_counter() - began
    model = model_cache.fetch(application.model_uri, application.tracking_uri)
    argv = [sys.executable, "-m", "bench.bare_batch", str(rows), str(model), str(folder / "bare"), str(_WORKERS)]
    done = subprocess.run(argv, cwd=SOURCE, check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    bare = json.loads(done.stdout)
    session.tell(f"{ROWS:,} rows: {ours:.1f} s, the bare loop {bare['seconds']:.1f} s; workers {max(peak):.0f} MiB")
    figures = {"rows": ROWS, "seconds": ours, "seconds_bare": bare["seconds"], "mib_bare": bare["mib"]}
    yield BY_NAME["patterns/batch"].result(bare["seconds"] / ours, **figures)
    yield BY_NAME["patterns/batch-memory"].result(max(peak), **figures)


def _written(folder: Path) -> Path:
    from workloads.flights.dataset import snapshot
    from workloads.flights.features import INPUTS

    folder.mkdir(parents=True)
    test = snapshot({}).test.select(list(INPUTS))
    draw = np.random.default_rng(2013)
    for first in range(0, ROWS, _FILE_ROWS):
        count = min(_FILE_ROWS, ROWS - first)
        table = test.take(draw.integers(0, test.num_rows, count)).append_column(
            "flight", pa.array(np.arange(first, first + count))
        )
        pq.write_table(table, folder / f"{first:012}.parquet", row_group_size=131_072, compression="zstd")
    return folder


def _context(session: Session) -> Context:
    return Context("bench", session.tell, session.tell, session.tell, asyncio.Event())


@contextmanager
def _peak() -> Iterator[list[float]]:
    """The memory of all workers of Ray Data, as a list of samples in MiB; the block's own, not the children's of others.

    Each sample walks the pages of the workers, on the cores that they are measured on: seldom, for they keep what they have.
    """
    found, ended = [0.0], threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            found.append(sum(_unshared(each) for each in psutil.process_iter(["cmdline"])) / 2**20)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _unshared(process: psutil.Process) -> float:
    name = "".join(process.info["cmdline"] or ())
    if not name.startswith("ray::Map"):
        return 0.0
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:
        return 0.0


def lookup(session: Session) -> Iterable[Result]:
    """The application that answers from a table of the test data, and `bench.lookup_app` on the same file."""
    workspace = session.stack.workspace
    workspace.edit("workloads", _looks_up)
    try:
        session.tell("predicting the test data, and shipping an application that looks them up")
        workspace.up()
        application = ApplicationOutputs.model_validate(workspace.resources()["Application"]["outputs"])
        with _fastapi(session, application) as theirs:
            yield compared(session, "patterns/lookup", theirs, session.rows)
    finally:
        workspace.edit("workloads", _looks_up_no_more)
        workspace.up()


def _looks_up(workloads: Any) -> None:
    source = {"kind": "snapshot", "split": "test"}
    found = {"source": source, "key": list(_KEY), "sink": {"kind": "sqlite"}, "cpusPerWorker": 0.1}
    workloads["flights"]["batch"] = {"bench": found}
    workloads["flights"].setdefault("serving", {})["lookup"] = {"batch": "bench", "missing": "model"}


def _looks_up_no_more(workloads: Any) -> None:
    del workloads["flights"]["batch"], workloads["flights"]["serving"]["lookup"]


def _table(store: StoreAddress, model_uri: str) -> Path:
    if not store.uri.startswith("file:"):
        raise MeasurementError(f"the stack's objects are at {store.uri}: the bench's stack keeps them in a folder")
    root = directory_of(store)
    current = Current.model_validate_json((root / current_key("flights-bench", model_uri)).read_bytes())
    return root / current.result.table


@contextmanager
def _fastapi(session: Session, application: ApplicationOutputs) -> Iterator[str]:
    variables = {"HELIOSTAT_BENCH_TABLE": str(_table(application.store, application.model_uri))}
    with baselines.uvicorn(session, "lookup", "bench.lookup_app:create", variables) as url:
        yield url
