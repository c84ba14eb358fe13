"""One snapshot of made-up numbers in a process of its own: `python -m bench.snapshot_run parts|table ROWS FOLDER`.

Prints the seconds, those of computing and the process's greatest resident memory as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from heliostat.ml import datasets
from heliostat.ml.datasets import Parts, Tables
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.objects import open_store

_PART_ROWS: Final = 100_000
_NUMBERS: Final = 8


def pieces(rows: int, seed: int) -> Iterator[pa.Table]:
    """Rows of twelve columns: numbers that are all different, whole numbers, a text, a time and a label."""
    for number in range(0, rows, _PART_ROWS):
        generator, count = np.random.default_rng((seed, number)), min(_PART_ROWS, rows - number)
        columns = {f"number_{column}": pa.array(generator.normal(size=count)) for column in range(_NUMBERS)}
        whole = generator.integers(0, 1_000, count)
        yield pa.table(
            {
                **columns,
                "whole": pa.array(whole),
                "text": pa.array(whole.astype(str), pa.string()),
                "time": pa.array(generator.integers(0, 1 << 31, count), pa.timestamp("s")),
                "label": pa.array(generator.integers(0, 2, count)),
            }
        )


def data(how: str, rows: int) -> Tables | Parts:
    """Eight tenths of the rows to train on, the rest halved; the same whichever way."""
    train, validation, test = (pieces(share, seed) for seed, share in enumerate((rows * 8 // 10, rows // 10, rows // 10)))
    if how == "parts":
        return Parts(train, validation, test, "label")
    return Tables(pa.concat_tables(train), pa.concat_tables(validation), pa.concat_tables(test), "label")


def measured(how: str, rows: int, folder: str) -> dict[str, Any]:
    """Make the snapshot in a store in `folder`: what it took of this whole process."""
    began = time.perf_counter()
    manifest = datasets.save(data(how, rows), "bench", open_store(StoreAddress(uri=f"file://{folder}")))
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(seconds, 2),
        "cpuSeconds": round(used.ru_utime + used.ru_stime, 2),
        "mib": used.ru_maxrss >> 10,
        "digest": manifest["digest"],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(sys.argv[1], int(sys.argv[2]), sys.argv[3])) + "\n")
