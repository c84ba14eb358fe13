"""Which features a version makes use of: its own code predicts rows of which columns are shuffled, in one process for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.cli.datasets.catalogue import Stored
from heliostat.cli.operators.deployed import DATASET, deployed
from heliostat.cli.rollouts.locate import stacks_here
from heliostat.data.feature_use import FeatureUse, Period, by_period, groups_of, shuffled_by, time_column, use
from heliostat.data.importance import Importance, importances, variants
from heliostat.jobs.evaluate import scored
from heliostat.ml.predictions import chosen
from heliostat.ml.snapshots.reader import Snapshot
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import prefix_of
from heliostat.spec.judging import judged_by
from heliostat.spec.problem import Problem
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.scratch import scratch_folder

_VERSION = "heliostat:index:ModelVersion"


@dataclass(frozen=True)
class Asked:
    """What somebody wants to know."""

    split: str = "test"
    time: str | None = None
    period: Period = "month"
    rows: int = 2_000
    """Of a period, at most."""
    repeats: int = 10
    correlated: float = 0.8
    recent: int = 3
    least: float = 0.0


@dataclass(frozen=True)
class Version:
    """A version, and how the stack judges its kind."""

    uri: str
    workload: str
    problem: Problem
    metric: str
    times: Sequence[str | None] = ()
    """Columns that say when a row happened, as the workload's data set is declared."""


def version_of(stack: str | None, model: str) -> Version:
    """The version that is meant: by `models:/<name>/<number>`, or a workload's own, which the stack serves.

    Raises:
        PermanentError: the stack declares no such model, or it has nothing to be measured by.
    """
    stacks = stacks_here()
    resources = stacks.resources(stacks.name(stack))
    known = {
        str(each["urn"]).rpartition("::")[2]: dict(each.get("outputs") or {})
        for each in resources
        if each.get("type") == _VERSION and not each.get("delete") and each.get("outputs")
    }
    name = model.removeprefix("models:/").partition("/")[0]
    found = known.get(name) or next((each for each in known.values() if each.get("name") == name), None)
    if found is None:
        there = ", ".join(known) or "none"
        raise PermanentError(
            f"the stack declares no model {name!r}, and so nobody says what it is measured by; it has: {there}"
        )
    problem = Problem.model_validate(found.get("problem") or {})
    metric = judged_by(Gate.model_validate(found.get("gate") or {}), problem)
    if metric is None:
        raise PermanentError(f"{name} has no metric: declare one of the workload's own, which its features are measured by")
    uri = model if model.startswith("models:/") else str(found["servedModelUri"])
    workload = next(key for key, each in known.items() if each is found)
    return Version(uri, workload, problem, metric, _times(resources, workload))


def used(stack: str | None, version: Version, address: StoreAddress, snapshot: Stored, asked: Asked) -> FeatureUse:
    """What the version makes of each feature of a split.

    Raises:
        PermanentError: the split has too few rows, the model fails on them, or its metric is defined in no period.
        ValueError: there is no such column of times.
    """
    read = Snapshot(prefix_of(snapshot.name, snapshot.digest)[:-1], address)
    table, label = read.table(asked.split), snapshot.manifest.label
    column, note = time_column(table, asked.time, version.times)
    periods = by_period(table, column, asked.period, asked.rows)
    notes = [note] if note else []
    for name in [name for name, rows in periods.items() if rows.num_rows < 2]:
        notes.append(f"{name} has {periods.pop(name).num_rows} rows, and is left out")
    if not periods:
        raise PermanentError(f"the {asked.split} split of {snapshot.reference} has {table.num_rows} rows: two are needed")
    if asked.split == "train":
        notes.append("the model was trained on these rows: what it does with them is not what it does with others")
    features = pa.concat_tables([rows.drop_columns([label]) for rows in periods.values()])
    groups = groups_of(features, asked.correlated)
    shuffled = shuffled_by(groups)
    with scratch_folder() as folder:
        predictions = _predicted(stack, version, periods, label, shuffled, asked.repeats, folder)
    found: dict[str, dict[str, Importance]] = {}
    first = 0
    for name, rows in periods.items():
        count = 1 + len(shuffled) * asked.repeats
        parts = [_part(predictions, first + number * rows.num_rows, rows.num_rows) for number in range(count)]
        first += count * rows.num_rows
        scores, why = _scores(version, rows, label, parts)
        if why:
            notes.append(f"{name} is left out: {why}")
        else:
            found[name] = importances(shuffled, scores)
    if not found:
        raise PermanentError(f"{version.metric} is defined in no period: {'; '.join(notes)}")
    counts = {name: periods[name].num_rows for name in found}
    return use(version.metric, groups, found, counts, asked.recent, asked.least, notes)


def _times(resources: Sequence[Mapping[str, Any]], workload: str) -> Sequence[str | None]:
    given = next(
        (
            dict(each.get("outputs") or {})
            for each in resources
            if each.get("type") == DATASET and str(each["urn"]).rpartition("::")[2] == workload
        ),
        {},
    )
    ingestion: Mapping[str, Any] = given.get("ingestion") or {}
    split = ingestion.get("split") or {}
    return [
        split.get("column") if split.get("kind") in ("time", "latest") else None,
        ingestion.get("time"),
        _event(given.get("dataSchema")),
    ]


def _event(schema: str | None) -> str | None:
    from heliostat.data.schema import SchemaError, read

    try:
        found = read(schema) if schema else None
    except SchemaError:
        return None
    return found.leakage.event if found is not None and found.leakage is not None else None


def _predicted(
    stack: str | None,
    version: Version,
    periods: Mapping[str, pa.Table],
    label: str,
    shuffled: Mapping[str, tuple[str, ...]],
    repeats: int,
    folder: Path,
) -> Any:
    """The predictions of all variants of all periods, one after another."""
    rows, model = folder / "rows.parquet", folder / "model"
    model.mkdir()
    schema = next(iter(periods.values())).drop_columns([label]).schema
    with pq.ParquetWriter(rows, schema) as writer:
        for table in periods.values():
            for each in variants(table.drop_columns([label]), shuffled, repeats):
                writer.write_table(each)
    found = deployed(stack)
    if not found.tracking_uri:
        raise PermanentError("the stack exports no MLflow, which has the model: its platform is down")
    with Registry(found.tracking_uri, access=found.tracking_access) as registry:
        registry.download(registry.location(version.uri), model)
    return scored(model, rows, version.uri)[0]


def _part(predictions: Any, first: int, count: int) -> Any:
    total = len(next(iter(predictions.values())) if isinstance(predictions, Mapping) else predictions)
    rows = np.zeros(total, np.bool_)
    rows[first : first + count] = True
    return chosen(predictions, rows)


def _scores(version: Version, rows: pa.Table, label: str, parts: Sequence[Any]) -> tuple[list[float], str]:
    """The metric of each part, more being better; or why there is none."""
    evaluation = Evaluation(version.problem, rows, label)
    sign = 1.0 if version.problem.higher_is_better(version.metric) else -1.0
    found = list(_measured(evaluation, version.metric, parts))
    if len(found) < len(parts):
        return (
            [],
            f"{version.metric} is not defined on its {rows.num_rows} rows, for {evaluation.why_undefined(version.metric)}",
        )
    return [sign * value for value in found], ""


def _measured(evaluation: Evaluation, metric: str, parts: Sequence[Any]) -> Iterator[float]:
    for part in parts:
        value = evaluation.overall(part).get(metric)
        if value is None:
            return
        yield value
