"""What Ray Train runs in every worker of a training."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from heliostat.ml.combining import Combining
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Snapshot
from heliostat.ml.discretion import told_of
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.peers import machines, token
from heliostat.ml.places import Places
from heliostat.ml.previous import Previous
from heliostat.ml.priority import lower_priority
from heliostat.ml.pyfunc import MODEL_FOLDER, load, trained_folder
from heliostat.ml.stopwatch import Stopwatch
from heliostat.ml.training import STATE_FILE, Context, finished, resumable
from heliostat.ml.tuning import tuned
from heliostat.spec.distribution import DataParallel
from heliostat.spec.ensembles import Ensemble
from heliostat.spec.problem import Problem
from heliostat.spec.training_report import Phase
from heliostat.systems.mlflow_registry import Registry


@dataclass(frozen=True)
class TimedSnapshot(Snapshot):
    """A snapshot, reading which counts as input."""

    watch: Stopwatch = field(default_factory=Stopwatch, compare=False)

    def table(self, split: str, *arguments: Any, **options: Any) -> pa.Table:
        """A split, or a part of it."""
        with self.watch.phase(Phase.INPUT):
            return super().table(split, *arguments, **options)

    def batches(self, split: str, *arguments: Any, **options: Any) -> Iterator[pa.Table]:
        """The same piece by piece; what is done between two of them is not counted."""
        pieces = super().batches(split, *arguments, **options)
        while True:
            with self.watch.phase(Phase.INPUT):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


def run_worker(config: dict[str, Any]) -> None:
    """Run the workload's function, from the last checkpoint on; nothing where that is the result."""
    from ray import train

    lower_priority()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that find no core sleep: workers share cores well
    logging.getLogger("httpx").setLevel(logging.WARNING)
    state: dict[str, Any] = {}
    if (checkpoint := train.get_checkpoint()) is not None:
        with checkpoint.as_directory() as name:
            if finished(Path(name), config.get("seconds_limit")):
                return
            state = _state(Path(name))
    context = _context(config, state)
    try:
        _tell_starts(context, state)
        with tempfile.TemporaryDirectory() as folder:
            _take_along(context, config, Path(folder))
            entry_point: Callable[[Context], None] = load_entry_point(config["entry_point"])
            if (tuning := config.get("tuning")) is not None:
                tuned(context, entry_point, tuning)
            entry_point(context)
    except Exception as error:
        told = told_of(error, context.dataset)  # Ray logs it on the node as well
        told.add_note("".join(traceback.format_exception(told)))  # a traceback does not travel to the driver, a note does
        if told is error:
            raise
        raise told from None


def _context(config: dict[str, Any], state: dict[str, Any]) -> Context:
    from ray import train

    rank, workers, watch = train.get_context().get_world_rank(), train.get_context().get_world_size(), Stopwatch()
    return Context(
        parameters=config["parameters"],
        problem=config.get("problem") or Problem(),
        dataset=TimedSnapshot(config["dataset_key"], config["store"], watch),
        rank=rank,
        workers=workers,
        threads=max(1, int(config["cpus_per_worker"])),
        machines=machines(),
        metric_logger=MetricLogger(config["tracking_uri"], config["run_id"]) if rank == 0 else MetricLogger("", ""),
        distribution=config.get("distribution") or DataParallel(),
        accelerators=config.get("accelerators", 0.0),
        places=Places(config["store"], config["place"]),
        watch=watch,
        seconds_limit=config.get("seconds_limit"),
        seconds_before=state.get("seconds", 0.0),
        starts=(*state.get("starts", ()), workers),
        token=token(),
    )


def _state(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of the training before it; nothing where it begins anew, or is of an earlier release."""
    from_where = resumable(folder)
    file = from_where / STATE_FILE if from_where is not None else None
    found: dict[str, Any] = json.loads(file.read_text()) if file is not None and file.is_file() else {}
    return found


def _tell_starts(context: Context, state: dict[str, Any]) -> None:
    """A model of other numbers of workers is not the one of a training in one go."""
    before = state.get("starts", ())
    if before and before[-1] != context.workers:
        step = f"{state['seconds']:.0f} s"
        context.mark_resumed(step, f"with {context.workers} workers where there were {before[-1]}")


def _take_along(context: Context, config: dict[str, Any], folder: Path) -> None:
    """Fetch the model that the training continues from, or that its own is combined with, into `folder`."""
    ensemble: Ensemble | None = config.get("ensemble")
    if ensemble is not None and ensemble.model is not None:
        context.combining = Combining(ensemble, previous(ensemble.model, config, folder, context.watch))
    elif (uri := config.get("continue_from")) is not None:
        context.previous = previous(uri, config, folder, context.watch)
        context.previous.require_one_model()


def previous(uri: str, config: dict[str, Any], folder: Path, watch: Stopwatch) -> Previous:
    """The model that a training goes on from, fetched into `folder`."""
    with Registry(config["tracking_uri"]) as registry:
        registry.download(registry.location(uri), folder)
    trained = trained_folder(folder)
    digest = config["previous_digest"]
    data = TimedSnapshot(f"datasets/{config['name']}/{digest}", config["store"], watch)
    return Previous(uri, trained / MODEL_FOLDER, load(trained)[0], data, digest)
