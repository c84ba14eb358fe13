"""The check of the model's own metric: both versions' predictions of the rows whose truth is known.

A row that what serves answers with a prediction, and the candidate does not, is part of every figure: a candidate gets no
better by leaving out what is hard.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliostat.analysis.answered_predictions import Numbers, prediction_of, why_none
from heliostat.analysis.answers import MISSING, Pair, row_of
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.reservoir import MOST_KEPT, Reservoir
from heliostat.analysis.scores import MOST_UNANSWERED, Seldom, joined, left_out, too_many, why_unanswered
from heliostat.ml.label_files import LabelForm, LabelValue
from heliostat.monitoring.weighing import TOLD, expanded
from heliostat.spec.analysis import Measurement, ModelMetric, Verdict
from heliostat.spec.problem import CustomMetric, undeclared_of
from heliostat.spec.tasks import REGRESSION_METRICS, Multiclass, Multilabel

Array = NDArray[Any]


class Metrics:
    """Keeps both versions' predictions of the rows whose truth is known."""

    def __init__(self, check: ModelMetric, truth: GroundTruth) -> None:
        self._check = check
        self._task = check.of.task if check.of is not None else None
        self._width = (self._task.width if self._task is not None else None) or 1
        self._label_width = LabelForm.of(self._task).width
        self._truth = truth
        self._refused = ""
        self.measured_outside: Measurement | None = None
        """What a metric of the workload's own came to at last; computed in a process of its own."""
        self._begin(compared=False)

    def _begin(self, compared: bool) -> None:
        self._compared = compared
        self._sample = Reservoir(columns=(self._label_width or 1) + 2 * self._width + 1)
        """Labels, the candidate's predictions, those of what serves where that is compared, and how much a row counts."""
        self._unanswered = self._weighed = 0
        self._example = ""
        self._computed = Seldom(self._compute)

    @property
    def custom(self) -> CustomMetric | None:
        """The metric, where it is the workload's own."""
        return self._check.of.custom(self._check.metric) if self._check.of is not None else None

    @property
    def rows(self) -> int:
        """How many rows have a truth and a prediction of the candidate's."""
        return self._sample.rows

    def add(self, pair: Pair) -> None:  # noqa: D102 - see Comparison
        for row in range(_rows_of(pair)):
            place = (pair.request.request_id, row)
            label = self._truth.labels.get(place)
            if label is not None:
                self._score(label, self._truth.weights.get(place), pair, row)

    def _score(self, label: LabelValue, weight: float | None, pair: Pair, row: int) -> None:
        our, their = row_of(pair.candidate_rows, row), row_of(pair.serving_rows, row)
        score, other = self._prediction(our), self._prediction(their)
        if other is None and their is not MISSING:
            self._refused = self._why_none(our if score is None and our is not MISSING else their)
            return
        if other is not None and not self._compared:  # what serves came later: only rows that it answered count
            self._begin(compared=True)
        if other is None and (self._compared or (score is None and pair.serving is not None)):
            return
        if score is None:
            self._unanswered += 1
            self._example = self._example or why_unanswered(pair, our) or self._why_none(our)
        else:
            self._weighed += weight is not None
            self._keep(row, label, score, other, 1.0 if weight is None else weight)

    def _keep(self, row: int, label: LabelValue, score: Numbers, other: Numbers | None, weight: float) -> None:
        """Take a row whose truth and prediction are known; `other`: of what serves."""
        labels = label if isinstance(label, tuple) else (label,)
        self._sample.add(*labels, *score, *(other or [math.nan] * self._width), weight)

    def _prediction(self, answer: Any) -> Numbers | None:
        return prediction_of(self._task, self._check.metric, answer, self._check.field)

    def _why_none(self, answer: Any) -> str:
        return why_none(self._task, self._check.metric, answer, self._check.field)

    def figure(self) -> Measurement:  # noqa: D102
        scored, rows = self.rows, self.rows + self._unanswered
        if not rows:
            return Measurement(text=self._refused or self._unknown())
        without = left_out(self._unanswered, rows, self._example)
        if too_many(self._unanswered, rows):
            return Measurement(rows=rows, verdict=Verdict.FAIL, text=f"{without}: at most {MOST_UNANSWERED:.0%} may be")
        if not scored:
            return Measurement(text=without)
        if self.custom is None:
            found = self._computed.at(scored)
        else:
            found = self.measured_outside or Measurement(text="its function has not been called yet")
        text = joined(found.text, self._of_reviews(), without, self._refused, self._truth.left_out)
        return found.model_copy(update={"rows": scored, "text": text})

    def _of_reviews(self) -> str:
        """How labels count that people gave to answers that were chosen for them; empty where there are none."""
        return f"of {self._weighed} labels that came of a review alone {TOLD}" if self._weighed else ""

    def arrays(self) -> dict[str, Array]:
        """`labels`, the `candidate`'s predictions and, where they are compared, those of what is `serving`, a row each.

        Rows whose label came of a review are there as often as they stand for rows that were not chosen.
        """
        kept, weights = self._sample.columns[:-1], self._sample.columns[-1]
        if self._weighed:
            kept = kept[:, expanded(weights, MOST_KEPT)]
        width = self._label_width or 1
        labels, others = kept[:width].T if self._label_width else kept[0], kept[width:]
        ours, theirs = np.array(others[: self._width]).T, np.array(others[self._width :]).T
        if self._task is None or self._task.width is None:
            ours, theirs = ours[:, 0], theirs[:, 0]
        if isinstance(self._task, Multiclass | Multilabel):
            labels = labels.astype(np.int64)
        return {"labels": labels, "candidate": ours, **({"serving": theirs} if self._compared else {})}

    def _unknown(self) -> str:
        labels = len(self._truth.labels)
        known = f"{labels} labels, of no request that was sent" if labels else "there is no ground truth"
        return joined(known, self._truth.left_out)

    def _compute(self) -> Measurement:
        import pyarrow as pa

        from heliostat.ml.tasks.base import Truth, wrong_label
        from heliostat.ml.tasks.evaluation import has_two_classes, kind_of

        metric, arrays = self._check.metric, self.arrays()
        truth = Truth(arrays["labels"])
        if self._task is None and metric not in REGRESSION_METRICS and not has_two_classes(truth.labels):
            return Measurement(text=f"labels must be 0 or 1 for {metric}; there are others")
        kind = kind_of(self._task or undeclared_of(metric not in REGRESSION_METRICS))
        # Of lists each was looked at as it was read.
        wrong = {} if self._label_width else wrong_label(kind, pa.chunked_array([truth.labels]))
        if wrong:
            reason, rows = next(iter(wrong.items()))
            return Measurement(text=f"the ground truth {reason} in {rows} rows")
        if reason := kind.why_undefined(metric, truth):
            return Measurement(text=f"{reason}: {metric} needs others too")
        scores = {
            name: arrays[name] if self._task is None else kind.checked(arrays[name], len(truth.labels))
            for name in ("candidate", "serving")
            if name in arrays
        }
        return Measurement(**{name: kind.metric(metric)(truth, found) for name, found in scores.items()})


def _rows_of(pair: Pair) -> int:
    """How many rows are looked at; a first version that fails is held to a request's first row, whatever the others are."""
    failed_alone = pair.serving is None and pair.candidate.failed
    return max(len(pair.serving_rows or ()), len(pair.candidate_rows or ()), int(failed_alone))
