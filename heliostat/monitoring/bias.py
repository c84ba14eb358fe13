"""Whether predictions are right on average: against labels, by their height, and by what is left over."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from heliostat.monitoring.intervals import Interval, normal, units, wilson
from heliostat.monitoring.sampling import Labelled, are_certain
from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.tasks import Multiclass, Task

Numbers = NDArray[np.float64]
_BINS: Final = 10
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


def bias(task: Task | None, labelled: Labelled, confidence: float) -> Bias:
    """How the mean prediction is beside the mean label; of several classes their probabilities of the true class."""
    predictions, labels = _numbers(task, labelled)
    rows = len(labels)
    if not rows:
        return Bias(rows=0, reason="there are no labels")
    if isinstance(task, Multiclass) and are_certain(labelled.predictions):
        return Bias(rows=rows, reason="answers name a class without its probability: there is none to hold beside the labels")
    mean, truth = float(predictions.mean()), float(labels.mean())
    difference = _mean(predictions - labels, labelled.requests, confidence)
    ratio, reason = _ratio(predictions, labels, labelled.requests, confidence)
    bins: tuple[Bin, ...] = ()
    error: float | None = None
    noise: float | None = None
    if _are_probabilities(task, predictions, labels):
        bins = _bins(predictions, labels, confidence, probabilities=True)
        error, noise = expected_calibration_error(predictions, labels), _noise(predictions)
    elif predictions.ndim == 1:
        bins = _bins(predictions, labels, confidence, probabilities=False)
    return Bias(
        rows=rows, mean_prediction=mean, mean_label=truth, ratio=ratio, difference=difference, calibration_error=error,
        calibration_noise=noise, bins=bins, reason=reason,
    )  # fmt: skip


def residuals(labelled: Labelled) -> Residuals:
    """What is left over of numbers; of other predictions nothing is told."""
    if labelled.predictions.ndim != 1 or not len(labelled):
        return Residuals(rows=0)
    left = labelled.labels - labelled.predictions
    found = Residuals(
        rows=len(left),
        mean=float(left.mean()),
        deviation=float(left.std()),
        quantiles={f"{level:g}": float(value) for level, value in zip(_LEVELS, np.quantile(left, _LEVELS), strict=True)},
    )
    middle = np.median(labelled.predictions)
    high, low = left[labelled.predictions > middle], left[labelled.predictions <= middle]
    if len(high) < 2 or len(low) < 2:
        return found
    centred = labelled.predictions - labelled.predictions.mean()
    slope = float(centred @ left / (centred @ centred))
    ratio = float(high.std() / low.std()) if low.std() > 0 else None
    return found.model_copy(update={"slope": slope, "spread_ratio": ratio})


def expected_calibration_error(predictions: Numbers, labels: Numbers) -> float:
    """The mean distance of predicted from actual shares over bins of as many rows each."""
    return float(
        sum(len(rows) * abs(predictions[rows].mean() - labels[rows].mean()) for rows in _binned(predictions)) / len(labels)
    )


def _noise(predictions: Numbers) -> float:
    """The error's expectation where each probability is right: the mean of a half-normal in each bin."""
    parts = [np.sqrt(2 / np.pi * (predictions[rows] * (1 - predictions[rows])).sum()) for rows in _binned(predictions)]
    return float(sum(parts) / len(predictions))


def _binned(predictions: Numbers) -> list[Any]:
    """Rows in bins of about as many each, by their prediction; equal predictions stay together."""
    edges = np.unique(np.quantile(predictions, np.arange(1, _BINS) / _BINS))
    codes = np.searchsorted(edges, predictions, side="right")
    return [rows for rows in (np.flatnonzero(codes == code) for code in range(len(edges) + 1)) if len(rows)]


def _bins(predictions: Numbers, labels: Numbers, confidence: float, probabilities: bool) -> tuple[Bin, ...]:
    found = []
    for rows in _binned(predictions):
        actual = float(labels[rows].mean())
        low, high = wilson(actual, len(rows), confidence) if probabilities else (None, None)
        found.append(Bin(rows=len(rows), predicted=float(predictions[rows].mean()), actual=actual, low=low, high=high))
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


def _mean(values: Numbers, requests: NDArray[np.uint64], confidence: float) -> Interval:
    value, rows = float(values.mean()), len(values)
    half = normal(confidence) * _error_of_sum(values - value, requests) / rows
    return (
        Interval(value=value, rows=rows)
        if np.isnan(half)
        else Interval(value=value, low=value - half, high=value + half, rows=rows)
    )


def _ratio(
    predictions: Numbers, labels: Numbers, requests: NDArray[np.uint64], confidence: float
) -> tuple[Interval | None, str]:
    """The ratio of the means with Fieller's interval, which is right where the mean label is small as well."""
    rows, mean, truth = len(labels), float(predictions.mean()), float(labels.mean())
    z = normal(confidence)
    error = _error_of_sum(labels - truth, requests) / rows
    if np.isnan(error):
        return None, "a single request says nothing of chance"
    if abs(truth) <= z * error or truth == 0:
        return None, f"the mean label {truth:.4g} may be 0 by chance: a ratio to it says nothing"
    ours = _error_of_sum(predictions - mean, requests) / rows
    both = float(np.cov(_sums(predictions - mean, requests), _sums(labels - truth, requests))[0, 1])
    both *= len(np.unique(requests)) / rows**2
    # Those ratios r for which predictions - r · labels may be 0 on average: a quadratic in r.
    a, b, c = truth**2 - z**2 * error**2, mean * truth - z**2 * both, mean**2 - z**2 * ours**2
    root = float(np.sqrt(max(0.0, b * b - a * c)))
    return Interval(value=mean / truth, low=(b - root) / a, high=(b + root) / a, rows=rows), ""
