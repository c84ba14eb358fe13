"""CBPE, confidence-based performance estimation: metrics of classes without labels.

It takes a calibrated probability at its word: of rows at .8 four of five are right. What it takes for granted is looked at,
but for one thing: that inputs mean what they meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.monitoring.bias import expected_calibration_error
from heliostat.monitoring.estimates import Estimate, Numbers, Precondition, outside, reference

_FOLDS: Final = 5
_MOST_ERROR: Final = 0.03
"""How far calibrated probabilities may be off on average, on rows that the calibration did not see."""


class Cbpe:
    """Estimates metrics of yes and no, of a reference whose labels are known.

    Args:
        probabilities: The model's, of rows that it was not trained on.
        labels: 0 and 1.
    """

    def __init__(self, probabilities: Numbers, labels: Numbers) -> None:
        self._range = (float(probabilities.min()), float(probabilities.max())) if len(labels) else (0.0, 1.0)
        self._about = reference(len(labels), "labels of one kind alone" if len(np.unique(labels)) < 2 else "")
        self._calibrate: Callable[[Numbers], Numbers] = lambda given: given
        if self._about.holds:
            self._calibrate, self._about_calibration = _calibrated(probabilities, labels)
        else:
            self._about_calibration = self._about

    def estimate(self, metric: str, probabilities: Numbers) -> Estimate:
        """A metric of rows without labels: roc_auc, accuracy, precision, recall or f1, classes told from .5 on.

        Raises:
            KeyError: it is none of these.
        """
        compute = _OF_PROBABILITIES[metric]
        overlap = outside(probabilities, self._range, "predictions")
        conditions = (self._about, self._about_calibration, overlap) if self._about.holds else (self._about,)
        found = Estimate(metric=metric, rows=len(probabilities), preconditions=conditions)
        if not found.trusted or not len(probabilities):
            return found
        value = compute(self._calibrate(probabilities), probabilities)
        return found.model_copy(update={"value": None if np.isnan(value) else value})


class CbpeOfClasses:
    """Estimates metrics of one of several classes: each class's probability is calibrated by itself, then all to 1.

    Args:
        probabilities: The model's, `(rows, classes)`, of rows that it was not trained on.
        labels: The classes' places.
    """

    def __init__(self, probabilities: Numbers, labels: Numbers) -> None:
        self._about = reference(len(labels), "labels of one kind alone" if len(np.unique(labels)) < 2 else "")
        self._each: list[Callable[[Numbers], Numbers]] = []
        self._conditions = [self._about]
        self._ranges: list[tuple[float, float]] = []
        for place in range(probabilities.shape[1]) if self._about.holds else ():
            column = probabilities[:, place]
            calibrate, condition = _calibrated(column, (labels == place).astype(np.float64))
            self._each.append(calibrate)
            self._ranges.append((float(column.min()), float(column.max())))
            if not condition.holds:
                self._conditions.append(condition.model_copy(update={"text": f"class {place}: {condition.text}"}))

    def estimate(self, metric: str, probabilities: Numbers) -> Estimate:
        """A metric of rows without labels: accuracy or f1_macro.

        Raises:
            KeyError: it is neither.
        """
        conditions = list(self._conditions)
        for place, known in enumerate(self._ranges):
            condition = outside(probabilities[:, place], known, f"probabilities of class {place}")
            conditions += [] if condition.holds else [condition]
        found = Estimate(metric=metric, rows=len(probabilities), preconditions=tuple(conditions))
        if not found.trusted or not len(probabilities):
            return found
        calibrated = np.stack([each(probabilities[:, place]) for place, each in enumerate(self._each)], axis=1)
        total = calibrated.sum(axis=1, keepdims=True)
        calibrated = np.divide(calibrated, total, out=probabilities.copy(), where=total > 0)
        return found.model_copy(update={"value": _of_classes(metric, calibrated, probabilities.argmax(axis=1))})


def _of_classes(metric: str, calibrated: Numbers, told: NDArray[np.int64]) -> float:
    """The metric of several classes, of their probabilities `(rows, classes)` and the class that each row was given."""
    rows, classes = calibrated.shape
    right = np.bincount(told, calibrated[np.arange(rows), told], minlength=classes)
    predicted, expected = np.bincount(told, minlength=classes), calibrated.sum(axis=0)
    f1 = np.divide(2 * right, predicted + expected, out=np.zeros(classes), where=predicted + expected > 0)
    return float({"accuracy": right.sum() / rows, "f1_macro": f1.mean()}[metric])


def _calibrated(probabilities: Numbers, labels: Numbers) -> tuple[Callable[[Numbers], Numbers], Precondition]:
    """What makes probabilities right, or leaves them where they are; and how far off they are on rows it did not see."""
    from sklearn.isotonic import IsotonicRegression

    def fitted(rows: NDArray[np.bool_]) -> Any:
        return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probabilities[rows], labels[rows])

    before = expected_calibration_error(probabilities, labels)
    fold = np.random.default_rng(0).integers(0, _FOLDS, len(labels))
    calibrated = np.empty(len(labels))
    for number in range(_FOLDS):
        calibrated[fold == number] = fitted(fold != number).predict(probabilities[fold == number])
    after = expected_calibration_error(calibrated, labels)
    error = min(before, after)
    is_needed = after < before
    text = (
        f"probabilities are {error:.3f} off on average, {'calibrated' if is_needed else 'as they are'}; at most {_MOST_ERROR}"
    )
    condition = Precondition(name="calibration", holds=error <= _MOST_ERROR, text=text)
    if not is_needed:
        return lambda given: np.clip(given, 0, 1), condition
    whole = fitted(np.ones(len(labels), dtype=bool))
    return lambda given: np.asarray(whole.predict(given), dtype=np.float64), condition


def _auc(calibrated: Numbers, scores: Numbers) -> float:
    """The expected share of pairs in the right order, in which a row is both of a kind in part."""
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    ones = np.add.reduceat(calibrated[order], starts)
    zeros = np.add.reduceat(1 - calibrated[order], starts)
    below = np.cumsum(zeros) - zeros
    pairs = ones.sum() * zeros.sum()
    return float((ones * (below + zeros / 2)).sum() / pairs) if pairs else float("nan")


def _counts(calibrated: Numbers, scores: Numbers) -> tuple[float, float, float, float]:
    """Expected true and false positives, false and true negatives."""
    told = scores >= 0.5
    return (
        float(calibrated[told].sum()),
        float((1 - calibrated[told]).sum()),
        float(calibrated[~told].sum()),
        float((1 - calibrated[~told]).sum()),
    )


def _accuracy(calibrated: Numbers, scores: Numbers) -> float:
    hit, _, _, right = _counts(calibrated, scores)
    return (hit + right) / len(scores)


def _precision(calibrated: Numbers, scores: Numbers) -> float:
    hit, false, _, _ = _counts(calibrated, scores)
    return hit / (hit + false) if hit + false else float("nan")


def _recall(calibrated: Numbers, scores: Numbers) -> float:
    hit, _, missed, _ = _counts(calibrated, scores)
    return hit / (hit + missed) if hit + missed else float("nan")


def _f1(calibrated: Numbers, scores: Numbers) -> float:
    hit, false, missed, _ = _counts(calibrated, scores)
    return 2 * hit / (2 * hit + false + missed) if hit + false + missed else float("nan")


_OF_PROBABILITIES: Final[Mapping[str, Callable[[Numbers, Numbers], float]]] = {
    "roc_auc": _auc,
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
}
