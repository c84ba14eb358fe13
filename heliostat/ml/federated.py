"""What a workload declares that is trained over sites: parameters as arrays, and what each site adds to them from its rows.

`workloads/<name>/federated.py` has an object of one of these classes as `FEDERATION`. The coordinator asks it for the first
parameters and has it make a model of the last; each site has it fit on its own table. Both run the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.federated.contributions import Arrays, Contribution, Layout, averaged, stepped
from heliostat.federated.exact import total
from heliostat.ml.arrays import ArrayModel
from heliostat.spec.base import Parameters
from heliostat.spec.federated import DifferentialPrivacy

__all__ = ["Arrays", "FederatedAveraging", "FederatedSums", "Fitted", "LeastSquares", "LogisticRegression", "train_here"]


@dataclass(frozen=True)
class Fitted:
    """What a site's fit ends with."""

    arrays: Arrays
    """The parameters, moved by the site's rows."""
    rows: int
    """That they were fitted on."""


class Federation(ABC):
    """The base of both: use FederatedAveraging or FederatedSums."""

    predictor: type[ArrayModel]
    """What the last parameters become: a class below `ArrayModel`, which is made of them."""
    metrics: tuple[str, ...] = ("loss",)
    """The names of what `evaluate` gives."""
    private: ClassVar[bool] = False
    """Whether what a site adds may be clipped, for privacy."""

    @abstractmethod
    def initial(self, parameters: Parameters) -> Arrays:
        """The parameters to begin with: float64 or float32, the same for the same `parameters`."""

    @abstractmethod
    def evaluate(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Mapping[str, float]:
        """The `metrics` of given parameters on a site's table, each a mean over its rows."""

    @abstractmethod
    def contribution(
        self, table: pa.Table, arrays: Arrays, parameters: Parameters, round_: int, privacy: DifferentialPrivacy | None = None
    ) -> Contribution:
        """What a site adds to a round."""

    @abstractmethod
    def combined(self, arrays: Arrays, sums: Arrays, weight: float, parameters: Parameters) -> Arrays:
        """The parameters after a round."""

    @abstractmethod
    def layout(self, arrays: Arrays) -> Layout:
        """The shapes of what sites add, and the metrics."""


class FederatedAveraging(Federation):
    """Each site moves the parameters by its own rows; the mean by rows is the next round's (McMahan et al. 2017).

    For whatever is trained by steps: networks, linear models, factorisations.
    """

    private = True

    @abstractmethod
    def fit(self, table: pa.Table, arrays: Arrays, parameters: Parameters, round_: int) -> Fitted:
        """Fit on a site's table, beginning with given parameters.

        Args:
            table: The site's rows, as they lie there.
            arrays: The parameters to begin with; not to be changed.
            parameters: Those of the training.
            round_: From 1.
        """

    def contribution(
        self, table: pa.Table, arrays: Arrays, parameters: Parameters, round_: int, privacy: DifferentialPrivacy | None = None
    ) -> Contribution:
        """How far the site moved the parameters, and how they did before on its rows."""
        metrics = {} if privacy is not None else dict(self.evaluate(table, arrays, parameters))
        fitted = self.fit(table, arrays, parameters, round_)
        sums, weight = averaged(arrays, fitted.arrays, fitted.rows, privacy)
        return Contribution(sums, weight, fitted.rows, metrics)

    def combined(self, arrays: Arrays, sums: Arrays, weight: float, parameters: Parameters) -> Arrays:
        """The mean of the sites' parameters, by their rows."""
        return stepped(arrays, sums, weight)

    def layout(self, arrays: Arrays) -> Layout:
        """That of the parameters."""
        return Layout({name: np.shape(array) for name, array in arrays.items()}, self.metrics)


class FederatedSums(Federation):
    """Sites add up statistics of their rows, and the next parameters are computed of the sums: what one table would give."""

    @abstractmethod
    def sums(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Arrays:
        """A site's statistics: sums over its rows."""

    @abstractmethod
    def shapes(self, arrays: Arrays) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the statistics."""

    def contribution(
        self, table: pa.Table, arrays: Arrays, parameters: Parameters, round_: int, privacy: DifferentialPrivacy | None = None
    ) -> Contribution:
        """The statistics of the site's table.

        Raises:
            ValueError: privacy is asked for, and these have no bound that a site's rows could be cut to.
        """
        if privacy is not None:
            raise ValueError(f"{type(self).__name__} adds sums that cannot be clipped: privacy needs a FederatedAveraging")
        metrics = dict(self.evaluate(table, arrays, parameters))
        return Contribution(self.sums(table, arrays, parameters), float(len(table)), len(table), metrics)

    def layout(self, arrays: Arrays) -> Layout:
        """That of the statistics."""
        return Layout(dict(self.shapes(arrays)), self.metrics)


Matrix = NDArray[np.float64]
Features = Callable[[pa.Table], Matrix]
"""`(rows, columns)` of a table's rows, without a column of ones."""
Target = Callable[[pa.Table], Matrix]
"""`(rows,)`"""


class _Linear(FederatedSums):
    """Weights of features and an intercept, last, as the array `weights`."""

    def __init__(
        self, predictor: type[ArrayModel], features: Features, target: Target, columns: int, *, l2: float = 0.0
    ) -> None:
        self.predictor, self._features, self._target, self._columns = predictor, features, target, columns
        # The intercept is not held back.
        self._penalty = l2 * np.diag([*[1.0] * columns, 0.0])

    def initial(self, parameters: Parameters) -> Arrays:
        """Zeros."""
        return {"weights": np.zeros(self._columns + 1)}

    def _read(self, table: pa.Table) -> tuple[Matrix, Matrix]:
        features, target = np.asarray(self._features(table), np.float64), np.asarray(self._target(table), np.float64)
        if features.shape != (len(table), self._columns):
            raise ValueError(f"features have the shape {features.shape}: {(len(table), self._columns)} is declared")
        return np.column_stack([features, np.ones(len(table))]), target


class LeastSquares(_Linear):
    """Linear regression, with a ridge of `l2`: one round gives what all rows in one table would.

    Args:
        predictor: A class below `ArrayModel`; it finds the weights, the intercept last, as `arrays["weights"]`.
        features: Makes the matrix of a table, `(rows, columns)`.
        target: Makes what is predicted of it, `(rows,)`.
        columns: How many features there are.
        l2: Penalty on the squares of the weights, on sums over rows; not on the intercept.
    """

    metrics = ("mse",)

    def evaluate(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Mapping[str, float]:
        """The mean squared error."""
        features, target = self._read(table)
        return {"mse": float(np.mean((features @ arrays["weights"] - target) ** 2))}

    def sums(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Arrays:
        """X'X and X'y."""
        features, target = self._read(table)
        return {"gram": features.T @ features, "moment": features.T @ target}

    def shapes(self, arrays: Arrays) -> Mapping[str, tuple[int, ...]]:
        """Of both."""
        size = self._columns + 1
        return {"gram": (size, size), "moment": (size,)}

    def combined(self, arrays: Arrays, sums: Arrays, weight: float, parameters: Parameters) -> Arrays:
        """The solution of the normal equations; the shortest where there are several."""
        return {"weights": np.linalg.lstsq(sums["gram"] + self._penalty, sums["moment"], rcond=None)[0]}


class LogisticRegression(_Linear):
    """Logistic regression by Newton's steps, a round each: what all rows in one table would give, in some six rounds.

    Arguments are those of LeastSquares; the target is 0 or 1. With classes that a line separates, give an `l2` above 0.
    """

    def evaluate(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Mapping[str, float]:
        """The mean cross entropy."""
        features, target = self._read(table)
        logits = features @ arrays["weights"]
        return {"loss": float(np.mean(np.logaddexp(0.0, logits) - target * logits))}

    def sums(self, table: pa.Table, arrays: Arrays, parameters: Parameters) -> Arrays:
        """Gradient and Hessian at the given weights."""
        features, target = self._read(table)
        probability = 0.5 * (1.0 + np.tanh(0.5 * (features @ arrays["weights"])))
        curvature = features.T @ (features * (probability * (1 - probability))[:, None])
        return {"gradient": features.T @ (probability - target), "hessian": curvature}

    def shapes(self, arrays: Arrays) -> Mapping[str, tuple[int, ...]]:
        """Of both."""
        size = self._columns + 1
        return {"gradient": (size,), "hessian": (size, size)}

    def combined(self, arrays: Arrays, sums: Arrays, weight: float, parameters: Parameters) -> Arrays:
        """One step of Newton's."""
        slope = sums["gradient"] + self._penalty @ arrays["weights"]
        step = np.linalg.lstsq(sums["hessian"] + self._penalty, slope, rcond=None)[0]
        return {"weights": arrays["weights"] - step}


def train_here(
    federation: Federation, tables: Mapping[str, pa.Table], rounds: int, parameters: Parameters | None = None
) -> dict[str, NDArray[Any]]:
    """Do in this process what a federation does over sites: the same arithmetic, for tests and to try out.

    Args:
        federation: The workload's.
        tables: The sites' rows, by site.
        rounds: How many.
        parameters: Those of the training.
    """
    given = parameters or {}
    arrays = federation.initial(given)
    layout = federation.layout(arrays)
    for round_ in range(1, rounds + 1):
        vectors = [layout.vector(federation.contribution(table, arrays, given, round_)) for table in tables.values()]
        sums, weight, _ = layout.read(total(vectors))
        arrays = federation.combined(arrays, sums, weight, given)
    return dict(arrays)
