"""Predictions and labels that came late, joined in a process of its own: `python -m bench.label_join_run ROWS FOLDER`.

Makes the files of the log and of the labels, then reads, joins and measures them as a monitor does. Prints the seconds and the
process's greatest resident memory without those of making the files, and what was counted, as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.monitoring.join import Join
from heliostat.monitoring.labels import labels_in
from heliostat.monitoring.logged import Reading, read
from heliostat.monitoring.sampling import Sample
from heliostat.spec.tasks import Binary

_PART_ROWS: Final = 500_000
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LATE: Final = 0.9
"""Share of the predictions whose label came; others are labels of nothing."""


def make(rows: int, folder: Path) -> None:
    """Write files as the prediction log and those who know the truth do, the labels in another order."""
    for number in range(0, rows, _PART_ROWS):
        count, random = min(_PART_ROWS, rows - number), np.random.default_rng(number)
        ids = pa.array([f"{place:032x}" for place in random.permutation(count) + number])
        times = pa.array(np.full(count, 1_760_000_000_000_000), pa.timestamp("us", "UTC"))
        scores = random.random(count)
        common = {"request_id": ids, "row": pa.array(np.zeros(count), pa.int32())}
        log = {**common, "time": times, "version": pa.array(["1"] * count), "prediction_p": pa.array(scores)}
        pq.write_table(pa.table(log), folder / f"log-{number:010}.parquet", compression="zstd")
        chosen = np.flatnonzero(random.random(count) < _LATE)
        truth = {
            "request_id": ids.take(pa.array(chosen)),
            "label": pa.array((random.random(len(chosen)) < scores[chosen]) * 1.0),
        }
        pq.write_table(pa.table(truth), folder / f"labels-{rows - number:010}.parquet", compression="zstd")


def measured(rows: int, folder: Path) -> dict[str, Any]:
    """Read, join and sample: what it took of this whole process."""
    began = time.perf_counter()
    join, reading, sample = Join(folder / "join", 2 * rows, _NOW), Reading(), Sample(Binary())
    logs = sorted(folder.glob("log-*"))
    for table in read(((path.name, path) for path in logs), [("prediction_p", "prediction")], reading):
        join.add_predictions(table)
    for table in _tables(sorted(folder.glob("labels-*"))):
        join.add_labels(labels_in(table).table)
    for table in join.joined():
        sample.add(table)
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(seconds, 2),
        "cpuSeconds": round(used.ru_utime + used.ru_stime, 2),
        "mib": used.ru_maxrss >> 10,
        "labelled": join.counts.labelled,
        "kept": len(sample.labelled()),
    }


def _tables(paths: list[Path]) -> Iterator[pa.Table]:
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=262_144):
            yield pa.Table.from_batches([batch])


def main() -> None:
    """Make the files in a process that ends, so that its memory is not counted, and measure."""
    rows, folder = int(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) > 3:
        make(rows, folder)
        return
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "bench.label_join_run", str(rows), str(folder), "make"], check=True)  # noqa: S603
    sys.stdout.write(json.dumps(measured(rows, folder)) + "\n")


if __name__ == "__main__":
    main()
