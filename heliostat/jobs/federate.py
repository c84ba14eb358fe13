"""Trains over sites and logs the run. Run by the provider's FederatedTraining as a Ray job: this is the coordinator.

Killed at any moment, the next attempt goes on in the round that was open, with what sites had sent in it. The sites notice
no more than that nobody answered for a while.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from heliostat.federated import privacy
from heliostat.federated.messages import TrainingNote
from heliostat.jobs.federation.coordinator import Coordinator
from heliostat.jobs.federation.journal import Journal, RoundRecord
from heliostat.jobs.federation.server import Api, listening
from heliostat.jobs.federation.wheels import StoredWheels
from heliostat.jobs.personal_texts import quoting_none
from heliostat.jobs.specification import progress, run
from heliostat.jobs.train import COMPLETE_TAG, MODEL_TAG, logged_model, run_tags
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Snapshot
from heliostat.ml.federated import Federation
from heliostat.ml.in_memory import measured
from heliostat.ml.training import Trained, save_trained
from heliostat.spec.federated import SITES_TAG
from heliostat.spec.jobs import FederateSpecification
from heliostat.spec.problem import Problem
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_lineage import TRAINING_TAG
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import open_store
from heliostat.systems.ray_jobs import PROGRESS


def federate(specification: FederateSpecification) -> None:
    """All of it, from the run to the logged model.

    Raises:
        PermanentError: it took too long, or its parameters became no numbers.
    """
    federation: Federation = load_entry_point(specification.entry_point)
    began = time.monotonic()
    with Registry(specification.tracking_uri) as registry, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run_id = _run_of(registry, specification)
        try:
            coordinator = asyncio.run(_coordinated(specification, federation, registry, run_id, folder))
        except BaseException:
            registry.end_run(run_id, "FAILED")
            raise
        progress("logging the model")
        metrics = _finish(specification, federation, coordinator, folder, time.monotonic() - began)
        registry.log(run_id, metrics=[(name, value, 0) for name, value in metrics.items()])
        tags = {MODEL_TAG: logged_model(specification, run_id, folder / "result"), **_end_tags(specification, coordinator)}
        registry.log(run_id, tags={**tags, COMPLETE_TAG: "true"})
        registry.end_run(run_id)


def _run_of(registry: Registry, specification: FederateSpecification) -> str:
    """The run of this training: the one that an earlier attempt began, or a new one."""
    tags = run_tags(specification)
    if found := registry.runs_of(specification.name, {TRAINING_TAG: specification.digest}):
        registry.end_run(found[0].run_id, "RUNNING")
        registry.log(found[0].run_id, tags=tags)
        return found[0].run_id
    run_id = registry.create_run(specification.experiment or specification.name, specification.submission_id, tags)
    rules = specification.rules
    declared: dict[str, object] = {
        "rounds": rules.rounds,
        "min_sites": rules.min_sites,
        "secure_aggregation": rules.secure_aggregation,
    }
    if rules.privacy is not None:
        declared |= {"noise_multiplier": rules.privacy.noise_multiplier, "clip": rules.privacy.clip}
    registry.log(run_id, parameters={**specification.parameters, **declared})
    return run_id


async def _coordinated(
    specification: FederateSpecification, federation: Federation, registry: Registry, run_id: str, folder: Path
) -> Coordinator:
    store = open_store(specification.store)
    wheels = StoredWheels(store, specification.name, folder)
    coordinator = Coordinator(
        TrainingNote(
            name=specification.name,
            digest=specification.digest,
            entry_point=specification.entry_point,
            code_digest=specification.code_digest,
            parameters=specification.parameters,
            rules=specification.rules,
        ),
        federation,
        frozenset(specification.sites),
        specification.round_seconds,
        Journal(store, specification.name, specification.digest),
        progress,
        wheels.package,
    )

    def told(record: RoundRecord) -> None:
        registry.log(run_id, metrics=_figures(record))
        _tell(record, specification)

    if coordinator.last_record is not None:
        progress(f"goes on after round {coordinator.last_record.round}")
    async with listening(Api(coordinator, specification.sites, wheels), specification.coordinator):
        listener = specification.coordinator
        progress(f"waiting for sites at {listener.host}:{listener.port}")
        try:
            async with asyncio.timeout(specification.timeout_seconds):
                await coordinator.train(told)
        except TimeoutError:
            raise PermanentError(
                f"the training of {specification.name} took more than {specification.timeout_seconds:g} s, at "
                f"{coordinator.text}: see that the sites run (`heliostat site run`), or give federated.timeoutSeconds more; "
                "what is done so far is kept, and `up` goes on from there"
            ) from None
    return coordinator


def _figures(record: RoundRecord) -> list[tuple[str, float, int]]:
    """A round as MLflow's metrics: of all sites, and by site."""
    figures = {**record.metrics, "sites": float(len(record.sites)), "moved": record.moved}
    for name, site in record.sites.items():
        figures |= {f"site_{name}_rows": float(site.rows)}
        figures |= {f"site_{name}_{metric}": value for metric, value in site.metrics.items()}
    return [(name, value, record.round) for name, value in figures.items()]


def _tell(record: RoundRecord, specification: FederateSpecification) -> None:
    rows = sum(site.rows for site in record.sites.values())
    metrics = {**record.metrics, "sites": float(len(record.sites)), "rows": float(rows)}
    told = {"step": record.round, "steps": specification.rules.rounds, "metrics": metrics}
    print(PROGRESS + json.dumps(told), flush=True)  # noqa: T201 - a job's log is its channel


def _finish(
    specification: FederateSpecification, federation: Federation, coordinator: Coordinator, folder: Path, seconds: float
) -> dict[str, float]:
    """Write the model of the last parameters, as a training hands it back; its metrics on the coordinator's own rows."""
    model: Any = federation.predictor(coordinator.arrays)  # the class below ArrayModel has `predict`
    problem = specification.problem or Problem()
    snapshot = Snapshot(specification.dataset_key, specification.store)
    manifest, rows = snapshot.manifest(), snapshot.table("validation")
    with quoting_none(manifest.get("personal", ()), rows):
        metrics = measured(model, rows, manifest["label"], problem)
    (folder / "result").mkdir()
    save_trained(Trained(model.save, federation.predictor, metrics), folder / "result", seconds, problem)
    return metrics


def _end_tags(specification: FederateSpecification, coordinator: Coordinator) -> dict[str, str]:
    """What the run is to say of the last round: who took part, with which rows, and what the noise is worth."""
    record = coordinator.last_record
    if record is None:
        return {}
    sites = {name: {"rows": site.rows, "dataDigest": site.data_digest} for name, site in record.sites.items()}
    tags = {SITES_TAG: json.dumps(sites, sort_keys=True)}
    if specification.rules.privacy is not None:
        tags["heliostat.privacy"] = privacy.told(specification.rules.privacy, record.round)
    return tags


if __name__ == "__main__":
    run(FederateSpecification, federate)
