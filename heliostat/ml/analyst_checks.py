"""What the analyst makes of answers to the same requests: a Figure for each check that compares them. Nothing here waits."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np

from heliostat.ml.analyst_client import Ask, Reply
from heliostat.ml.analyst_distances import DISTANCES
from heliostat.ml.ground_truth import GroundTruth
from heliostat.ml.requests import is_many
from heliostat.spec.analysis import Check, Disagreement, Figure, ModelMetric, PredictionDistance

_MISSING: Final = object()
_GROWTH: Final = 1.01
"""A figure is made anew when there are so many times as many rows, and when no more come: sorting a million takes a moment
that requests wait."""
_SHOWN: Final = 200
_NO_SERVING: Final = "no answer of what serves to compare with"


@dataclass(frozen=True)
class Pair:
    """A request and what both versions answered."""

    ask: Ask
    candidate: Reply
    serving: Reply | None

    @cached_property
    def candidate_rows(self) -> list[Any] | None:
        """The candidate's answers by row; None where there are none."""
        return self._rows(self.candidate)

    @cached_property
    def serving_rows(self) -> list[Any] | None:
        """The same of what serves."""
        return self._rows(self.serving) if self.serving else None

    @property
    def rows(self) -> int:
        """How many rows it asks about, as far as the answers tell."""
        return max(len(self.serving_rows or ()), len(self.candidate_rows or ()), 1)

    @property
    def size(self) -> int:
        """Bytes of the request and its answers."""
        return len(self.ask.body) + len(self.candidate.body) + (len(self.serving.body) if self.serving else 0)

    def _rows(self, reply: Reply) -> list[Any] | None:
        if reply.status != 200:
            return None
        try:
            answer = json.loads(reply.body)
        except ValueError:
            return None
        if not is_many(self.ask.body):
            return [answer]
        rows = answer.get("rows") if isinstance(answer, dict) else None
        return rows if isinstance(rows, list) else None


class Comparison(Protocol):
    """One check's memory of the answers."""

    def add(self, pair: Pair) -> None:
        """Take a request's answers into account."""

    def figure(self) -> Figure:
        """What they come to so far."""


def comparison(check: Check, truth: GroundTruth) -> Comparison | None:
    """The memory that a check needs; None for a check that needs none. Labels are looked up at every answer."""
    if isinstance(check, Disagreement):
        return Disagreements(check)
    if isinstance(check, PredictionDistance):
        return Distances(check)
    if isinstance(check, ModelMetric):
        return Metrics(check, truth)
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
        if pair.serving.status == 0 and pair.candidate.status == 0:
            return
        rows = pair.rows
        self._rows += rows
        if pair.candidate.status != pair.serving.status:
            self._count(rows, f"status {pair.candidate.status}", f"status {pair.serving.status}", pair)
            return
        if pair.candidate.status != 200:
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
            self._has_field = self._has_field or our is not _MISSING or their is not _MISSING
        if not alike(our, their, self._check.tolerance):
            self._count(1, _text(our), _text(their), pair)

    def _count(self, rows: int, our: str, their: str, pair: Pair) -> None:
        self._different += rows
        self._example = self._example or f"{our} instead of {their}, request {pair.ask.request_id}"

    def figure(self) -> Figure:  # noqa: D102
        if not self._rows:
            return Figure(text=_NO_SERVING)
        if self._check.field is not None and not self._has_field and not self._different:
            return Figure(text=f"no answer has a field {self._check.field!r}")
        text = f"e.g. {self._example}" if self._example else ""
        return Figure(candidate=self._different / self._rows, rows=self._rows, text=text)


class Distances:
    """Keeps both versions' values of a field."""

    def __init__(self, check: PredictionDistance) -> None:
        self._check = check
        self._candidate, self._serving = array("d"), array("d")
        self._refused = ""
        self._last = 0
        """Rows at the last look."""
        self._known: tuple[int, Figure] = (0, Figure(text=_NO_SERVING))

    def add(self, pair: Pair) -> None:  # noqa: D102
        ours, theirs = pair.candidate_rows, pair.serving_rows
        if ours is None or theirs is None:
            return
        for our, their in zip(ours, theirs, strict=False):
            numbers = [number_of(value_of(answer, self._check.field)) for answer in (our, their)]
            if numbers[0] is None or numbers[1] is None:
                self._refused = _no_number(self._check.field, our if numbers[0] is None else their)
            else:
                self._candidate.append(numbers[0])
                self._serving.append(numbers[1])

    def figure(self) -> Figure:  # noqa: D102
        rows = len(self._candidate)
        if not rows:
            return Figure(text=self._refused or _NO_SERVING)
        settled, self._last = rows == self._last, rows
        if rows > self._known[0] * _GROWTH or (settled and rows != self._known[0]):
            candidate, serving = np.array(self._candidate), np.array(self._serving)
            value = DISTANCES[self._check.distance](candidate, serving)
            figure = Figure(candidate=value if math.isfinite(value) else None, rows=rows, text=self._refused)
            self._known = (rows, figure)
        return self._known[1]


class Metrics:
    """Keeps both versions' scores of the rows whose truth is known."""

    def __init__(self, check: ModelMetric, truth: GroundTruth) -> None:
        self._check = check
        self._truth = truth
        self._labels, self._candidate, self._serving = array("d"), array("d"), array("d")
        self._compared = False
        self._refused = ""
        self._last = 0
        self._known: tuple[int, Figure] = (0, Figure())

    def add(self, pair: Pair) -> None:  # noqa: D102
        ours, theirs = pair.candidate_rows, pair.serving_rows
        for row, our in enumerate(ours or ()):
            label = self._truth.labels.get((pair.ask.request_id, row))
            if label is None:
                continue
            their = theirs[row] if theirs and row < len(theirs) else None
            score, other = (number_of(value_of(answer, self._check.field)) for answer in (our, their))
            if score is None or (their is not None and other is None):
                self._refused = _no_number(self._check.field, our if score is None else their)
            else:
                self._add(label, score, other)

    def _add(self, label: float, score: float, other: float | None) -> None:
        if other is not None and not self._compared:  # what serves came later: only rows that both answered count
            self._compared, self._known = True, (0, Figure())
            self._labels, self._candidate = array("d"), array("d")
        if self._compared and other is None:
            return
        self._labels.append(label)
        self._candidate.append(score)
        if other is not None:
            self._serving.append(other)

    def figure(self) -> Figure:  # noqa: D102
        rows = len(self._labels)
        if not rows:
            return Figure(text=self._refused or self._unknown())
        settled, self._last = rows == self._last, rows
        if rows > self._known[0] * _GROWTH or (settled and rows != self._known[0]):
            self._known = (rows, self._computed(rows))
        return self._known[1]

    def _unknown(self) -> str:
        if self._truth.mistakes:
            return "; ".join(f"ground truth cannot be read, {key}: {text}" for key, text in self._truth.mistakes.items())
        labels = len(self._truth.labels)
        return f"{labels} labels, of no request that was sent" if labels else "there is no ground truth"

    def _computed(self, rows: int) -> Figure:
        from heliostat.ml.metrics import metric_of

        metric, labels = metric_of(self._check.metric), np.array(self._labels)
        if not np.isin(labels, (0.0, 1.0)).all():
            return Figure(rows=rows, text=f"labels must be 0 or 1 for {self._check.metric}; there are others")
        if metric.needs_both_classes and len(np.unique(labels)) < 2:
            return Figure(rows=rows, text=f"all {rows} known labels are {labels[0]:g}: {self._check.metric} needs both")
        candidate = metric.compute(labels, np.array(self._candidate))
        serving = metric.compute(labels, np.array(self._serving)) if self._compared else None
        return Figure(candidate=candidate, serving=serving, rows=rows, text=self._refused)


def value_of(answer: Any, field: str) -> Any:
    """A field of an answer."""
    return answer.get(field, _MISSING) if isinstance(answer, dict) else _MISSING


def number_of(value: Any) -> float | None:
    """A finite number, or a boolean as 0 or 1."""
    if not isinstance(value, bool | int | float):
        return None
    return float(value) if math.isfinite(value) else None


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


def figures(comparisons: Sequence[tuple[int, Comparison]]) -> dict[int, Figure]:
    """Of every comparison, by its check's place."""
    found = {}
    for place, each in comparisons:
        try:
            found[place] = each.figure()
        except Exception as error:  # whatever a library says of these numbers: the other checks go on
            found[place] = Figure(text=f"it cannot be computed: {type(error).__name__}: {error}")
    return found


def _no_number(field: str, answer: Any) -> str:
    value = value_of(answer, field)
    if value is _MISSING:
        known = ", ".join(answer) if isinstance(answer, dict) else type(answer).__name__
        return f"an answer has no field {field!r}: it has {known}"
    return f"the field {field!r} is {_text(value)} in an answer: a finite number is needed"


def _text(value: Any) -> str:
    return "nothing" if value is _MISSING else json.dumps(value)[:_SHOWN]
