"""The report of a training: made of what each worker kept, of the result and of the price list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from heliostat.ml.places import Places
from heliostat.ml.training import TIMES_FILE
from heliostat.pricing.trainings import usd_an_hour
from heliostat.spec.ensembles import Combined
from heliostat.spec.jobs import TrainSpecification
from heliostat.spec.training_report import Knowledge, TrainingReport, Trial, WorkerTimes, advise, lines, report_key
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import open_store

ARTIFACTS: Final = "training"
"""The folder of the run's artifacts that has the report."""
_HOUR: Final = 3600.0


def workers_place(specification: TrainSpecification) -> str:
    """The key below which each worker has a place of its own."""
    return f"trainings/{specification.name}/{specification.digest[:32]}.workers"


def report(specification: TrainSpecification, run_id: str, seconds: float, result: Mapping[str, Any]) -> TrainingReport:
    """The report of a training whose workers ended after `seconds`, with what its result says."""
    starts = tuple(result.get("starts") or (specification.scaling.workers,))
    workers = _workers(specification, starts[-1])
    price, where = usd_an_hour(specification.scaling, specification.group, starts[-1])
    knowledge, combined = result.get("knowledge"), result.get("combined")
    return TrainingReport(
        name=specification.name,
        run_id=run_id,
        seconds=round(seconds, 3),
        workers=workers,
        usd=None if price is None else round(price * seconds / _HOUR, 4),
        price=where,
        advice=advise(workers),
        ended_by_budget=result.get("endedByBudget"),
        attempts=starts,
        metric=specification.tuning.metric if specification.tuning is not None else "",
        trials=tuple(Trial.model_validate(each) for each in result.get("trials", ())),
        knowledge=Knowledge.model_validate(knowledge) if knowledge is not None else None,
        combined=Combined.model_validate(combined) if combined is not None else None,
    )


def keep(specification: TrainSpecification, registry: Registry, made: TrainingReport) -> None:
    """Keep the report in the object store and beside the run, and in the job's log: people are told of it by the update, which
    finds it kept, also where nobody followed the job to its end."""
    content = made.model_dump_json(by_alias=True, indent=2).encode()
    open_store(specification.store).put(report_key(specification.name, specification.digest), content)
    registry.attach(made.run_id, {"report.json": content, "report.txt": "\n".join(lines(made)).encode()}, ARTIFACTS)
    for line in lines(made):
        print(line, flush=True)  # noqa: T201 - no progress, which an update would show as well


def _workers(specification: TrainSpecification, count: int) -> tuple[WorkerTimes, ...]:
    """What the workers of the last start told; one that ended without is left out."""
    places = Places(specification.store, workers_place(specification))
    found = [places.kept(rank, TIMES_FILE) for rank in range(count)]
    return tuple(WorkerTimes.model_validate_json(each) for each in found if each is not None)
