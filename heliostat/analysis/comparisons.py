"""Comparisons of answers to the same requests: a Figure for each check that makes one. Nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from heliostat.analysis.answers import MISSING, Pair, shown, value_of
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.model_metrics import Metrics
from heliostat.analysis.ranking_metrics import RankingMetrics
from heliostat.analysis.scores import NO_SERVING, Distances
from heliostat.spec.analysis import Check, Disagreement, Measurement, ModelMetric, PredictionDistance
from heliostat.spec.routes import Ending
from heliostat.spec.tasks import Ranking


class Comparison(Protocol):
    """One check's memory of the answers."""

    def add(self, pair: Pair) -> None:
        """Take a request's answers into account."""

    def figure(self) -> Measurement:
        """What they come to so far."""


def comparison(check: Check, truth: GroundTruth) -> Comparison | None:
    """The memory that a check needs; None for a check that needs none. Labels are looked up at every answer."""
    if isinstance(check, Disagreement):
        return Disagreements(check)
    if isinstance(check, PredictionDistance):
        return Distances(check)
    if isinstance(check, ModelMetric):
        task = check.of.task if check.of is not None else None
        own = check.of is not None and check.of.custom(check.metric) is not None
        return RankingMetrics(check, truth, task) if isinstance(task, Ranking) and not own else Metrics(check, truth)
    return None


class Disagreements:
    """Counts the rows that the versions answer differently."""

    def __init__(self, check: Disagreement) -> None:
        self._check = check
        self._rows = self._different = 0
        self._example = ""
        self._has_field = False

    def add(self, pair: Pair) -> None:  # noqa: D102 - see Comparison
        if pair.serving is None:
            return
        same = pair.candidate.status == pair.serving.status
        if same and pair.candidate.ending is not Ending.ANSWERED:
            return  # neither answered it: that is no row on which they agree
        rows = pair.rows
        self._rows += rows
        if not same:
            self._count(rows, f"status {pair.candidate.status}", f"status {pair.serving.status}", pair)
            return
        ours, theirs = pair.candidate_rows or [], pair.serving_rows or []
        if len(ours) != len(theirs):
            self._count(rows, f"{len(ours)} rows", f"{len(theirs)} rows", pair)
            return
        for our, their in zip(ours, theirs, strict=True):
            self._compare(our, their, pair)

    def _compare(self, our: Any, their: Any, pair: Pair) -> None:
        if self._check.field is not None:
            our, their = value_of(our, self._check.field), value_of(their, self._check.field)
            self._has_field = self._has_field or our is not MISSING or their is not MISSING
        if not alike(our, their, self._check.tolerance):
            self._count(1, shown(our), shown(their), pair)

    def _count(self, rows: int, our: str, their: str, pair: Pair) -> None:
        self._different += rows
        self._example = self._example or f"{our} instead of {their}, request {pair.request.request_id}"

    def figure(self) -> Measurement:  # noqa: D102
        if not self._rows:
            return Measurement(text=NO_SERVING)
        if self._check.field is not None and not self._has_field and not self._different:
            return Measurement(text=f"no answer has a field {self._check.field!r}")
        text = f"e.g. {self._example}" if self._example else ""
        return Measurement(candidate=self._different / self._rows, rows=self._rows, text=text)


def alike(ours: Any, theirs: Any, tolerance: float) -> bool:
    """Whether two answers agree: the same JSON, numbers within `tolerance`."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return abs(ours - theirs) <= tolerance
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key], tolerance) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(alike(our, their, tolerance) for our, their in zip(ours, theirs, strict=True))
    return bool(ours == theirs)


def figures(comparisons: Sequence[tuple[int, Comparison]]) -> dict[int, Measurement]:
    """Of every comparison, by its check's place."""
    found = {}
    for place, each in comparisons:
        try:
            found[place] = each.figure()
        except Exception as error:  # whatever a library says of these numbers: the other checks go on
            found[place] = Measurement(text=f"it cannot be computed: {type(error).__name__}: {error}")
    return found
