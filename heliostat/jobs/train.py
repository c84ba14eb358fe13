"""Trains and logs the run. Run by the provider's TrainJob as a Ray job: this is Ray Train's driver.

Killed at any moment, the next attempt goes on: the run is found by its tags, the fit resumes from its checkpoint in the
object store, and a model that is logged already is not logged again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.jobs import reporting
from heliostat.jobs.specification import fail, progress, run
from heliostat.jobs.worker_failures import explain
from heliostat.ml.datasets import Snapshot
from heliostat.ml.pyfunc import RESULT_FILE
from heliostat.ml.training import RESUMABLE_FOLDER
from heliostat.ml.worker import run_worker
from heliostat.pricing.trainings import usd_an_hour
from heliostat.spec.budget import limit_of, may_go_on
from heliostat.spec.distribution import TpuSlices
from heliostat.spec.jobs import FederateSpecification, TrainSpecification
from heliostat.spec.scaling import scaling_arguments
from heliostat.spec.snapshot_settings import SAMPLE_TAG
from heliostat.spec.training_report import TrainingReport
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_lineage import DATA_TAG, TRAINING_TAG
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import ObjectMissingError, arrow_location

if TYPE_CHECKING:
    from heliostat.jobs.trainer import Trainer

COMPLETE_TAG = "heliostat.complete"
MODEL_TAG = "heliostat.model_uri"
BUDGET_TAG = "heliostat.ended_by_budget"
"""On a run that its budget ended: after how many seconds."""

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
        model_uri = logged_model(specification, run_id, folder)
        figures = {**result["metrics"], **{f"baseline_{name}": value for name, value in result["baselineMetrics"].items()}}
        seconds = {"fit_seconds": fitted - began, "loop_seconds": result["loopSeconds"]}
        registry.log(run_id, metrics=[(name, value, 0) for name, value in {**figures, **seconds}.items()])
        report = reporting.report(specification, run_id, fitted - began, result)
        reporting.keep(specification, registry, report)
        _log_chosen(registry, run_id, report)
        ended = {BUDGET_TAG: str(report.ended_by_budget)} if report.ended_by_budget is not None else {}
        registry.log(run_id, tags={MODEL_TAG: model_uri, **ended, COMPLETE_TAG: "true"})
        registry.end_run(run_id)


def _load_ray() -> None:
    """A second of computing, while MLflow answers."""
    os.environ.update(_RAY_TRAIN)
    import heliostat.jobs.trainer  # noqa: F401


def run_tags(specification: TrainSpecification | FederateSpecification) -> dict[str, str]:
    """What a training's run is found and explained by."""
    return {
        TRAINING_TAG: specification.digest,
        "heliostat.code": specification.code_digest,
        DATA_TAG: specification.dataset_digest,
        "heliostat.submission": specification.submission_id,
        "heliostat.entry_point": specification.entry_point,
    }


def _run_of(registry: Registry, specification: TrainSpecification) -> str:
    """The run of this training: the one that an earlier attempt began, or a new one."""
    tags = run_tags(specification)
    limit = _seconds_limit(specification)
    found = [
        run
        for run in registry.runs_of(specification.name, {TRAINING_TAG: specification.digest})
        if BUDGET_TAG not in run.tags or not may_go_on(float(run.tags[BUDGET_TAG]), limit)
    ]
    if found:
        run_id = found[0].run_id
        registry.end_run(run_id, "RUNNING")
        registry.log(run_id, tags=tags)
        return run_id
    experiment = specification.experiment or specification.name
    run_id = registry.create_run(experiment, specification.submission_id, tags)
    manifest = Snapshot(specification.dataset_key, specification.store).manifest()
    sample = {SAMPLE_TAG: str(manifest["sample"])} if "sample" in manifest else {}
    registry.log(run_id, tags=sample, parameters=known_parameters(specification))
    registry.log_input(run_id, specification.name, specification.dataset_digest, manifest["uri"], manifest["rows"])
    return run_id


def known_parameters(specification: TrainSpecification) -> dict[str, Any]:
    """Those of a run that begins. What a tuning searches is known when it ended, and MLflow lets no parameter change."""
    searched = specification.tuning.space.keys() if specification.tuning is not None else ()
    declared = {name: value for name, value in specification.parameters.items() if name not in searched}
    return {**declared, "workers": specification.scaling.workers}


def _log_chosen(registry: Registry, run_id: str, report: TrainingReport) -> None:
    try:
        registry.log(run_id, parameters=report.chosen)
    except PermanentError as error:  # a run that another release began has them as they are declared
        progress(f"MLflow keeps the parameters that the run began with, not those of the best trial: {error}")


def _seconds_limit(specification: TrainSpecification) -> float | None:
    """The budget at the price of the nodes; the provider has seen to it that it is known."""
    price, _ = usd_an_hour(specification.scaling, specification.group)
    return limit_of(specification.budget, price)


def _previous_digest(specification: TrainSpecification) -> str | None:
    """The digest of the data that the model to continue from, or to combine with, was trained on.

    Raises:
        PermanentError: the model is not there, or nobody knows its data, or they are gone.
    """
    ensemble, setting = specification.ensemble, "continueFrom"
    uri = specification.continue_from
    if ensemble is not None:
        uri, setting = ensemble.model, "ensemble"
    if uri is None:
        return None
    with Registry(specification.tracking_uri) as registry:
        version = registry.version(uri)
        run_ = registry.run(version.run_id) if version is not None else None
    if version is None:
        raise PermanentError(f"there is no {uri} for training.{setting}: name a version that is registered")
    digest = run_.tags.get(DATA_TAG) if run_ is not None else None
    if digest is None:
        raise PermanentError(
            f"{uri} was not trained by a TrainJob that is still in MLflow: what it knows cannot be "
            f"measured on its own data; leave training.{setting} out"
        )
    data = Snapshot(f"datasets/{specification.name}/{digest}", specification.store)
    try:
        data.manifest()
    except ObjectMissingError:
        raise PermanentError(
            f"the data {digest[:12]} that {uri} was trained on are not in {specification.store.uri} "
            f"any more: leave training.{setting} out"
        ) from None
    return digest


def _trainer(specification: TrainSpecification, run_id: str) -> Trainer:
    """Ray Train's, of the workload's function, on the cluster that this job runs on."""
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

    from heliostat.jobs.trainer import Trainer
    from heliostat.ml.peers import PeersConfig, SlicesConfig

    scaling = specification.scaling
    # Ray Train's helpers ask for "the" cluster, and find two where two stacks run on one machine: they are told which.
    ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": {"RAY_ADDRESS": os.environ["RAY_ADDRESS"]}})
    progress("starting the workers")
    if len({node["NodeManagerAddress"] for node in ray.nodes()}) == 1:  # type: ignore[no-untyped-call]
        os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"  # nobody takes this machine away; one process less to start
    arguments = scaling_arguments(scaling, specification.group)
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
            "name": specification.name,
            "distribution": scaling.distribution,
            "accelerators": float(
                arguments["resources_per_worker"].get("GPU", arguments["resources_per_worker"].get("TPU", 0))
            ),
            "place": reporting.workers_place(specification),
            "seconds_limit": _seconds_limit(specification),
            "continue_from": specification.continue_from,
            "ensemble": specification.ensemble,
            "previous_digest": _previous_digest(specification),
            "tuning": specification.tuning,
        },
        backend_config=SlicesConfig() if isinstance(scaling.distribution, TpuSlices) else PeersConfig(),
        scaling_config=ScalingConfig(**arguments),
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
    shutil.rmtree(folder / RESUMABLE_FOLDER, ignore_errors=True)


def logged_model(specification: TrainSpecification | FederateSpecification, run_id: str, folder: Path) -> str:
    """`models:/<model id>` of the run's model, logged where no earlier attempt did."""
    import mlflow

    from heliostat.jobs.packaging import log_model
    from heliostat.jobs.personal_texts import quoting_none

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
    personal = manifest.get("personal", ())
    with quoting_none(personal, example):
        return log_model(run_id, folder, manifest["label"], example, personal)


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


def _main(specification: TrainSpecification) -> None:
    try:
        train(specification)
    except (PermanentError, RetryableError):
        raise
    except Exception as error:
        if getattr(error, "worker_failures", None) is None:
            raise
        fail(*explain(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    run(TrainSpecification, _main)
