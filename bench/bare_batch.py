"""Batch prediction as a bare loop: read, predict, write, in as many processes as the stack's job has workers.

usage: python -m bench.bare_batch ROWS MODEL TARGET WORKERS: a folder of Parquet files, the folder that the predictor loads
from, the folder for the predictions, and how many processes. Prints seconds and peak memory (MiB, all processes) as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.ml.contracts import columns_of
from workloads.flights.features import INPUTS
from workloads.flights.predictor import FlightsPredictor

BATCH_ROWS = 65_536


def predict(task: tuple[list[str], str, str]) -> float:
    """Predict some files one after another; the process's peak memory, in MiB."""
    files, model, target = task
    predictor = FlightsPredictor.load(Path(model))
    for name in files:
        with pq.ParquetFile(name) as file:
            schema = pa.schema([file.schema_arrow.field("flight"), pa.field("prediction", pa.float64())])
            with pq.ParquetWriter(Path(target, Path(name).name), schema, compression="zstd") as writer:
                for batch in file.iter_batches(BATCH_ROWS):
                    rows = pa.Table.from_batches([batch])
                    scores = predictor.predict(columns_of(rows.select(list(INPUTS))))
                    writer.write_table(rows.select(["flight"]).append_column("prediction", pa.array(scores)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(rows: str, model: str, target: str, workers: str) -> None:
    """Predict all files."""
    files = sorted(str(path) for path in Path(rows).glob("*.parquet"))
    Path(target).mkdir()
    shares = [(files[number :: int(workers)], model, target) for number in range(int(workers))]
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(int(workers)) as pool:
        memory = sum(pool.map(predict, shares))
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - began, "mib": memory}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
