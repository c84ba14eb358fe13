"""The check of a ranking's own metric: both versions' orders of the rows that one request asks about.

A client sorts what one answer gave it, so the rows of a request are ranked against each other; where the contract's rows have
the task's `group` as a field, those with one value of it. The figure is the mean over the groups that say something of an
order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic_core import from_json

from heliostat.analysis.answered_predictions import Numbers
from heliostat.analysis.answers import Pair
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.model_metrics import Metrics
from heliostat.ml.label_files import LabelValue
from heliostat.serving.bodies import is_many
from heliostat.spec.analysis import Measurement, ModelMetric
from heliostat.spec.tasks import Ranking

_Row = tuple[int, float, float, float | None]
"""Its number, label, and the scores of the candidate and of what serves."""


class RankingMetrics(Metrics):
    """Keeps, of each group, the metric alone: what a group comes to depends on no other."""

    def __init__(self, check: ModelMetric, truth: GroundTruth, task: Ranking) -> None:
        self._pending: list[_Row] = []
        self._ranking = task
        super().__init__(check, truth)

    def _begin(self, compared: bool) -> None:
        super()._begin(compared)
        # What was scored of this request before anything served was compared is none of the new figures.
        self._pending = []
        self._rows = self._groups = self._silent = self._below = 0
        self._ours = self._theirs = 0.0

    @property
    def rows(self) -> int:
        """How many rows have a truth and a prediction of the candidate's."""
        return self._rows

    def add(self, pair: Pair) -> None:  # noqa: D102 - see Comparison
        super().add(pair)
        pending, self._pending = self._pending, []
        if pending:
            asked = _asked(pair.request.body, self._ranking.group)
            groups: dict[Any, list[_Row]] = {}
            for row in pending:
                groups.setdefault(asked.get(row[0]), []).append(row)
            for rows in groups.values():
                self._take(rows)

    def _of_reviews(self) -> str:
        if not self._weighed:
            return ""
        return f"{self._weighed} labels came of a review alone and count as any: a group has no chance to be chosen"

    def _keep(self, row: int, label: LabelValue, score: Numbers, other: Numbers | None, weight: float) -> None:
        assert isinstance(label, float)  # noqa: S101 - a ranking's labels are no lists
        self._pending.append((row, label, score[0], other[0] if other else None))

    def _take(self, rows: list[_Row]) -> None:
        from heliostat.ml.tasks.base import Truth
        from heliostat.ml.tasks.ranking import RankingKind

        self._rows += len(rows)
        labels = np.array([label for _, label, _, _ in rows])
        if (labels < 0).any():
            self._below += int((labels < 0).sum())
            return
        if len(rows) == 1 or (labels == labels[0]).all():
            self._silent += 1
            return
        compute = RankingKind(self._ranking).metric(self._check.metric)
        truth = Truth(labels, np.zeros(len(rows), np.int64))
        self._groups += 1
        self._ours += compute(truth, np.array([ours for _, _, ours, _ in rows]))
        if self._compared:
            self._theirs += compute(truth, np.array([theirs for _, _, _, theirs in rows], np.float64))

    def _compute(self) -> Measurement:
        if self._below:
            return Measurement(text=f"the ground truth is below 0, and a relevance is 0 or more, in {self._below} rows")
        if not self._groups:
            return Measurement(
                text=f"no request says anything of an order: of {self._silent} groups each is of one row, or of labels alike"
            )
        text = f"of {self._groups} groups" + (f"; {self._silent} more say nothing of an order" if self._silent else "")
        theirs = {"serving": self._theirs / self._groups} if self._compared else {}
        return Measurement(candidate=self._ours / self._groups, text=text, **theirs)


def _asked(body: bytes, group: str) -> dict[int, Any]:
    """What tells the groups of a request's rows apart, by the row; nothing where all are of one group."""
    rows = from_json(body)
    rows = rows.get("rows", ()) if is_many(body) and isinstance(rows, dict) else [rows]
    return {
        number: str(row[group]) if isinstance(row, dict) and row.get(group) is not None else None
        for number, row in enumerate(rows)
    }
