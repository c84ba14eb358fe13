"""Whether predictions are right on average: against labels, by their height, and by what is left over."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from heliostat.monitoring.intervals import Interval, normal, units, wilson
from heliostat.monitoring.sampling import Labelled, are_certain
from heliostat.monitoring.weighing import expanded
from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.tasks import Multiclass, Task

Numbers = NDArray[np.float64]
_BINS: Final = 10
_MOST_COPIES: Final = 1_000_000
"""Rows that weights are told by, where residuals are ordered."""
_LARGEST: Final = 1e150
"""Squares of larger numbers may have no finite sum."""
_LEVELS: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Bin(Model):
    """Rows whose predictions are next to each other."""

    rows: int
    predicted: float
    """Their mean prediction."""
    actual: float
    """Their mean label."""
    low: float | None = Field(default=None, exclude_if=is_none)
    high: float | None = Field(default=None, exclude_if=is_none)
    """Where the mean label may be by chance; of probabilities."""


class Bias(Model):
    """The mean prediction ÷ the mean label, and both by the height of the prediction."""

    rows: int
    mean_prediction: float | None = None
    mean_label: float | None = None
    ratio: Interval | None = None
    """None where the mean label is nothing against its own chance: a ratio to nothing says nothing."""
    difference: Interval | None = None
    """The mean prediction minus the mean label."""
    calibration_error: float | None = Field(default=None, exclude_if=is_none)
    """Expected: the mean distance of the bins' predictions from their labels; of probabilities."""
    calibration_noise: float | None = Field(default=None, exclude_if=is_none)
    """What that error is expected to be of probabilities that are right, by chance alone."""
    bins: tuple[Bin, ...] = ()
    reason: str = Field(default="", exclude_if=is_empty)
    """Why the ratio cannot be told."""
    weighed: bool = Field(default=False, exclude_if=is_empty)
    """Whether each row counts by one over the chance that it was chosen for review."""


class Residuals(Model):
    """What labels are beyond predictions."""

    rows: int
    mean: float | None = None
    deviation: float | None = None
    quantiles: dict[str, float] = Field(default_factory=dict)
    slope: float | None = None
    """How much a residual grows with the prediction, in units of it: away from 0 predictions are too near to their mean,
    or too far from it."""
    spread_ratio: float | None = None
    """The residuals' deviation where predictions are high ÷ where they are low: away from 1 errors grow with predictions."""

    @property
    def text(self) -> str:
        """In a sentence; empty where nothing is told."""
        if self.mean is None or self.deviation is None:
            return ""
        told = f"labels are {self.mean:+.4g} beyond predictions on average, with a deviation of {self.deviation:.4g}"
        if "0.05" in self.quantiles:
            told += f", and of 90 % between {self.quantiles['0.05']:+.4g} and {self.quantiles['0.95']:+.4g}"
        told += f"; a residual grows by {self.slope:+.3g} with each unit of the prediction" if self.slope is not None else ""
        if self.spread_ratio is not None:
            told += f"; where predictions are high they spread {self.spread_ratio:.3g} times as far as where they are low"
        return told


def bias(task: Task | None, labelled: Labelled, confidence: float) -> Bias:
    """How the mean prediction is beside the mean label; of several classes their probabilities of the true class."""
    predictions, labels = _numbers(task, labelled)
    rows = len(labels)
    if not rows:
        return Bias(rows=0, reason="there are no labels")
    if isinstance(task, Multiclass) and are_certain(labelled.predictions):
        return Bias(rows=rows, reason="answers name a class without its probability: there is none to hold beside the labels")
    if largest := _too_large(predictions, labels):
        return Bias(rows=rows, reason=f"numbers of up to {largest:.3g} are too large to be averaged")
    weights = labelled.weights if len(labelled.weights) else np.ones(rows)
    mean, truth = _average(predictions, weights), _average(labels, weights)
    difference = _mean(predictions - labels, weights, labelled.requests, confidence)
    ratio, reason = _ratio(predictions, labels, weights, labelled.requests, confidence)
    bins: tuple[Bin, ...] = ()
    error: float | None = None
    noise: float | None = None
    if _are_probabilities(task, predictions, labels):
        bins = _bins(predictions, labels, weights, confidence, probabilities=True)
        error, noise = expected_calibration_error(predictions, labels, weights), _noise(predictions, weights)
    elif predictions.ndim == 1:
        bins = _bins(predictions, labels, weights, confidence, probabilities=False)
    return Bias(
        rows=rows, mean_prediction=mean, mean_label=truth, ratio=ratio, difference=difference, calibration_error=error,
        calibration_noise=noise, bins=bins, reason=reason, weighed=len(labelled.weights) > 0,
    )  # fmt: skip


def residuals(labelled: Labelled) -> Residuals:
    """What is left over of numbers; of other predictions nothing is told."""
    if labelled.predictions.ndim != 1 or not len(labelled) or _too_large(labelled.predictions, labelled.labels):
        return Residuals(rows=0)
    rows = len(labelled)
    chosen = expanded(labelled.weights, max(rows, _MOST_COPIES)) if len(labelled.weights) else slice(None)
    predictions = labelled.predictions[chosen]
    left = labelled.labels[chosen] - predictions
    found = Residuals(
        rows=rows,
        mean=float(left.mean()),
        deviation=float(left.std()),
        quantiles={f"{level:g}": float(value) for level, value in zip(_LEVELS, np.quantile(left, _LEVELS), strict=True)},
    )
    middle = np.median(predictions)
    high, low = left[predictions > middle], left[predictions <= middle]
    if len(high) < 2 or len(low) < 2:
        return found
    centred = predictions - predictions.mean()
    slope = float(centred @ left / (centred @ centred))
    ratio = float(high.std() / low.std()) if low.std() > 0 else None
    return found.model_copy(update={"slope": slope, "spread_ratio": ratio})


def expected_calibration_error(predictions: Numbers, labels: Numbers, weights: Numbers | None = None) -> float:
    """The mean distance of predicted from actual shares over bins of as many rows each."""
    weights = np.ones(len(labels)) if weights is None else weights
    off = [abs(float(weights[rows] @ (predictions[rows] - labels[rows]))) for rows in _binned(predictions)]
    return float(sum(off) / weights.sum())


def _noise(predictions: Numbers, weights: Numbers) -> float:
    """The error's expectation where each probability is right: the mean of a half-normal in each bin."""
    variances = weights**2 * predictions * (1 - predictions)
    parts = [np.sqrt(2 / np.pi * variances[rows].sum()) for rows in _binned(predictions)]
    return float(sum(parts) / weights.sum())


def _binned(predictions: Numbers) -> list[Any]:
    """Rows in bins of about as many each, by their prediction; equal predictions stay together."""
    edges = np.unique(np.quantile(predictions, np.arange(1, _BINS) / _BINS))
    codes = np.searchsorted(edges, predictions, side="right")
    return [rows for rows in (np.flatnonzero(codes == code) for code in range(len(edges) + 1)) if len(rows)]


def _bins(predictions: Numbers, labels: Numbers, weights: Numbers, confidence: float, probabilities: bool) -> tuple[Bin, ...]:
    found = []
    for rows in _binned(predictions):
        own = weights[rows]
        predicted, actual = _average(predictions[rows], own), _average(labels[rows], own)
        telling = own.sum() ** 2 / (own**2).sum()  # as many rows of one weight would tell as much (Kish)
        low, high = wilson(actual, telling, confidence) if probabilities else (None, None)
        found.append(Bin(rows=len(rows), predicted=predicted, actual=actual, low=low, high=high))
    return tuple(found)


def _numbers(task: Task | None, labelled: Labelled) -> tuple[Numbers, Numbers]:
    """A number a row of both: of several classes the probability of the likeliest, and whether it was right."""
    if labelled.predictions.ndim == 1:
        return labelled.predictions, labelled.labels
    if isinstance(task, Multiclass):
        likeliest = labelled.predictions.argmax(axis=1)
        return labelled.predictions.max(axis=1), (likeliest == labelled.labels).astype(np.float64)
    middle = labelled.predictions.shape[1] // 2  # of quantiles, the one in the middle
    return labelled.predictions[:, middle], labelled.labels


def _are_probabilities(task: Task | None, predictions: Numbers, labels: Numbers) -> bool:
    if task is not None:
        return task.kind in ("binary", "multiclass")
    return bool(np.isin(labels, (0.0, 1.0)).all() and ((predictions >= 0) & (predictions <= 1)).all())


def _sums(values: Numbers, requests: NDArray[np.uint64]) -> Numbers:
    """The sum of each request's rows: these are independent, its rows are not."""
    order, starts, _ = units(requests)
    return np.asarray(np.add.reduceat(values[order], starts), dtype=np.float64)


def _error_of_sum(values: Numbers, requests: NDArray[np.uint64]) -> float:
    sums = _sums(values, requests)
    return float(np.sqrt(len(sums)) * sums.std(ddof=1)) if len(sums) > 1 else float("nan")


def _too_large(*numbers: Numbers) -> float:
    """The largest of the numbers, where the sum of their squares may be beyond a float; else 0."""
    largest = max(float(np.abs(each).max()) for each in numbers)
    return largest if largest > _LARGEST else 0.0


def _average(values: Numbers, weights: Numbers) -> float:
    return float(np.average(values, weights=weights))


def _mean(values: Numbers, weights: Numbers, requests: NDArray[np.uint64], confidence: float) -> Interval:
    """Hájek's estimate, with the variance of a ratio."""
    value, rows = _average(values, weights), len(values)
    half = normal(confidence) * _error_of_sum(weights * (values - value), requests) / float(weights.sum())
    return (
        Interval(value=value, rows=rows)
        if np.isnan(half)
        else Interval(value=value, low=value - half, high=value + half, rows=rows)
    )


def _ratio(
    predictions: Numbers, labels: Numbers, weights: Numbers, requests: NDArray[np.uint64], confidence: float
) -> tuple[Interval | None, str]:
    """The ratio of the means with Fieller's interval, which is right where the mean label is small as well."""
    rows, mean, truth = len(labels), _average(predictions, weights), _average(labels, weights)
    z, total = normal(confidence), float(weights.sum())
    error = _error_of_sum(weights * (labels - truth), requests) / total
    if np.isnan(error):
        return None, "a single request says nothing of chance"
    if abs(truth) <= z * error or truth == 0:
        return None, f"the mean label is {truth:.4g} ± {z * error:.4g}, which does not rule out 0: a ratio to it says nothing"
    ours = _error_of_sum(weights * (predictions - mean), requests) / total
    of_predictions, of_labels = _sums(weights * (predictions - mean), requests), _sums(weights * (labels - truth), requests)
    both = float(np.cov(of_predictions, of_labels)[0, 1]) * len(of_labels) / total**2
    # Those ratios r for which predictions - r · labels may be 0 on average: a quadratic in r.
    a, b, c = truth**2 - z**2 * error**2, mean * truth - z**2 * both, mean**2 - z**2 * ours**2
    root = float(np.sqrt(max(0.0, b * b - a * c)))
    return Interval(value=mean / truth, low=(b - root) / a, high=(b + root) / a, rows=rows), ""
