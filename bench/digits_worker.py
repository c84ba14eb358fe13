"""One worker of the digits training, as a process by itself: what Ray Train starts, without what it takes to start it.

usage: python -m bench.digits_worker RANK WORKERS ADDRESS EPOCHS. The first worker prints the seconds of all epochs but the
first, in which JAX compiles, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from bench.direct_fit import Direct
from heliostat.ml.datasets import Snapshot
from heliostat.ml.metric_logger import MetricLogger
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Multiclass
from workloads.digits import dataset, train


class Images(Snapshot):
    """The data set, made here: there is no store to read it from."""

    def manifest(self) -> dict[str, Any]:
        """What of it is asked for."""
        return {"label": dataset.LABEL}

    def table(self, split: str, columns: Sequence[str] | None = None, shard: int = 0, shards: int = 1) -> pa.Table:
        """A split; no part of one is asked for."""
        return dict(dataset.snapshot({}))[split]


class Timed(Direct):
    """A training that takes the time at each epoch's end, by when its steps are computed."""

    ends: tuple[float, ...] = ()

    def tell(self, step: int, steps: int, metrics: Mapping[str, float], began_at: int = 0) -> None:
        """Note when."""
        self.ends = (*self.ends, time.perf_counter())


def main(rank: int, workers: int, address: str, epochs: int) -> None:
    """Train."""
    context = Timed(
        parameters={"epochs": epochs, "checkpoint_every": epochs},
        dataset=Images("digits", StoreAddress(uri="file:///nowhere")),
        rank=rank,
        workers=workers,
        threads=1,
        machines=(address,) * workers,
        metric_logger=MetricLogger("", ""),
        problem=Problem(task=Multiclass(classes=tuple(map(str, range(10))))),
    )
    train.train(context)
    if context.trained is not None:
        told = {"seconds": context.ends[-1] - context.ends[0], "metrics": dict(context.trained.metrics)}
        print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
