"""Scores a candidate and what serves on the same test rows. Run by the provider's ModelVersion as a Ray job.

It only measures: the gate decides from the report.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heliostat.jobs import scoring
from heliostat.jobs.specification import progress, run
from heliostat.ml import datasets, metrics
from heliostat.spec.jobs import EvaluateSpecification
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import open_store


def evaluate(specification: EvaluateSpecification) -> None:
    """Write the report: metrics overall and by slice, of the candidate, its baseline and the incumbent."""
    metric = metrics.metric_of(specification.gate.metric)
    snapshot = datasets.Snapshot(specification.dataset_key, specification.store)
    table, label = snapshot.table("test"), snapshot.manifest()["label"]
    labels = table[label].to_numpy().astype(np.float64)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "test.parquet")
        pq.write_table(table.drop_columns([label]), rows)
        progress(f"scoring {specification.candidate}")
        scores, baseline = _scores(specification, specification.candidate, rows, Path(folder, "candidate"))
        incumbent = None
        if specification.incumbent:
            progress(f"scoring {specification.incumbent}, which serves")
            incumbent, _ = _scores(specification, specification.incumbent, rows, Path(folder, "incumbent"))

    def judged(found: NDArray[np.float64] | None) -> dict[str, Any] | None:
        return None if found is None else _judged(specification, table, labels, found)

    datasets.put_json(
        open_store(specification.store),
        specification.result_key,
        {
            "metric": specification.gate.metric,
            "higherIsBetter": metric.higher_is_better,
            "rows": table.num_rows,
            "dataset": specification.dataset_digest,
            "candidate": {"model": specification.candidate, **(judged(scores) or {})},
            "baseline": judged(baseline),
            "incumbent": {"model": specification.incumbent, **(judged(incumbent) or {})} if incumbent is not None else None,
        },
    )


def _judged(
    specification: EvaluateSpecification, table: pa.Table, labels: NDArray[np.float64], scores: NDArray[np.float64]
) -> dict[str, Any]:
    gate = specification.gate
    overall = metrics.overall(labels, scores)
    if gate.metric not in overall:
        raise PermanentError(
            f"{gate.metric} is not defined on the {len(labels)} labels of the test split; there are {', '.join(overall)}"
        )
    return {"overall": overall, "slices": metrics.by_slice(table, labels, scores, gate.metric, gate.slices)}


def _scores(
    specification: EvaluateSpecification, model_uri: str, rows: Path, folder: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The scores of a model, and of its baseline, in a process of its own with the model's own code."""
    with Registry(specification.tracking_uri) as registry:
        registry.download(registry.location(model_uri), folder)
    return scored(folder, rows, model_uri)


def scored(folder: Path, rows: Path, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The scores of the MLflow model in `folder`, called `name`, and of its baseline.

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
        raise PermanentError(f"scoring {name} {how}:\n{done.stderr.strip()[-4000:]}")
    found = np.load(result)
    return found["model"], found["baseline"] if found["baseline"].size else None


if __name__ == "__main__":
    run(EvaluateSpecification, evaluate)
