"""Checks that compare numbers of answers: distances between their distributions, and the model's own metric.

A row that what serves answers with a number, and the candidate does not, is part of every figure: a candidate gets no better
by leaving out what is hard.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import numpy as np

from heliostat.analysis.answers import MISSING, Pair, no_number, number_of, row_of, value_of
from heliostat.analysis.distances import DISTANCES
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.reservoir import Reservoir
from heliostat.spec.analysis import NUMBER_METRICS, Measurement, ModelMetric, PredictionDistance, Verdict

NO_SERVING: Final = "no answer of what serves to compare with"
MOST_UNANSWERED: Final = 0.01
"""Share of the rows that the candidate may leave without a number, where what serves has one and a figure has no place for
them. A single row is always let through: a connection may break."""
_GROWTH: Final = 1.01
"""A figure is made anew when there are so many times as many rows."""
_EXACT_ROWS: Final = 20_000
"""Up to so many, it is made anew when no more come, too: sorting more takes a moment that requests wait."""

_Made = TypeVar("_Made")


class _Seldom(Generic[_Made]):
    """What takes a while to compute, and changes little from one row to the next."""

    def __init__(self, compute: Callable[[], _Made]) -> None:
        self._compute = compute
        self._known: tuple[int, _Made] | None = None
        self._last = 0
        """Rows at the last look."""

    def at(self, rows: int) -> _Made:
        """Of about so many rows."""
        settled, self._last = rows == self._last, rows
        if self._known is None or self._is_old(self._known[0], rows, settled):
            self._known = (rows, self._compute())
        return self._known[1]

    def _is_old(self, known: int, rows: int, settled: bool) -> bool:
        return rows > known * _GROWTH or (settled and rows != known and rows <= _EXACT_ROWS)


class Distances:
    """Keeps both versions' values of a field."""

    def __init__(self, check: PredictionDistance) -> None:
        self._check = check
        self._sample = Reservoir(columns=2)
        """The candidate's values, NaN where it has none, and those of what serves."""
        self._unanswered = 0
        self._example = self._refused = ""
        self._distance = _Seldom(lambda: DISTANCES[check.distance](*self._sample.columns))

    def add(self, pair: Pair) -> None:  # noqa: D102 - see Comparison
        field = self._check.field
        for row, their in enumerate(pair.serving_rows or ()):
            our = row_of(pair.candidate_rows, row)
            score, other = number_of(value_of(our, field)), number_of(value_of(their, field))
            if other is None:
                self._refused = no_number(field, our if score is None and our is not MISSING else their)
                continue
            if score is None:
                self._unanswered += 1
                self._example = self._example or _why(field, pair, our)
            self._sample.add(math.nan if score is None else score, other)

    def figure(self) -> Measurement:  # noqa: D102
        rows = self._sample.rows
        if not rows:
            return Measurement(text=self._refused or NO_SERVING)
        distance = self._distance.at(rows)
        # The other distances have a place for them.
        if self._check.distance == "wasserstein" and _too_many(self._unanswered, rows):
            distance = math.inf
        if math.isinf(distance):
            return Measurement(rows=rows, verdict=Verdict.FAIL, text=_joined("the distance is infinite", self._text(rows)))
        return Measurement(candidate=None if math.isnan(distance) else distance, rows=rows, text=self._text(rows))

    def _text(self, rows: int) -> str:
        return _joined(_left_out(self._unanswered, rows, self._example), self._refused)


class Metrics:
    """Keeps both versions' scores of the rows whose truth is known."""

    def __init__(self, check: ModelMetric, truth: GroundTruth) -> None:
        self._check = check
        self._truth = truth
        self._refused = ""
        self._begin(compared=False)

    def _begin(self, compared: bool) -> None:
        self._compared = compared
        self._sample = Reservoir(columns=3)
        """Labels, the candidate's scores, and those of what serves where that is compared."""
        self._unanswered = 0
        self._example = ""
        self._computed = _Seldom(self._compute)

    def add(self, pair: Pair) -> None:  # noqa: D102
        for row in range(_rows_of(pair)):
            label = self._truth.labels.get((pair.request.request_id, row))
            if label is not None:
                self._score(label, pair, row)

    def _score(self, label: float, pair: Pair, row: int) -> None:
        our, their = row_of(pair.candidate_rows, row), row_of(pair.serving_rows, row)
        score, other = (number_of(value_of(answer, self._check.field)) for answer in (our, their))
        if other is None and their is not MISSING:
            self._refused = no_number(self._check.field, our if score is None and our is not MISSING else their)
            return
        if other is not None and not self._compared:  # what serves came later: only rows that it answered count
            self._begin(compared=True)
        if other is None and (self._compared or (score is None and pair.serving is not None)):
            return
        if score is None:
            self._unanswered += 1
            self._example = self._example or _why(self._check.field, pair, our)
        else:
            self._sample.add(label, score, math.nan if other is None else other)

    def figure(self) -> Measurement:  # noqa: D102
        scored, rows = self._sample.rows, self._sample.rows + self._unanswered
        if not rows:
            return Measurement(text=self._refused or self._unknown())
        left_out = _left_out(self._unanswered, rows, self._example)
        if _too_many(self._unanswered, rows):
            return Measurement(rows=rows, verdict=Verdict.FAIL, text=f"{left_out}: at most {MOST_UNANSWERED:.0%} may be")
        if not scored:
            return Measurement(text=left_out)
        found = self._computed.at(scored)
        text = _joined(found.text, left_out, self._refused, self._truth.left_out)
        return found.model_copy(update={"rows": scored, "text": text})

    def _unknown(self) -> str:
        labels = len(self._truth.labels)
        known = f"{labels} labels, of no request that was sent" if labels else "there is no ground truth"
        return _joined(known, self._truth.left_out)

    def _compute(self) -> Measurement:
        from heliostat.ml.metrics import has_two_classes, metric_of

        metric, (labels, candidate, serving) = metric_of(self._check.metric), self._sample.columns
        if self._check.metric not in NUMBER_METRICS and not has_two_classes(labels):
            return Measurement(text=f"labels must be 0 or 1 for {self._check.metric}; there are others")
        if metric.needs_unlike and len(np.unique(labels)) < 2:
            return Measurement(text=f"all known labels are {labels[0]:g}: {self._check.metric} needs others too")
        usual = metric.compute(labels, serving) if self._compared else None
        return Measurement(candidate=metric.compute(labels, candidate), serving=usual)


def _rows_of(pair: Pair) -> int:
    """How many rows are looked at; a first version that fails is held to a request's first row, whatever the others are."""
    failed_alone = pair.serving is None and pair.candidate.failed
    return max(len(pair.serving_rows or ()), len(pair.candidate_rows or ()), int(failed_alone))


def _why(field: str, pair: Pair, our: Any) -> str:
    """Why the candidate has no number for a row."""
    if pair.candidate.status != 200:
        return f"status {pair.candidate.status}" if pair.candidate.status else "no answer"
    return "a row without an answer" if our is MISSING else no_number(field, our)


def _too_many(unanswered: int, rows: int) -> bool:
    return unanswered > max(1.0, MOST_UNANSWERED * rows)


def _left_out(unanswered: int, rows: int, example: str) -> str:
    return f"{unanswered} of {rows} rows have no number from the candidate, e.g. {example}" if unanswered else ""


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))
