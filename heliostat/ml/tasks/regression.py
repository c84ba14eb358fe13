"""A number, and so is the prediction; a forecast is measured alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np

from heliostat.ml.tasks.base import Array, Kind, Truth, one_a_row, sklearn
from heliostat.ml.tasks.binary import mean_bias
from heliostat.spec.task_kind import TaskKind
from heliostat.spec.tasks import Regression

N = TypeVar("N", bound=TaskKind)


class NumberKind(Kind[N]):
    """Of tasks whose prediction is one number a row."""

    compute: ClassVar[dict[str, Callable[..., float]]] = {
        "r2": sklearn("r2_score"),
        "mean_bias": mean_bias,
        "root_mean_squared_error": lambda truth, found: float(np.sqrt(np.mean((found - truth.labels) ** 2))),
        "mean_absolute_error": lambda truth, found: float(np.mean(np.abs(found - truth.labels))),
        "mean_squared_error": lambda truth, found: float(np.mean((found - truth.labels) ** 2)),
        "median_absolute_error": lambda truth, found: float(np.median(np.abs(found - truth.labels))),
        "mean_absolute_percentage_error": sklearn("mean_absolute_percentage_error"),
    }

    def checked(self, predictions: Any, rows: int) -> Array:  # noqa: D102
        return one_a_row(predictions, rows)

    def statistics(self, truth: Truth) -> dict[str, Any]:  # noqa: D102
        if not len(truth.labels):
            return {}
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        found = np.quantile(truth.labels, levels)
        return {"quantiles": {f"{level:g}": float(value) for level, value in zip(levels, found, strict=True)}}


class RegressionKind(NumberKind[Regression]):
    """Of `Regression`."""
