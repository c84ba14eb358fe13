"""Scores a candidate and what serves on the same test rows. Run by the provider's ModelVersion as a Ray job.

It only measures: the gate decides from the report. The test split is read, and scored, in parts. What stays in memory are the
predictions and, of the rows, the label and the columns that the task or a slice names: an area under a curve, an order or a
quantile is of all rows at once, and the features are needed for none of them. A model from before this scores as its own
code does, which read the rows whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.jobs import scoring
from heliostat.jobs.personal_texts import quoting_none_of
from heliostat.jobs.specification import progress, run
from heliostat.ml import datasets, predictions
from heliostat.ml.tasks import fairness
from heliostat.ml.tasks.base import OtherPredictionsError
from heliostat.ml.tasks.evaluation import Evaluation, require_column
from heliostat.spec.jobs import EvaluateSpecification
from heliostat.spec.judging import judged_by
from heliostat.spec.problem import Problem
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import open_store

PICTURES: Final = "evaluation"
"""The folder of the run's artifacts that has the pictures."""
_PICTURE_SECONDS: Final = 60.0
_SAID: Final = 4_000
"""Characters of what a program said before it failed."""


def evaluate(specification: EvaluateSpecification) -> None:
    """Write the report: metrics overall and by slice, of the candidate, its baseline and the incumbent.

    An incumbent whose predictions are of another form was made for another task: there is nothing to compare with, and the
    report says so. What is told of a failure quotes no value of a column that the data set says is personal.
    """
    snapshot = datasets.Snapshot(specification.dataset_key, specification.store)
    manifest = snapshot.manifest()
    personal = [name for name in manifest.get("personal", ()) if name in manifest["columns"]]
    with quoting_none_of(personal, lambda names: [snapshot.table("test", names)]):
        _evaluated(specification, snapshot, manifest)


def _evaluated(specification: EvaluateSpecification, snapshot: datasets.Snapshot, manifest: Mapping[str, Any]) -> None:
    problem = specification.problem or Problem()
    metric = judged_by(specification.gate, problem)
    label = manifest["label"]
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "test.parquet")
        table = _split(snapshot, rows, label, _columns(problem, specification.gate))
        evaluation = Evaluation(problem, table, label)
        progress(f"scoring {specification.candidate}")
        scores, baseline = _scores(specification, specification.candidate, rows, Path(folder, "candidate"))
        if baseline is None and specification.gate.beat_baseline_by > 0:
            asked = f"the gate asks for {specification.gate.beat_baseline_by:g} more than the baseline"
            raise PermanentError(f"{asked}, and the training saved none: save one, or set gate.beatBaselineBy to 0")
        drawing = threading.Thread(
            target=_draw, args=(specification, evaluation, scores, bool(manifest.get("personal"))), daemon=True
        )
        drawing.start()
        incumbent = None
        if specification.incumbent:
            progress(f"scoring {specification.incumbent}, which serves")
            incumbent, _ = _scores(specification, specification.incumbent, rows, Path(folder, "incumbent"))

    def judged(found: Any) -> dict[str, Any] | None:
        if found is None:
            return None
        told = measured(evaluation, specification.gate, metric, found)
        checks = specification.gate.fairness
        if not checks:
            return told
        return {**told, "fairness": fairness.measured(table, evaluation.truth.labels, evaluation.checked(found), checks)}

    stable, incomparable = None, ""
    try:
        stable = judged(incumbent)
    except OtherPredictionsError as error:
        incomparable = f"{specification.incumbent} is of another task: {error}"
        progress(incomparable)
    datasets.put_json(
        open_store(specification.store),
        specification.result_key,
        {
            "metric": metric,
            "task": evaluation.kind.task.kind,
            "higherIsBetter": metric is None or problem.higher_is_better(metric),
            "rows": table.num_rows,
            "dataset": specification.dataset_digest,
            **({"sample": manifest["sample"]} if "sample" in manifest else {}),
            "candidate": {"model": specification.candidate, **(judged(scores) or {})},
            "baseline": judged(baseline),
            "incumbent": {"model": specification.incumbent, **stable} if stable is not None else None,
            "incomparable": incomparable,
        },
    )
    drawing.join(_PICTURE_SECONDS)


def _columns(problem: Problem, gate: Gate) -> tuple[str, ...]:
    """The columns that measuring needs beside the label."""
    of_task = problem.task.columns_needed if problem.task is not None else ()
    return (*of_task, *(item.column for item in gate.slices), *(check.column for check in gate.fairness))


def _split(snapshot: datasets.Snapshot, rows: Path, label: str, columns: Sequence[str]) -> pa.Table:
    """Write the test split without its label to `rows`, and return its label with some of its `columns`.

    Raises:
        PermanentError: it has not got one of them.
    """
    kept: list[pa.Table] = []
    writer: pq.ParquetWriter | None = None
    try:
        # A split without rows is one part all the same.
        for part in chain(snapshot.batches("test"), _if_none(kept, snapshot)):
            for column in columns:
                require_column(part, column)
            kept.append(part.select([*dict.fromkeys((label, *columns))]))
            features = part.drop_columns([label])
            writer = writer or pq.ParquetWriter(rows, features.schema)
            writer.write_table(features)
    finally:
        if writer is not None:
            writer.close()
    return pa.concat_tables(kept)


def _if_none(kept: Sequence[pa.Table], snapshot: datasets.Snapshot) -> Iterator[pa.Table]:
    if not kept:
        yield snapshot.table("test")


def _draw(specification: EvaluateSpecification, evaluation: Evaluation, found: Any, is_personal: bool) -> None:
    """Put pictures of the candidate's predictions beside its model; no measurement fails for want of one."""
    if specification.run_id is None:
        return
    try:
        from heliostat.ml.tasks.pictures import pictures

        files = pictures(evaluation.kind, evaluation.truth, evaluation.checked(found))
        with Registry(specification.tracking_uri) as registry:
            registry.attach(specification.run_id, files, PICTURES)
    except Exception as error:
        progress(f"no pictures of the evaluation: {type(error).__name__}{'' if is_personal else f': {error}'}")


def measured(evaluation: Evaluation, gate: Gate, metric: str | None, found: Any) -> dict[str, Any]:
    """Every metric of a model's predictions, and the gate's `metric` on its slices; nothing of slices where there is none.

    Raises:
        PermanentError: the predictions are none of the task's, or the metric is not defined on the test split.
    """
    overall = evaluation.overall(found)
    if metric is None:
        return {"overall": overall, "slices": {}}
    if metric not in overall:
        raise PermanentError(
            f"{metric} is not defined on the {len(evaluation.truth.labels)} labels of the test split, for "
            f"{evaluation.why_undefined(metric)}; there are {', '.join(overall)}"
        )
    return {"overall": overall, "slices": evaluation.by_slice(found, metric, gate.slices)}


def _scores(specification: EvaluateSpecification, model_uri: str, rows: Path, folder: Path) -> tuple[Any, Any]:
    """The predictions of a model, and of its baseline, in a process of its own with the model's own code."""
    with Registry(specification.tracking_uri) as registry:
        registry.download(registry.location(model_uri), folder)
    return scored(folder, rows, model_uri)


def scored(folder: Path, rows: Path, name: str) -> tuple[Any, Any]:
    """The predictions of the MLflow model in `folder`, called `name`, and of its baseline; None where it has none.

    Raises:
        PermanentError: its program fails.
    """
    result = folder / "scores.npz"
    paths = [str(folder / "code"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", scoring.program_of(folder), str(folder), str(rows), str(result)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        how = f"was ended by signal {-done.returncode}" if done.returncode < 0 else "failed"
        said = done.stderr.strip()
        # In whole lines, so that no half of a value is left that nobody would know.
        tail = said if len(said) <= _SAID else said[-_SAID:].partition("\n")[2]
        raise PermanentError(f"scoring {name} {how}:\n{tail}")
    return predictions.load(result, "model"), predictions.load(result, "baseline")


if __name__ == "__main__":
    run(EvaluateSpecification, evaluate)
