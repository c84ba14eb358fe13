"""How the demand model answers: with NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.arrays import ArrayModel
from heliostat.ml.contracts import Columns
from workloads.demand.features import transform


class Model(ArrayModel):
    """The coefficients of the logarithm of a rate."""

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """Departures in an hour, on average."""
        return np.asarray(np.exp(transform(columns) @ self.arrays["coefficients"] + self.arrays["intercept"]))
