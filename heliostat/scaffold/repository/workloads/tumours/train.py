"""The training. Only it imports scikit-learn: what it fits is kept as arrays."""

import numpy as np
from heliostat.ml.in_memory import training
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workloads.tumours.features import transform
from workloads.tumours.parameters import Training
from workloads.tumours.predictor import Model


def fit(features: NDArray[np.float64], labels: NDArray[np.float64], parameters: Training) -> Model:
    """The model of rows and their labels."""
    fitted = LogisticRegression(C=1 / parameters.regularization, solver="newton-cholesky").fit(features, labels)
    return Model({"weights": fitted.coef_[0], "intercept": fitted.intercept_})


train = training(fit, transform, Training)
