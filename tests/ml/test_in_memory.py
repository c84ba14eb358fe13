"""Data and trainings that fit into the memory of one process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from heliostat.ml.arrays import ArrayModel
from heliostat.ml.in_memory import examples, measured, split_at_random, training
from heliostat.spec.parameters import JobParameters
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary

TABLE = pa.table({"x": [float(number) for number in range(50)], "big": [number >= 25 for number in range(50)]})


class Settings(JobParameters):
    shift: float = 0.0


class Model(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return 1 / (1 + np.exp(self.arrays["middle"] - np.asarray(columns["x"])))


def fit(features: Any, labels: Any, parameters: Settings) -> Model:
    return Model({"middle": np.array(features[labels == 1].min() + parameters.shift)})


def transform(columns: Any) -> Any:
    return np.asarray(columns["x"])[:, None]


class Context:
    """A worker's view of a training, without a cluster."""

    def __init__(self, rank: int = 0, problem: Problem | None = None, **parameters: Any) -> None:
        self.rank, self.parameters, self.problem = rank, parameters, problem or Problem()
        self.trained: Any = "nothing yet"
        tables = split_at_random(TABLE, "big")
        self.dataset = SimpleNamespace(
            manifest=lambda: {"label": "big"},
            table=lambda split: {"train": tables.train, "validation": tables.validation}[split],
        )

    def finish(self, trained: Any) -> None:
        self.trained = trained


def test_a_split_holds_every_row_once_and_is_the_same_again() -> None:
    tables = split_at_random(TABLE, "big")
    assert (tables.train.num_rows, tables.validation.num_rows, tables.test.num_rows) == (30, 10, 10)
    rows = [value for _, table in tables for value in table["x"].to_pylist()]
    assert sorted(rows) == TABLE["x"].to_pylist()
    assert tables == split_at_random(TABLE, "big")
    assert tables != split_at_random(TABLE, "big", seed=8)


def test_features_and_labels_are_of_the_same_rows() -> None:
    features, labels = examples(TABLE, "big", transform)
    assert features.shape == (50, 1)
    assert labels.tolist() == [float(value >= 25) for value in features[:, 0]]


def test_one_worker_trains_with_the_parameters_that_were_given_and_hands_the_model_back(tmp_path: Path) -> None:
    context = Context(shift=2.0)
    training(fit, transform, Settings)(context)  # type: ignore[arg-type]
    context.trained.save_model(tmp_path)
    model = context.trained.predictor.load(tmp_path)
    smallest = min(x for x in context.dataset.table("train")["x"].to_pylist() if x >= 25)
    assert model.arrays["middle"] == smallest + 2.0
    assert context.trained.metrics == measured(model, context.dataset.table("validation"), "big")
    assert context.trained.metrics["roc_auc"] == 1.0


def test_a_workload_with_a_task_has_its_baseline_beside_the_model_without_a_line(tmp_path: Path) -> None:
    context = Context(problem=Problem(task=Binary()))
    training(fit, transform, Settings)(context)  # type: ignore[arg-type]
    assert context.trained.metrics["roc_auc"] == 1.0
    assert context.trained.baseline_metrics["roc_auc"] == 0.5
    context.trained.save_baseline(tmp_path)
    (share,) = set(context.trained.baseline.load(tmp_path).predict({"x": [1.0, 2.0]}))
    assert share == sum(context.dataset.table("train")["big"].to_pylist()) / 30
    assert Context().problem.task is None


def test_without_a_task_there_is_no_baseline_but_the_workload_s_own() -> None:
    context = Context()
    training(fit, transform, Settings)(context)  # type: ignore[arg-type]
    assert context.trained.baseline is None


def test_the_other_workers_do_nothing() -> None:
    context = Context(rank=1)
    training(fit, transform, Settings)(context)  # type: ignore[arg-type]
    assert context.trained is None


def test_parameters_that_do_not_fit_are_refused_before_any_work() -> None:
    with pytest.raises(ValidationError, match="shfit"):
        training(fit, transform, Settings)(Context(shfit=1.0))  # type: ignore[arg-type]
