"""What a simulation is made of: a workload's entry points, and what its stack's config says of it, or what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliostat.cli.simulation.strategies import usual, without_replicas
from heliostat.data.ingestion import Ingestion
from heliostat.data.schema import load
from heliostat.ml.contracts import Contract, load_entry_point
from heliostat.spec.base import EntryPoint, Parameters
from heliostat.spec.data_sets import schema_file
from heliostat.spec.drift_watches import DriftWatch
from heliostat.spec.findings import Aspect
from heliostat.spec.monitors import Monitor
from heliostat.spec.notifications import AlarmPolicy
from heliostat.spec.problem import Problem
from heliostat.spec.retraining import FindingTrigger, RetrainingPolicy
from heliostat.spec.strategies import Strategy
from heliostat.spec.watches import BiasWatch, Calendar, CalendarWindows, QualityWatch
from heliostat.spec.workload import Workload

_LABELS_SECONDS = 400 * 86_400.0
"""Labels of all months are there from the first look on, so all of the log is read each time."""
_MARGIN = 0.025
_LOWEST, _HIGHEST = 0.8, 1.25


@dataclass(frozen=True)
class Declared:
    """A workload as it is to be simulated."""

    name: str
    root: Path
    dataset: EntryPoint
    train: EntryPoint
    contract: EntryPoint
    data_parameters: Parameters
    parameters: Parameters
    problem: Problem
    spec: Workload
    strategy: Strategy
    """How an accepted version comes to clients."""
    left_out: tuple[str, ...]
    """Checks of the strategy that need replicas, and are not made."""
    monitor: Monitor
    """With windows of months, and without sinks: nobody is told of what is only simulated."""
    ingestion: Ingestion | None = None
    """Where its rows come from, as the stack has it; None where its function reads by itself."""
    transformed: dict[str, Any] | None = None
    """What the workload's schema expects after its own transformation (`heliostat.data.schema.Transformed`)."""


def declared(name: str, root: Path, convention: Any, spec: Workload) -> Declared:
    """A workload that is declared by convention.

    Raises:
        ValueError: its overrides do not fit, its answer has no number to be watched, or its schema is none.
    """
    points: dict[str, str] = convention.entry_points
    problem: Problem = convention.problem
    monitor = spec.monitor or _usual(problem, points["contract"])
    strategy, left_out = without_replicas(_strategy(spec, problem, monitor.field))
    return Declared(
        name=name,
        root=root,
        dataset=points["dataset"],
        train=points["train"],
        contract=points["contract"],
        data_parameters=convention.data_parameters.overridden(spec.data_parameters).values(),
        parameters=convention.parameters.overridden(spec.training.parameters).values(),
        problem=problem,
        spec=spec,
        strategy=strategy,
        left_out=left_out,
        monitor=_by_month(monitor),
        ingestion=_ingestion(name, convention, spec),
        transformed=_transformed(schema_file(root, points["dataset"])),
    )


def _ingestion(name: str, convention: Any, spec: Workload) -> Ingestion | None:
    """The workload's, with the stack's source; up to when rows are taken each month says."""
    found: Ingestion | None = getattr(convention, "ingestion", None)
    if found is None and spec.data is not None:
        raise ValueError(f"workloads.{name}.data: {name} ingests nothing, its function reads by itself: leave it out")
    if found is None or spec.data is None or spec.data.source is None:
        return found
    return Ingestion.model_validate({**found.model_dump(), "source": spec.data.source})


def _transformed(file: Path) -> dict[str, Any] | None:
    found = load(file).transformed if file.is_file() else None
    return found.model_dump(mode="json") if found is not None else None


def _strategy(spec: Workload, problem: Problem, field: str) -> Strategy:
    """The stack's, where it says one."""
    if "serving" in spec.model_fields_set and "strategy" in spec.serving.model_fields_set:
        return spec.serving.strategy
    return usual(problem, field, problem.default_metric if _has_mean(problem) else None)


def _has_mean(problem: Problem) -> bool:
    """Whether a label is a number a row."""
    kind = problem.task.kind if problem.task is not None else "binary"
    return kind not in ("embedding", "free", "multilabel", "ranking")


def _by_month(monitor: Monitor) -> Monitor:
    return monitor.model_copy(
        update={"windows": CalendarWindows(every=Calendar.MONTH), "labels_within_seconds": _LABELS_SECONDS, "sinks": ()}
    )


def _usual(problem: Problem, contract: EntryPoint) -> Monitor:
    """Quality, bias and drift, and a retraining after two bad months."""
    has_mean, metric = _has_mean(problem), problem.default_metric
    return Monitor(
        field=_number_of(load_entry_point(contract)),
        quality=(QualityWatch(metric=metric, margin=_MARGIN),) if metric is not None and has_mean else (),
        bias=BiasWatch(lowest=_LOWEST, highest=_HIGHEST) if has_mean else None,
        drift=DriftWatch(),
        alarms=AlarmPolicy(repeat_seconds=0),
        retraining=RetrainingPolicy(
            triggers=(FindingTrigger(aspects=(Aspect.QUALITY, Aspect.PREDICTION_BIAS), windows=2),),
            cooldown_seconds=0,
            refused_cooldown_seconds=0,
            most_in_period=12,
        ),
    )


def _number_of(contract: Contract[Any, Any]) -> str:
    """The first field of the answer that is a number."""
    schema = contract.answer.model_json_schema(by_alias=True, mode="serialization")
    for name, field in schema.get("properties", {}).items():
        if field.get("type") in ("number", "array"):
            return str(name)
    raise ValueError(f"the answer has no number among {', '.join(schema.get('properties', {}))}: declare monitor.field")
