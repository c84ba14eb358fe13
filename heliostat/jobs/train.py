"""Trains and logs the run. Run by the provider's TrainJob as a Ray job: this is Ray Train's driver.

Killed at any moment, the next attempt goes on: the run is found by its tags, the fit resumes from its checkpoint in the
object store, and a model that is logged already is not logged again.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat.jobs.specification import fail, progress, run
from heliostat.ml.datasets import Snapshot
from heliostat.ml.pyfunc import RESULT_FILE
from heliostat.ml.training import run_worker
from heliostat.spec.jobs import TrainSpecification
from heliostat.spec.scaling import scaling_arguments
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import arrow_location

if TYPE_CHECKING:
    from heliostat.jobs.trainer import Trainer

TRAINING_TAG = "heliostat.training"
COMPLETE_TAG = "heliostat.complete"
MODEL_TAG = "heliostat.model_uri"

_LOWEST = 19
_RAY_TRAIN = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",  # the end of the workers is seen at once, not up to 2 s later
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # or every line of a worker is in the log twice
    "RAY_TRAIN_METRICS_ENABLED": "0",
}


def train(specification: TrainSpecification) -> None:
    """The whole training, from the run to the logged model."""
    preparing = _Preparing()
    with Registry(specification.tracking_uri) as registry, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        loading = threading.Thread(target=_load_ray, daemon=True)
        loading.start()
        run_id = _run_of(registry, specification)
        loading.join()
        began = time.monotonic()
        try:
            trainer = _trainer(specification, run_id)
            trainer.when_workers_train(preparing.begin)
            _fit(specification, trainer, folder)
        except Exception:
            registry.end_run(run_id, "FAILED")
            raise
        fitted = time.monotonic()
        progress("logging the model")
        preparing.finish()
        result = json.loads((folder / RESULT_FILE).read_text())
        model_uri = _logged_model(specification, run_id, folder)
        figures = {**result["metrics"], **{f"baseline_{name}": value for name, value in result["baselineMetrics"].items()}}
        seconds = {"fit_seconds": fitted - began, "loop_seconds": result["loopSeconds"]}
        registry.log(run_id, metrics=[(name, value, 0) for name, value in {**figures, **seconds}.items()])
        registry.log(run_id, tags={MODEL_TAG: model_uri, COMPLETE_TAG: "true"})
        registry.end_run(run_id)


def _load_ray() -> None:
    """A second of computing, while MLflow answers."""
    os.environ.update(_RAY_TRAIN)
    import heliostat.jobs.trainer  # noqa: F401


def _run_of(registry: Registry, specification: TrainSpecification) -> str:
    """The run of this training: the one that an earlier attempt began, or a new one."""
    tags = {
        TRAINING_TAG: specification.digest,
        "heliostat.code": specification.code_digest,
        "heliostat.dataset": specification.dataset_digest,
        "heliostat.submission": specification.submission_id,
        "heliostat.entry_point": specification.entry_point,
    }
    found = registry.runs(specification.name, {TRAINING_TAG: specification.digest})
    if found:
        run_id = found[0].run_id
        registry.end_run(run_id, "RUNNING")
        registry.log(run_id, tags=tags)
        return run_id
    run_id = registry.create_run(specification.name, specification.submission_id, tags)
    manifest = Snapshot(specification.dataset_key, specification.store).manifest()
    registry.log(run_id, parameters={**specification.parameters, "workers": specification.scaling.workers})
    registry.log_input(run_id, specification.name, specification.dataset_digest, manifest["uri"], manifest["rows"])
    return run_id


def _trainer(specification: TrainSpecification, run_id: str) -> Trainer:
    """Ray Train's, of the workload's function, on the cluster that this job runs on."""
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

    from heliostat.jobs.trainer import Trainer
    from heliostat.ml.peers import PeersConfig

    scaling = specification.scaling
    # Ray Train's helpers ask for "the" cluster, and find two where two stacks run on one machine: they are told which.
    ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": {"RAY_ADDRESS": os.environ["RAY_ADDRESS"]}})
    progress("starting the workers")
    if len({node["NodeManagerAddress"] for node in ray.nodes()}) == 1:  # type: ignore[no-untyped-call]
        os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"  # nobody takes this machine away; one process less to start
    path, filesystem = arrow_location(specification.store, f"trainings/{specification.name}")
    return Trainer(
        run_worker,
        train_loop_config={
            "entry_point": specification.entry_point,
            "parameters": specification.parameters,
            "problem": specification.problem,
            "dataset_key": specification.dataset_key,
            "store": specification.store,
            "cpus_per_worker": scaling.cpus_per_worker,
            "tracking_uri": specification.tracking_uri,
            "run_id": run_id,
        },
        backend_config=PeersConfig(),
        scaling_config=ScalingConfig(**scaling_arguments(scaling, specification.group)),
        run_config=RunConfig(
            name=specification.digest[:32],
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=specification.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )


def _fit(specification: TrainSpecification, trainer: Trainer, folder: Path) -> None:
    """Train, and put what the workload's function handed back into `folder`."""
    checkpoint = trainer.fit().checkpoint
    if checkpoint is None:
        raise RuntimeError(f"{specification.entry_point} returned without Context.finish: there is no model")
    checkpoint.to_directory(folder)
    if not (folder / RESULT_FILE).is_file():
        raise RuntimeError(f"{specification.entry_point} returned without Context.finish: its last checkpoint is no result")


def _logged_model(specification: TrainSpecification, run_id: str, folder: Path) -> str:
    """`models:/<model id>` of the run's model, logged where no earlier attempt did."""
    import mlflow

    from heliostat.jobs.packaging import log_model

    mlflow.set_tracking_uri(specification.tracking_uri)
    run_ = mlflow.get_run(run_id)
    logged = mlflow.search_logged_models(
        experiment_ids=[run_.info.experiment_id], filter_string=f"source_run_id = '{run_id}'", output_format="list"
    )
    for model in logged:
        if str(model.status) in ("READY", "LoggedModelStatus.READY"):
            return f"models:/{model.model_id}"
    manifest = Snapshot(specification.dataset_key, specification.store).manifest()
    example = Snapshot(specification.dataset_key, specification.store).table("test").slice(0, 3)
    return log_model(run_id, folder, manifest["label"], example)


class _Preparing:
    """Loads MLflow beside the workers: two seconds of computing that nobody waits for, so it gives way to them.

    Once they train, not before: while they start there is more to compute than there are cores, and the controller waits.
    """

    def __init__(self) -> None:
        self._thread = threading.Thread(target=_prepare, daemon=True)

    def begin(self) -> None:
        """Begin, where it has not yet; workers that were lost are started again."""
        if self._thread.ident is None:
            self._thread.start()

    def finish(self) -> None:
        """Wait until it is done."""
        self.begin()
        self._thread.join()


def _prepare() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
    from heliostat.jobs import packaging

    packaging.prepare()


def _explain(error: BaseException) -> tuple[str, str]:
    """Why a training failed, as kind and text: the workers' own traceback where there is one."""
    text = str(error)
    failures = getattr(error, "worker_failures", None)
    if failures:
        text = "\n".join(f"worker {rank}: {_shown(failure)}" for rank, failure in sorted(failures.items()))
    if "OutOfMemory" in text or "MemoryError" in text or "running low on memory" in text or "oom" in text.lower().split():
        return "memory", text
    if "WorkerCrashedError" in text or "ActorDiedError" in text or "ActorUnavailable" in text or "SIGKILL" in text:
        return "killed", text
    return "failed", text


def _shown(failure: BaseException) -> str:
    """A worker's failure with its own traceback, which `run_worker` noted."""
    notes = getattr(failure, "__notes__", None) or getattr(getattr(failure, "_base_exc", None), "__notes__", None)
    return "\n".join(notes) if notes else f"{type(failure).__name__}: {failure}"


def _main(specification: TrainSpecification) -> None:
    from heliostat.systems.errors import PermanentError, RetryableError

    try:
        train(specification)
    except (PermanentError, RetryableError):
        raise
    except Exception as error:
        if getattr(error, "worker_failures", None) is None:
            raise
        fail(*_explain(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    run(TrainSpecification, _main)
