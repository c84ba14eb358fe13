"""How the digits network is trained over sites: each takes a few steps on its own images, and their mean goes round."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from heliostat.ml.contracts import columns_of
from heliostat.ml.extras import require
from heliostat.ml.federated import Arrays, FederatedAveraging, Fitted
from heliostat.spec.base import Parameters
from workloads.digits.model import begun, probabilities
from workloads.digits.parameters import Training
from workloads.digits.predictor import Model, images_of

require("jax", extra="jax")

_SITE_ROWS = 32
"""Of a site's batches: its own images are fewer than those of all."""
_RATE = 0.5
"""Of the rate of a training on all images: sites that go far in a round come back to no common network."""


class Digits(FederatedAveraging):
    """One pass over a site's images a round."""

    predictor = Model
    metrics = ("loss", "accuracy")

    def initial(self, parameters: Parameters) -> Arrays:
        """The weights of the seed."""
        return begun(Training.model_validate(parameters).seed)

    def fit(self, table: pa.Table, arrays: Arrays, parameters: Parameters, round_: int) -> Fitted:
        """A pass over the site's images, in an order of the round's own."""
        from workloads.digits.steps import step

        given = Training.model_validate(parameters)
        columns = columns_of(table)
        images, labels = images_of(columns), np.asarray(columns["digit"], np.int32)
        order = np.random.default_rng((given.seed, round_)).permutation(len(labels))
        weights, velocity = dict(arrays), {name: np.zeros_like(array) for name, array in arrays.items()}
        size = min(_SITE_ROWS, len(order))
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            weights, velocity, _ = step(
                weights, velocity, images[rows], labels[rows], given.learning_rate * _RATE, given.momentum
            )
        return Fitted({name: np.asarray(array) for name, array in weights.items()}, len(labels))

    def evaluate(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Mapping[str, float]:
        """Mean cross entropy, and the share of digits that are read right."""
        columns = columns_of(table)
        found = probabilities(np, arrays, images_of(columns))
        labels = np.asarray(columns["digit"], np.int64)
        right = found[np.arange(len(labels)), labels]
        return {
            "loss": float(-np.mean(np.log(np.maximum(right, 1e-12)))),
            "accuracy": float(np.mean(np.argmax(found, axis=1) == labels)),
        }


FEDERATION = Digits()
