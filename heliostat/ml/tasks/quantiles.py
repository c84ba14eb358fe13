"""Quantiles of a number: predictions are one number for each level."""

from __future__ import annotations

from typing import Any

import numpy as np

from heliostat.ml.tasks.base import Array, Compute, Truth, several_a_row
from heliostat.ml.tasks.regression import NumberKind
from heliostat.spec.tasks import Quantiles


class QuantilesKind(NumberKind[Quantiles]):
    """Of `Quantiles`."""

    def checked(self, predictions: Any, rows: int) -> Array:
        """`(rows, levels)` of finite numbers. Quantiles that cross are measured by crossing_rate, and no error."""
        return several_a_row(predictions, rows, self.task.columns, f"a number for each of {len(self.task.levels)} levels")

    def metric(self, name: str) -> Compute:  # noqa: D102
        levels = np.asarray(self.task.levels)
        if name == "mean_coverage_error":
            return lambda truth, found: float(np.abs((truth.labels[:, None] <= found).mean(axis=0) - levels).mean())
        if name == "crossing_rate":
            return lambda _, found: float((np.diff(found, axis=1) < 0).any(axis=1).mean())
        if name in ("mean_pinball_loss", "d2_pinball_score"):
            each = [_of_level(name, place, level) for place, level in enumerate(self.task.levels)]
            return lambda truth, found: float(np.mean([of_level(truth, found) for of_level in each]))
        level = float(name.rpartition("_")[2])
        place = [f"{each:g}" for each in self.task.levels].index(f"{level:g}")
        return _of_level("mean_pinball_loss", place, self.task.levels[place])


def _of_level(name: str, place: int, level: float) -> Compute:
    def compute(truth: Truth, found: Array) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(truth.labels, found[:, place], alpha=level))

    return compute
