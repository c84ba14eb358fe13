"""DLE, direct loss estimation: metrics of numbers without labels.

It learns from the reference how large the error of a row is. What it takes for granted is looked at, but for one thing: that
inputs mean what they meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from heliostat.monitoring.estimates import Estimate, Numbers, Precondition, overlapping, reference

_LOSSES: Final[Mapping[str, str]] = {
    "mean_absolute_error": "absolute",
    "mean_squared_error": "squared",
    "root_mean_squared_error": "squared",
}


class Dle:
    """Estimates metrics of numbers, of a reference whose labels are known.

    Args:
        features: `(rows, columns)` of numbers, categories as codes; NaN where one is missing.
        predictions: The model's, of rows that it was not trained on.
        labels: What was true.
        names: Of the columns.
        categorical: Which columns are categories.
    """

    def __init__(
        self,
        features: Numbers,
        predictions: Numbers,
        labels: Numbers,
        names: tuple[str, ...],
        categorical: tuple[int, ...] = (),
    ) -> None:
        self._names = names
        self._given, self._categorical = _with(features, predictions), categorical
        self._errors = labels - predictions
        self._about = reference(len(labels), "")
        self._models: dict[str, Any] = {}

    def estimate(self, metric: str, features: Numbers, predictions: Numbers) -> Estimate:
        """A metric of rows without labels: mean_absolute_error, mean_squared_error or root_mean_squared_error.

        Raises:
            KeyError: it is none of these.
        """
        loss = _LOSSES[metric]
        given = _with(features, predictions)
        conditions = [self._about]
        if self._about.holds and len(given):
            conditions.append(self._overlap(given))
        found = Estimate(metric=metric, rows=len(given), preconditions=tuple(conditions))
        if not found.trusted or not len(given):
            return found
        if loss not in self._models:
            from sklearn.ensemble import HistGradientBoostingRegressor

            target = np.abs(self._errors) if loss == "absolute" else self._errors**2
            model = HistGradientBoostingRegressor(categorical_features=list(self._categorical), random_state=0)
            self._models[loss] = model.fit(self._given, target)
        # An error is not below 0, and trees that are boosted may say so.
        value = float(np.clip(self._models[loss].predict(given), 0, None).mean())
        return found.model_copy(update={"value": value**0.5 if metric == "root_mean_squared_error" else value})

    def _overlap(self, given: Numbers) -> Precondition:
        """Whether the rows are like those of the reference, column by column; trees do not go on beyond what they saw."""
        worst, share = "", 0.0
        for place, name in enumerate((*self._names, "the prediction")):
            known, here = self._given[:, place], given[:, place]
            if place in self._categorical:
                outside = ~np.isin(here, known) & ~np.isnan(here)
            else:
                outside = (
                    (here < np.nanmin(known)) | (here > np.nanmax(known)) if not np.isnan(known).all() else ~np.isnan(here)
                )
            unseen = np.isnan(here) & (not np.isnan(known).any())
            if (here_share := float((outside | unseen).mean())) > share:
                worst, share = name, here_share
        return overlapping(share, worst)


def _with(features: Numbers, predictions: Numbers) -> Numbers:
    return np.column_stack([features, predictions])
