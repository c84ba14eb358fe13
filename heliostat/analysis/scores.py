"""Checks that compare numbers of answers: distances between their distributions.

A row that what serves answers with a number, and the candidate does not, is part of every figure: a candidate gets no better
by leaving out what is hard.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from heliostat.analysis.answers import MISSING, Pair, no_number, number_of, row_of, value_of
from heliostat.analysis.distances import DISTANCES
from heliostat.analysis.reservoir import Reservoir
from heliostat.spec.analysis import Measurement, PredictionDistance, Verdict

NO_SERVING: Final = "no answer of what serves to compare with"
MOST_UNANSWERED: Final = 0.01
"""Share of the rows that the candidate may leave without a number, where what serves has one and a figure has no place for
them. A single row is always let through: a connection may break."""
_GROWTH: Final = 1.01
"""A figure is made anew when there are so many times as many rows."""
_EXACT_ROWS: Final = 20_000
"""Up to so many, it is made anew when no more come, too: sorting more takes a moment that requests wait."""

_Made = TypeVar("_Made")


class Seldom(Generic[_Made]):
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
        self._distance = Seldom(lambda: DISTANCES[check.distance](*self._sample.columns))

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
                self._example = self._example or why_unanswered(pair, our) or no_number(field, our)
            self._sample.add(math.nan if score is None else score, other)

    def figure(self) -> Measurement:  # noqa: D102
        rows = self._sample.rows
        if not rows:
            return Measurement(text=self._refused or NO_SERVING)
        distance = self._distance.at(rows)
        # The other distances have a place for them.
        if self._check.distance == "wasserstein" and too_many(self._unanswered, rows):
            distance = math.inf
        if math.isinf(distance):
            return Measurement(rows=rows, verdict=Verdict.FAIL, text=joined("the distance is infinite", self._text(rows)))
        return Measurement(candidate=None if math.isnan(distance) else distance, rows=rows, text=self._text(rows))

    def _text(self, rows: int) -> str:
        return joined(left_out(self._unanswered, rows, self._example), self._refused)


def why_unanswered(pair: Pair, our: Any) -> str:
    """Why the candidate has no answer to a row; empty where it has one."""
    if pair.candidate.status != 200:
        return f"status {pair.candidate.status}" if pair.candidate.status else "no answer"
    return "a row without an answer" if our is MISSING else ""


def too_many(unanswered: int, rows: int) -> bool:
    """Whether the candidate left more rows without a number than it may."""
    return unanswered > max(1.0, MOST_UNANSWERED * rows)


def left_out(unanswered: int, rows: int, example: str) -> str:
    """How many rows have no number from the candidate, in words; empty where all have one."""
    return f"{unanswered} of {rows} rows have no number from the candidate, e.g. {example}" if unanswered else ""


def joined(*texts: str) -> str:
    """What is there of several texts, as one."""
    return "; ".join(filter(None, texts))
