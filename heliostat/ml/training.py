"""What a workload's training function is given, and what it hands back.

The function runs in every training worker, with the same arguments everywhere but for its rank. Where a worker dies, Ray
Train starts the function again in all of them, from the last checkpoint; where the whole job dies, the next attempt does.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heliostat.ml.contracts import entry_point_of
from heliostat.ml.datasets import Snapshot
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.priority import lower_priority
from heliostat.ml.pyfunc import BASELINE_FOLDER, MODEL_FOLDER, RESULT_FILE
from heliostat.spec.base import Parameters
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import DeclaredTask
from heliostat.systems.ray_jobs import PROGRESS

__all__ = ["Context", "Trained"]

_PROGRESS_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Trained:
    """What a training ends with. Given by the worker of rank 0; the others give None."""

    save_model: Callable[[Path], None]
    """Writes the model into an empty folder, for `predictor` to load."""
    predictor: type
    metrics: Mapping[str, float]
    """On the validation split."""
    save_baseline: Callable[[Path], None] | None = None
    baseline: type | None = None
    """The predictor of the baseline."""
    baseline_metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Context:
    """One worker's view of a training."""

    parameters: Parameters
    dataset: Snapshot
    rank: int
    """From 0; the worker of rank 0 saves and reports."""
    workers: int
    threads: int
    """That this worker may use."""
    machines: tuple[str, ...]
    """`address:port` of every worker by rank, for libraries that connect them themselves; empty where there is one."""
    metric_logger: MetricLogger
    problem: Problem = field(default_factory=Problem)
    """The workload's task and its own metrics, as `workload.py` declares them."""
    _last_told: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    @property
    def task(self) -> DeclaredTask:
        """The workload's task; None where it declares none."""
        return self.problem.task

    @contextmanager
    def resumed(self) -> Any:
        """The folder of the last checkpoint, or None at the beginning; as a context manager."""
        from ray import train

        checkpoint = train.get_checkpoint()
        if checkpoint is None:
            yield None
        else:
            with checkpoint.as_directory() as folder:
                yield Path(folder)

    def checkpoint(self, save: Callable[[Path], None], metrics: Mapping[str, float]) -> None:
        """Keep what `save` writes, so that the training goes on from here after whatever happens. Called by all workers."""
        self._report(save if self.rank == 0 else None, metrics)

    def tell(self, step: int, steps: int, metrics: Mapping[str, float], began_at: int = 0) -> None:
        """Log figures of a step and show how far the training is."""
        if self.rank:
            return
        self.metric_logger.add(step, metrics)
        now = time.monotonic()
        if now - self._last_told < _PROGRESS_SECONDS and step < steps:
            return
        self._last_told = now
        done = max(step - began_at, 1)
        left = (now - self._began) / done * (steps - step)
        told = {"step": step, "steps": steps, "metrics": dict(metrics), "secondsLeft": round(left, 1)}
        print(PROGRESS + json.dumps(told), flush=True)  # noqa: T201 - a job's log is its channel

    def mark_resumed(self, step: int, why: str) -> None:
        """Say that this training goes on from `step` to another model than one in a go, in its log and on its run."""
        if self.rank:
            return
        text = f"resumed at {step}: {why}"
        print(PROGRESS + json.dumps({"text": text}), flush=True)  # noqa: T201 - a job's log is its channel
        self.metric_logger.mark(text)

    def finish(self, trained: Trained | None) -> None:
        """Hand back the result. Called once by all workers, last."""
        self.metric_logger.close()
        if trained is None:
            self._report(None, {})
            return
        loop_seconds = time.monotonic() - self._began
        columns = self.problem.task.columns if self.problem.task is not None else ("score",)
        self._report(lambda folder: _save(trained, folder, loop_seconds, columns), trained.metrics)

    def _report(self, save: Callable[[Path], None] | None, metrics: Mapping[str, float]) -> None:
        from ray import train

        if save is None:
            train.report(dict(metrics))
            return
        folder = Path(tempfile.mkdtemp(prefix="heliostat-checkpoint-"))
        try:
            save(folder)
            train.report(dict(metrics), checkpoint=train.Checkpoint.from_directory(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def finished(folder: Path | None) -> bool:
    """Whether a checkpoint is the result of a whole training."""
    return folder is not None and (folder / RESULT_FILE).is_file()


def run_worker(config: dict[str, Any]) -> None:
    """What Ray Train runs in every worker."""
    from ray import train

    from heliostat.ml.contracts import load_entry_point
    from heliostat.ml.peers import machines

    lower_priority()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that find no core sleep: workers share cores well
    logging.getLogger("httpx").setLevel(logging.WARNING)
    rank = train.get_context().get_world_rank()
    context = Context(
        parameters=config["parameters"],
        problem=config.get("problem") or Problem(),
        dataset=Snapshot(config["dataset_key"], config["store"]),
        rank=rank,
        workers=train.get_context().get_world_size(),
        threads=max(1, int(config["cpus_per_worker"])),
        machines=machines(),
        metric_logger=MetricLogger(config["tracking_uri"], config["run_id"]) if rank == 0 else MetricLogger("", ""),
    )
    with context.resumed() as folder:
        if finished(folder):
            return
    try:
        load_entry_point(config["entry_point"])(context)
    except Exception as error:
        error.add_note(traceback.format_exc())  # a traceback does not travel to the driver, a note does
        raise


def _save(trained: Trained, folder: Path, loop_seconds: float, columns: tuple[str, ...] = ("score",)) -> None:
    (folder / MODEL_FOLDER).mkdir()
    trained.save_model(folder / MODEL_FOLDER)
    result: dict[str, Any] = {
        "predictor": entry_point_of(trained.predictor),
        "metrics": {name: float(value) for name, value in trained.metrics.items()},
        "baseline": None,
        "baselineMetrics": {name: float(value) for name, value in trained.baseline_metrics.items()},
        "loopSeconds": round(loop_seconds, 3),
        "columns": columns,
    }
    if trained.save_baseline and trained.baseline:
        (folder / BASELINE_FOLDER).mkdir()
        trained.save_baseline(folder / BASELINE_FOLDER)
        result["baseline"] = entry_point_of(trained.baseline)
    (folder / RESULT_FILE).write_text(json.dumps(result, indent=2))
