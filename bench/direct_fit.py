"""A TrainJob's fit without Ray: the workload's own training function, called with as many threads as its workers had in all.

usage: python -m bench.direct_fit FILE, where FILE holds the TrainJob's outputs as JSON. Prints the seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Snapshot
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.training import Context, Trained
from heliostat.spec.training_resources import TrainJobOutputs


class Direct(Context):
    """A training of one worker that never resumes and keeps no checkpoint: whoever calls a fit directly has neither."""

    trained: Trained | None = None

    @contextmanager
    def resumed(self) -> Iterator[Path | None]:
        """Always from the beginning."""
        yield None

    def checkpoint(self, save: Callable[[Path], None], metrics: Mapping[str, float]) -> None:
        """Kept nowhere."""

    def finish(self, trained: Trained | None) -> None:
        """Take the result."""
        self.trained = trained


def fit(job: TrainJobOutputs) -> float:
    """The seconds of the whole function, which a worker's `loop_seconds` is compared with.

    Raises:
        RuntimeError: it handed nothing back.
    """
    function = load_entry_point(job.entry_point)
    began = time.perf_counter()
    context = Direct(
        parameters=job.parameters,
        dataset=Snapshot(job.dataset.uri.removeprefix(job.store.uri.rstrip("/") + "/"), job.store),
        rank=0,
        workers=1,
        threads=max(1, round(job.scaling.workers * job.scaling.cpus_per_worker)),
        machines=(),
        metric_logger=MetricLogger("", ""),
    )
    function(context)
    if context.trained is None:
        raise RuntimeError(f"{job.entry_point} handed nothing back")
    return time.perf_counter() - began


if __name__ == "__main__":
    seconds = fit(TrainJobOutputs.model_validate_json(Path(sys.argv[1]).read_text()))
    sys.stdout.write(json.dumps({"loopSeconds": round(seconds, 3)}) + "\n")
