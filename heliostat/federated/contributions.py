"""What a site adds to a round, as one vector of doubles, and what the sum of all of them means.

The vector has the summed arrays, the weight that they are divided by, and each metric times the rows that it was measured on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliostat.federated import exact
from heliostat.spec.federated import DifferentialPrivacy

Arrays = Mapping[str, NDArray[Any]]
"""Parameters or sums, by name."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Contribution:
    """A site's part of one round."""

    sums: Arrays
    """Arrays that are summed over the sites."""
    weight: float
    """What they weigh together; the sums are divided by the sites' weights."""
    rows: int
    metrics: Mapping[str, float]
    """Means over the rows."""


@dataclass(frozen=True)
class Layout:
    """The order in which a vector holds a contribution."""

    shapes: Mapping[str, tuple[int, ...]]
    metrics: tuple[str, ...]

    @property
    def values(self) -> int:
        """How many numbers the arrays have together."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def size(self) -> int:
        """Of a vector."""
        return self.values + 1 + len(self.metrics)

    def vector(self, contribution: Contribution) -> Vector:
        """Write a contribution as a vector.

        Raises:
            ValueError: an array or a metric is missing, is one too many, or has another shape; with all of them.
        """
        if mistakes := list(self.mistakes(contribution)):
            raise ValueError("; ".join(mistakes))
        flat = [np.asarray(contribution.sums[name], np.float64).ravel() for name in self.shapes]
        metrics = [contribution.metrics[name] * contribution.rows for name in self.metrics]
        return np.concatenate([*flat, np.array([contribution.weight, *metrics], np.float64)])

    def mistakes(self, contribution: Contribution) -> Iterable[str]:
        """What does not fit in a contribution, each with its path."""
        for name in sorted(self.shapes.keys() | contribution.sums.keys()):
            if name not in contribution.sums:
                yield f"arrays.{name}: it is missing"
            elif name not in self.shapes:
                yield f"arrays.{name}: the training has no such array (it has {', '.join(self.shapes)})"
            elif np.shape(contribution.sums[name]) != self.shapes[name]:
                shape = np.shape(contribution.sums[name])
                yield f"arrays.{name}: its shape is {list(shape)}, and {list(self.shapes[name])} is asked for"
        for name in sorted({*self.metrics} ^ contribution.metrics.keys()):
            what = "it is missing" if name in self.metrics else "the training has no such metric"
            yield f"metrics.{name}: {what}"

    def read(self, vector: Vector) -> tuple[dict[str, NDArray[np.float64]], float, dict[str, float]]:
        """The arrays, the weight and each metric's sum that a vector holds."""
        arrays, start = {}, 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            arrays[name] = vector[start:end].reshape(shape)
            start = end
        return arrays, float(vector[start]), dict(zip(self.metrics, map(float, vector[start + 1 :]), strict=True))

    def faults(self, vector: Vector, max_norm: float) -> Iterable[str]:
        """Why a vector must not be summed, each with its path; nothing where it may."""
        arrays, weight, metrics = self.read(vector)
        found = [text for name, array in arrays.items() for text in _unsummable(f"arrays.{name}", array)]
        found += [text for name, value in metrics.items() for text in _unsummable(f"metrics.{name}", np.array(value))]
        if not 0 < weight <= exact.LARGEST:
            found.append(f"weight: {weight:g} is not between 0 and {exact.LARGEST:g}")
        yield from found
        if found:
            return
        norm = norm_of(arrays) / weight
        if norm > max_norm:
            yield f"arrays: their L2 norm is {norm:g}, and maxNorm is {max_norm:g}"


def _unsummable(path: str, array: NDArray[np.float64]) -> Iterable[str]:
    wrong = ~np.isfinite(array)
    if wrong.any():
        yield f"{path}{_index(wrong)}: it is not finite"
    elif (large := np.abs(array) > exact.LARGEST).any():
        yield f"{path}{_index(large)}: it is larger than {exact.LARGEST:g}"


def _index(wrong: NDArray[np.bool_]) -> str:
    return "".join(f"[{place}]" for place in np.argwhere(wrong)[0])


def norm_of(arrays: Arrays) -> float:
    """The L2 norm of all values together."""
    return math.sqrt(sum(float(np.sum(np.square(np.asarray(array, np.float64)))) for array in arrays.values()))


def averaged(
    before: Arrays, after: Arrays, rows: int, privacy: DifferentialPrivacy | None = None
) -> tuple[dict[str, Any], float]:
    """What a site adds to a federated average: how far it moved each array times its rows, and the rows.

    With privacy how far it moved is clipped, and each site weighs 1: what one site can move has a bound.
    """
    moved = {name: np.asarray(after[name], np.float64) - np.asarray(before[name], np.float64) for name in before}
    if privacy is None:
        return {name: array * rows for name, array in moved.items()}, float(rows)
    norm = norm_of(moved)
    cut = min(1.0, privacy.clip / norm) if norm else 1.0
    return {name: array * cut for name, array in moved.items()}, 1.0


def stepped(before: Arrays, sums: Arrays, weight: float) -> dict[str, NDArray[Any]]:
    """The parameters moved by the mean of the sites' updates, in the types that they have."""
    return {
        name: (np.asarray(array, np.float64) + sums[name] / weight).astype(np.asarray(array).dtype)
        for name, array in before.items()
    }
