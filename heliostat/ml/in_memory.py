"""Data and trainings that fit into the memory of one process: a random split, and a training that is one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.ml.contracts import Columns, columns_of
from heliostat.ml.datasets import Tables
from heliostat.ml.predictions import Predictions
from heliostat.ml.tasks.baselines import Baseline
from heliostat.ml.tasks.evaluation import Evaluation, kind_of
from heliostat.ml.training import Context, Trained
from heliostat.spec.parameters import JobParameters
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import DeclaredTask

__all__ = ["Matrix", "SavedPredictor", "examples", "measured", "split_at_random", "training"]

Matrix = NDArray[np.float64]
"""Features or labels: `(rows, columns)` of doubles."""
P = TypeVar("P", bound=JobParameters)


class SavedPredictor(Protocol):
    """A predictor that has just been fitted."""

    def predict(self, columns: Columns) -> Predictions:
        """What the task's predictions are; one score a row where there is none."""

    def save(self, directory: Path) -> None:
        """Write what its class's `load` reads."""


def split_at_random(table: pa.Table, label: str, seed: int = 7) -> Tables:
    """Three fifths of the rows to train on, one to validate and one to test; the same for the same rows and `seed`.

    For rows that have nothing to do with each other. Those of one day, or one person, belong into one split.
    """
    rows = np.random.default_rng(seed).permutation(table.num_rows)
    train, validation, test = np.split(rows, [len(rows) * 3 // 5, len(rows) * 4 // 5])
    return Tables(table.take(train), table.take(validation), table.take(test), label)


def examples(
    table: pa.Table, label: str, transform: Callable[[Columns], Matrix], task: DeclaredTask = None
) -> tuple[Matrix, Matrix]:
    """The features and the labels of a table's rows; the labels as the task has them, classes by their place from 0."""
    return transform(columns_of(table)), _labels(table, label, task)


def measured(model: SavedPredictor, table: pa.Table, label: str, problem: Problem | None = None) -> dict[str, float]:
    """Every metric of a model on the rows of a table."""
    return Evaluation(problem or Problem(), table, label).overall(model.predict(columns_of(table)))


def judged(model: SavedPredictor, tables: Tables, problem: Problem) -> Trained:
    """What a training ends with: a model and its figures on the validation rows, and the baseline of a task that has one."""
    label, validation = tables.label, tables.validation
    trained = Trained(model.save, type(model), measured(model, validation, label, problem))
    if problem.task is None or not problem.task.has_baseline:
        return trained
    baseline = Baseline.fit(problem.task, tables.train, label)
    figures = measured(baseline, validation, label, problem)
    return replace(trained, save_baseline=baseline.save, baseline=Baseline, baseline_metrics=figures)


def training(
    fit: Callable[[Matrix, Matrix, P], SavedPredictor], transform: Callable[[Columns], Matrix], parameters: type[P]
) -> Callable[[Context], None]:
    """The training function of a `fit` that takes features, labels and parameters.

    One worker fits on the train split and measures on the validation split; others, where the config has some, do nothing.
    Where the workload declares a task that has one, its baseline is fitted beside, for the gate to compare with.
    """

    def train(context: Context) -> None:
        if context.rank:
            context.finish(None)
            return
        label = context.dataset.manifest()["label"]
        given = parameters.model_validate(context.parameters)
        table, validation = context.dataset.table("train"), context.dataset.table("validation")
        model = fit(*examples(table, label, transform, context.problem.task), given)
        context.finish(judged(model, Tables(table, validation, validation, label), context.problem))

    return train


def _labels(table: pa.Table, label: str, task: DeclaredTask) -> Matrix:
    found: Matrix = kind_of(task).labels(table[label]) if task is not None else table[label].to_numpy()
    return found if found.dtype.kind not in "iufb" else found.astype(np.float64)
