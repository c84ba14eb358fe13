"""One look of a monitor, in a process of its own: `python -m bench.monitor_look_run ROWS FOLDER`.

Makes a snapshot, the log of a day and its late labels in a store, then has the monitor's job look at them as it does on a
cluster: the reference is made by a first look, at an empty log, and not counted. Prints the seconds of the second look, those
of the processor and the process's greatest resident memory, and what was found, as JSON.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from heliostat.jobs.monitor import watch_with
from heliostat.jobs.monitoring.model import Answering
from heliostat.ml.contracts import Contract
from heliostat.ml.datasets import Tables, save
from heliostat.monitoring.state import state_of
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.findings import State
from heliostat.spec.monitoring import MonitorSpecification, states
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary
from heliostat.systems.objects import ObjectStore, open_store
from heliostat.systems.revisions import Revisions

NAME: Final = "looked-at"
_DAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
_PART_ROWS: Final = 100_000
_LATE: Final = 0.9
_KINDS: Final = [f"kind-{number}" for number in range(20)]
_TRAINED: Final = 100_000
MONITOR: Final = {
    "field": "probability",
    "quality": [{"metric": "roc_auc", "margin": 0.05, "slices": ["kind_0"]}, {"metric": "log_loss", "margin": 0.05}],
    "bias": {},
    "drift": {},
    "predictionDrift": {},
    "estimate": [{"metric": "roc_auc", "margin": 0.05}],
    "recency": {"predictionsSeconds": 259_200},
}


class Row(BaseModel):
    """Five numbers and five texts."""

    number_0: float
    number_1: float
    number_2: float
    number_3: float
    number_4: float
    kind_0: str
    kind_1: str
    kind_2: str
    kind_3: str
    kind_4: str


class Answer(BaseModel):
    """A probability."""

    probability: float


class Model:
    """A logistic curve of the first two numbers."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Nothing is to be loaded."""
        return cls()

    def predict(self, columns: Any) -> Any:
        """A probability a row."""
        score = np.asarray(columns["number_0"], dtype=float) + 0.5 * np.asarray(columns["number_1"], dtype=float)
        return 1 / (1 + np.exp(-score))


CONTRACT: Contract[Row, Answer] = Contract(
    title="Looked at",
    description="What a look takes.",
    row=Row,
    answer=Answer,
    predictor=Model,
    respond=lambda score: Answer(probability=score),
    examples=(Row(**{f"number_{n}": 0.0 for n in range(5)}, **{f"kind_{n}": _KINDS[0] for n in range(5)}),),
    golden=(),
)


def rows(count: int, seed: int) -> pa.Table:
    """Rows of the contract, with what is true of them in `label`."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"number_{n}": random.normal(0, 1 + n, count) for n in range(5)}
    columns |= {f"kind_{n}": pa.array(random.choice(_KINDS, count)) for n in range(5)}
    chance = Model().predict(columns)
    return pa.table({**columns, "label": (random.random(count) < chance) * 1.0})


def make(count: int, folder: Path) -> None:
    """Write the day's log and its labels, and the snapshot that the version was trained on."""
    store = open_store(StoreAddress(uri=f"file://{folder}"))
    train, validation, test = (rows(_TRAINED, seed) for seed in (1, 2, 3))
    manifest = save(Tables(train, validation, test, label="label"), NAME, store)
    (folder / "digest").write_text(manifest["digest"])
    for number in range(0, count, _PART_ROWS):
        part, random = rows(min(_PART_ROWS, count - number), number + 10), np.random.default_rng(number)
        own = part.num_rows
        ids = pa.array([f"{place:032x}" for place in random.permutation(own) + number])
        times = [_DAY + timedelta(days=1) * float(share) for share in (np.arange(own) + number) / count]
        log = {
            "request_id": ids,
            "row": pa.array(np.zeros(own), pa.int32()),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "version": ["1-aaaaaaaa"] * own,
            "prediction_probability": Model().predict({name: part[name].to_numpy() for name in ("number_0", "number_1")}),
            **{f"input_{name}": part[name] for name in part.column_names if name != "label"},
        }
        _put(store, f"predictions/{NAME}/date={_DAY:%Y-%m-%d}/{number:010}.parquet", pa.table(log))
        known = np.flatnonzero(random.random(own) < _LATE)
        truth = {"request_id": ids.take(pa.array(known)), "label": part["label"].take(pa.array(known))}
        _put(store, f"ground-truth/{NAME}/{number:010}.parquet", pa.table(truth))


def _put(store: ObjectStore, key: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    store.put(key, sink.getvalue().to_pybytes())


def measured(folder: Path) -> dict[str, Any]:
    """Look: what it took, and what was found."""
    address, digest = StoreAddress(uri=f"file://{folder}"), (folder / "digest").read_text()
    store = open_store(address)

    def look(now: datetime) -> None:
        specification = MonitorSpecification(
            name=NAME, contract="bench.monitor_look_run:CONTRACT", code_digest="0" * 64, model_uri=f"models:/{NAME}/1",
            dataset_key=f"datasets/{NAME}/{digest}", dataset_digest=digest, problem=Problem(task=Binary()),
            monitor=Monitor.model_validate(MONITOR), store=address, tracking_uri="http://127.0.0.1:9", at=now.timestamp(),
        )  # fmt: skip
        watch_with(specification, Answering(specification, folder))

    look(_DAY - timedelta(days=30))
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    look(_DAY + timedelta(days=2))
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    state = state_of(Revisions(store, states(NAME)).newest()[1])
    told = [each for each in state.findings.values() if each.window == f"{_DAY:%Y-%m-%d}"]
    return {
        "seconds": round(seconds, 2),
        "cpuSeconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2),
        "mib": used.ru_maxrss >> 10,
        "findings": len(told),
        "unknown": sum(each.state is State.UNKNOWN for each in told),
    }


def main() -> None:
    """Make the files in a process that ends, so that its memory is not counted, and measure."""
    logging.disable(logging.INFO)
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) > 3:
        make(count, folder)
        return
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "bench.monitor_look_run", str(count), str(folder), "make"], check=True)  # noqa: S603
    sys.stdout.write(json.dumps(measured(folder)) + "\n")


if __name__ == "__main__":
    main()
