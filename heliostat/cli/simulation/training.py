"""A training in this process: one worker, without a cluster and a registry."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from heliostat.ml.combining import Combining
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Snapshot
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.previous import Previous
from heliostat.ml.training import Context, Trained
from heliostat.spec.base import EntryPoint, Parameters
from heliostat.spec.problem import Problem


class LocalContext(Context):
    """A worker that is alone; its checkpoints are not kept, and what it ends with lies in a folder."""

    folder: Path = Path()

    @contextmanager
    def resumed(self) -> Iterator[Path | None]:
        """Nothing: it begins anew."""
        yield None

    def checkpoint(self, save: Callable[[Path], None], metrics: Mapping[str, float]) -> None:
        """Nothing: it takes a minute, and is made anew where it is killed."""

    def tell(self, step: int, steps: int, metrics: Mapping[str, float], began_at: int = 0) -> None:
        """Nothing: the simulation says what it is at."""

    def finish(self, trained: Trained | None) -> None:
        """Keep the model."""
        if trained is not None:
            self.folder.mkdir(parents=True)
            self._kept(trained, self.folder, time.monotonic() - self._began)


def train(
    entry_point: EntryPoint,
    parameters: Parameters,
    snapshot: Snapshot,
    problem: Problem,
    folder: Path,
    before: Previous | Combining | None = None,
) -> None:
    """Train on a snapshot into `folder`, which is not there yet, as `heliostat.ml.pyfunc.load` reads it.

    `before` is what the training goes on from, or what its model is combined with.
    """
    threads = os.cpu_count() or 1
    context = LocalContext(parameters, snapshot, 0, 1, threads, (), MetricLogger("", ""), problem)
    context.folder = folder
    if isinstance(before, Previous):
        before.require_one_model()
        context.previous = before
    else:
        context.combining = before
    load_entry_point(entry_point)(context)
