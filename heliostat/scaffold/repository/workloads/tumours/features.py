"""From a row to the numbers that a model sees: the one piece of code for training and for serving."""

import numpy as np
from heliostat.ml.contracts import Columns
from numpy.typing import NDArray

INPUTS = ("mean_radius", "mean_texture", "mean_concavity")
LABEL = "malignant"


def transform(columns: Columns) -> NDArray[np.float64]:
    """The feature matrix (rows x INPUTS)."""
    return np.column_stack([columns[name] for name in INPUTS])
