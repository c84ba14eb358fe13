"""How the flights workload's models answer: the gradient-boosted trees, and the baseline that they must beat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.contracts import Columns
from heliostat.ml.frameworks.lightgbm.booster import Booster
from workloads.flights import domain
from workloads.flights.features import FEATURES, transform

MODEL_FILE = "model.txt"
FORM_FILE = "form.json"
BASELINE_FILE = "rates.json"
_DAY = 86_400
_PRIOR_ROWS = 50.0
"""A cell of the baseline counts as if it had seen this many flights more, late as often as all."""


def form() -> dict[str, list[str]]:
    """What a saved model must have been trained with for this code to feed it."""
    return {
        "features": list(FEATURES),
        "carriers": list(domain.CARRIERS),
        "origins": list(domain.ORIGINS),
        "destinations": list(domain.DESTINATIONS),
    }


class FlightsPredictor:
    """LightGBM's probability that a flight arrives late."""

    def __init__(self, booster: Booster) -> None:
        self._booster = booster

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model in `directory`.

        Raises:
            ValueError: it was trained with other features or another domain than this code has.
        """
        saved, ours = json.loads((directory / FORM_FILE).read_text()), form()
        if different := [name for name in sorted(saved.keys() | ours) if saved.get(name) != ours.get(name)]:
            raise ValueError(
                f"the model was trained with other {', '.join(different)} than this code knows, and would misread its input; "
                "serve it with the code of its own commit, or train it again"
            )
        return cls(Booster(directory / MODEL_FILE))

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """Probabilities, from 0 to 1."""
        return self._booster.predict(transform(columns))


class RateByCarrierAndHour:
    """The baseline: how often the carrier's flights of that hour of departure were late."""

    def __init__(self, rates: dict[str, list[float]]) -> None:
        self._rates = rates

    @classmethod
    def fit(cls, columns: Columns, late: NDArray[np.float64]) -> Self:
        """Rates of the training data, drawn to the overall rate where there are few flights."""
        carriers, hours, overall = np.asarray(columns["carrier"]), _hours(columns), float(late.mean())
        rates = {}
        for carrier in domain.CARRIERS:
            mine = carriers == carrier
            flights = np.bincount(hours[mine], minlength=24)
            delayed = np.bincount(hours[mine], late[mine], 24)
            rates[carrier] = [float(rate) for rate in (delayed + _PRIOR_ROWS * overall) / (flights + _PRIOR_ROWS)]
        return cls(rates)

    def save(self, directory: Path) -> None:
        """Write what `load` reads."""
        (directory / BASELINE_FILE).write_text(json.dumps(self._rates))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The baseline in `directory`."""
        return cls(json.loads((directory / BASELINE_FILE).read_text()))

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """Probabilities, from 0 to 1."""
        hours = _hours(columns)
        return np.array([self._rates[carrier][hour] for carrier, hour in zip(columns["carrier"], hours, strict=True)])


def _hours(columns: Columns) -> NDArray[np.int64]:
    return np.asarray(columns["scheduled_departure"], dtype=np.int64) % _DAY // 3600
