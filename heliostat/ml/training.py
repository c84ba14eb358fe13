"""What a workload's training function is given, and what it hands back.

The function runs in every training worker, with the same arguments everywhere but for its rank. Where a worker dies, Ray
Train starts the function again in all of them, from the last checkpoint; where the whole job dies, the next attempt does.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heliostat.ml.combining import Combining
from heliostat.ml.contracts import entry_point_of
from heliostat.ml.datasets import Snapshot
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.parameter_server import Arrays, ParameterServer, Update
from heliostat.ml.places import Places
from heliostat.ml.previous import Previous, ValidationSplit, kept_knowledge
from heliostat.ml.pyfunc import BASELINE_FOLDER, MODEL_FOLDER, RESULT_FILE
from heliostat.ml.stopwatch import Stopwatch
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Parameters
from heliostat.spec.distribution import DataParallel, Distribution
from heliostat.spec.distribution import ParameterServer as ParameterServerSpec
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import DeclaredTask
from heliostat.spec.training_report import Phase
from heliostat.systems.ray_jobs import PROGRESS

__all__ = ["Context", "Trained"]

_PROGRESS_SECONDS: Final = 1.0
RESUMABLE_FOLDER: Final = "resumable"
"""In the result of a training that its budget ended: the checkpoint that it goes on from where it is given more."""
TIMES_FILE: Final = "times.json"
STATE_FILE: Final = "heliostat-state.json"
"""In each checkpoint, beside the workload's files: the seconds and the starts so far."""


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
    distribution: Distribution = field(default_factory=DataParallel)
    """How the workers work together, as the config declares it."""
    previous: Previous | None = None
    """The model that this training continues from; None where it begins anew."""
    combining: Combining | None = None
    """Models before it that answer together with the one that is trained here; the function trains as if there were none."""
    accelerators: float = 0.0
    """That this worker holds."""
    accelerator: str = ""
    """What it computes on where that is none of its CPUs, for the report; whoever sets up a device says so."""
    places: Places = field(default_factory=lambda: Places(StoreAddress(uri="file:///dev/null"), ""))
    """Where each worker writes what it keeps beside the model: to a place of its own."""
    watch: Stopwatch = field(default_factory=Stopwatch)
    seconds_limit: float | None = None
    """The budget; None where there is none."""
    seconds_before: float = 0.0
    """What the attempts before this one took, up to the checkpoint that it goes on from."""
    starts: tuple[int, ...] = ()
    """How many workers each start had, this one last."""
    trials: tuple[Any, ...] = ()
    """What a tuning tried before."""
    token: str = ""
    """The same in all workers of one start, another in each start."""
    _last_told: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _ended: bool = False
    _resumable: Path | None = None

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
            return
        with self.measured(Phase.CHECKPOINTS), checkpoint.as_directory() as folder:
            yield resumable(Path(folder))

    def measured(self, phase: Phase) -> Any:
        """Count what runs inside as `input`, `synchronisation` or `checkpoints` in the training's report.

        Reading the snapshot, keeping checkpoints and waiting for a parameter server are counted without it.
        """
        return self.watch.phase(Phase(phase))

    def checkpoint(self, save: Callable[[Path], None], metrics: Mapping[str, float]) -> None:
        """Keep what `save` writes, so that the training goes on from here after whatever happens. Called by all workers."""
        self._report(save if self.rank == 0 else None, metrics)

    @property
    def seconds(self) -> float:
        """That it has trained, with what earlier attempts did up to the checkpoint that this one goes on from."""
        return self.seconds_before + self.watch.seconds

    def is_over_budget(self) -> bool:
        """Whether the training is to end here: keep a checkpoint and finish with the model that there is.

        Called by all workers between the same steps, for they are all told the same: what the first one finds.
        """
        if self.seconds_limit is None:
            return False
        over = self.seconds >= self.seconds_limit
        if self.workers > 1:
            from ray.train.collective import broadcast_from_rank_zero

            with self.measured(Phase.SYNCHRONISATION):
                over = broadcast_from_rank_zero(over)
        self._ended = self._ended or over
        return over

    def parameter_server(self, start: Callable[[], Arrays], update: Update) -> ParameterServer:
        """The training's parameter server; the first worker that asks for it makes it with `start()`.

        Args:
            start: The parameters to begin with, those of the last checkpoint where there is one.
            update: `(parameters, gradients) -> parameters`, which the server calls with each worker's gradients.

        Raises:
            ValueError: the config declares no parameter server.
        """
        if not isinstance(self.distribution, ParameterServerSpec):
            raise ValueError(
                f"the training's distribution is {self.distribution.kind}: declare "
                "training.scaling.distribution.kind: parameter-server"
            )
        name, bound = f"heliostat-parameters-{self.token}", self.distribution.staleness
        return ParameterServer.shared(name, self.rank, self.workers, bound, start, update, self.watch)

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

    def mark_resumed(self, step: int | str, why: str) -> None:
        """Say that this training goes on to another model than one in a go, and from where, in its log and on its run."""
        if self.rank:
            return
        text = f"resumed at {step}: {why}"
        print(PROGRESS + json.dumps({"text": text}), flush=True)  # noqa: T201 - a job's log is its channel
        self.metric_logger.mark(text)

    def finish(self, trained: Trained | None) -> None:
        """Hand back the result. Called once by all workers, last."""
        self.metric_logger.close()
        if trained is None:
            self._report(None, {}, last=True)
            return
        loop_seconds = time.monotonic() - self._began
        self._report(lambda folder: self._save(trained, folder, loop_seconds), trained.metrics, last=True)

    def _report(self, save: Callable[[Path], None] | None, metrics: Mapping[str, float], last: bool = False) -> None:
        from ray import train

        with self.measured(Phase.CHECKPOINTS):
            folder = Path(tempfile.mkdtemp(prefix="heliostat-checkpoint-")) if save is not None else None
            try:
                if save is not None and folder is not None:
                    save(folder)
                    state = {"seconds": self.seconds, "starts": self.starts}
                    (folder / STATE_FILE).write_text(json.dumps(state))
                if last:
                    self._keep_times()
                checkpoint = train.Checkpoint.from_directory(folder) if folder is not None else None
                train.report(dict(metrics), checkpoint=checkpoint)
            finally:
                if folder is not None and self._ended and not last:
                    self._resumable = folder
                elif folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)

    def _keep_times(self) -> None:
        from ray._common.utils import get_system_memory
        from ray.util import get_node_ip_address

        memory, node = get_system_memory() / 2**20, get_node_ip_address()  # type: ignore[no-untyped-call]
        times = self.watch.times(self.rank, self.threads, node, memory, self.accelerator)
        self.places.keep(self.rank, TIMES_FILE, times.model_dump_json().encode())

    def _save(self, trained: Trained, folder: Path, loop_seconds: float) -> None:
        result = self._kept(trained, folder, loop_seconds)
        result["starts"] = self.starts
        result["trials"] = [trial.model_dump(mode="json") for trial in self.trials]
        result["endedByBudget"] = round(self.seconds, 3) if self._ended else None
        (folder / RESULT_FILE).write_text(json.dumps(result, indent=2))
        if self._resumable is not None:
            shutil.move(self._resumable, folder / RESUMABLE_FOLDER)

    def _kept(self, trained: Trained, folder: Path, loop_seconds: float) -> dict[str, Any]:
        """Write what the training ends with, combined with models before it where that is declared, and return its result."""
        save_trained(trained, folder, loop_seconds, self.problem)
        result: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text())
        kind: Any = trained.predictor
        before = self.combining.previous if self.combining is not None else self.previous
        if before is not None:
            split = ValidationSplit(self.dataset, self.problem)
            if self.combining is not None:
                model, combined, figures = self.combining.combine(kind, folder / MODEL_FOLDER, split)
                result |= {"combined": combined.model_dump(mode="json"), "metrics": figures}
            else:
                model = kind.load(folder / MODEL_FOLDER)
            result["knowledge"] = kept_knowledge(before, model, split).model_dump(mode="json")
        (folder / RESULT_FILE).write_text(json.dumps(result, indent=2))
        return result


def finished(folder: Path | None, limit: float | None = None) -> bool:
    """Whether a checkpoint is the result of a whole training, or of one that its budget ended and that has no more by now."""
    from heliostat.spec.budget import may_go_on

    if folder is None or not (folder / RESULT_FILE).is_file():
        return False
    return not may_go_on(json.loads((folder / RESULT_FILE).read_text()).get("endedByBudget"), limit)


def resumable(folder: Path) -> Path | None:
    """What a training goes on from, in its last checkpoint's folder; None where it begins anew."""
    if not (folder / RESULT_FILE).is_file():
        return folder
    return folder / RESUMABLE_FOLDER if (folder / RESUMABLE_FOLDER).is_dir() else None


def save_trained(trained: Trained, folder: Path, loop_seconds: float, problem: Problem) -> None:
    """Write what a training ends with as `heliostat.ml.pyfunc` reads it."""
    columns = problem.task.columns if problem.task is not None else ("score",)
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
