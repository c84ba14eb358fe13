"""Data and trainings that fit into the memory of one process: a random split, and a training that is one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.ml import metrics
from heliostat.ml.contracts import Columns, columns_of
from heliostat.ml.datasets import Tables
from heliostat.ml.training import Context, Trained
from heliostat.spec.parameters import JobParameters

__all__ = ["Matrix", "SavedPredictor", "examples", "measured", "split_at_random", "training"]

Matrix = NDArray[np.float64]
"""Features or labels: `(rows, columns)` of doubles."""
P = TypeVar("P", bound=JobParameters)


class SavedPredictor(Protocol):
    """A predictor that has just been fitted."""

    def predict(self, columns: Columns) -> Matrix:
        """One score a row."""

    def save(self, directory: Path) -> None:
        """Write what its class's `load` reads."""


def split_at_random(table: pa.Table, label: str, seed: int = 7) -> Tables:
    """Three fifths of the rows to train on, one to validate and one to test; the same for the same rows and `seed`.

    For rows that have nothing to do with each other. Those of one day, or one person, belong into one split.
    """
    rows = np.random.default_rng(seed).permutation(table.num_rows)
    train, validation, test = np.split(rows, [len(rows) * 3 // 5, len(rows) * 4 // 5])
    return Tables(table.take(train), table.take(validation), table.take(test), label)


def examples(table: pa.Table, label: str, transform: Callable[[Columns], Matrix]) -> tuple[Matrix, Matrix]:
    """The features and the labels of a table's rows."""
    return transform(columns_of(table)), _labels(table, label)


def measured(model: SavedPredictor, table: pa.Table, label: str) -> dict[str, float]:
    """Every metric of a model on the rows of a table."""
    return metrics.overall(_labels(table, label), model.predict(columns_of(table)))


def training(
    fit: Callable[[Matrix, Matrix, P], SavedPredictor], transform: Callable[[Columns], Matrix], parameters: type[P]
) -> Callable[[Context], None]:
    """The training function of a `fit` that takes features, labels and parameters.

    One worker fits on the train split and measures on the validation split; others, where the config has some, do nothing.
    """

    def train(context: Context) -> None:
        if context.rank:
            context.finish(None)
            return
        label = context.dataset.manifest()["label"]
        given = parameters.model_validate(context.parameters)
        model = fit(*examples(context.dataset.table("train"), label, transform), given)
        figures = measured(model, context.dataset.table("validation"), label)
        context.finish(Trained(model.save, type(model), figures))

    return train


def _labels(table: pa.Table, label: str) -> Matrix:
    return np.asarray(table[label].to_numpy(), dtype=np.float64)
