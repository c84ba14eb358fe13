"""The drift report: each column of a window against the same of a reference, both as profiles. Pure.

A column has drifted where two things hold: the difference is not chance (`alpha`, corrected for how many columns there are),
and it is large enough to matter (a limit on one distance). The first keeps small windows quiet, the second large ones, in
which any difference is significant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final, Literal

import numpy as np

from heliostat.data.comparison import Comparison, Distance, compared
from heliostat.data.profiles import ColumnProfile, Profile
from heliostat.data.remarks import remarks

Correction = Literal["holm", "benjamini-hochberg"]
Status = Literal["stable", "drifted", "vanished", "changed type", "new", "not compared"]
_ALARMING: Final = ("drifted", "vanished", "changed type")


@dataclass(frozen=True)
class Limit:
    """The least distance that matters."""

    distance: Distance
    least: float


@dataclass(frozen=True)
class Limits:
    """When a column counts as drifted."""

    alpha: float = 0.05
    """How often a report on columns that are all stable may name one."""
    correction: Correction = "holm"
    """Holm holds `alpha` however columns depend on each other. Benjamini and Hochberg's bounds the share of
    wrong names instead."""
    numbers: Limit = Limit("kolmogorov-smirnov", 0.05)
    texts: Limit = Limit("jensen-shannon", 0.05)
    columns: Mapping[str, Limit] = field(default_factory=dict)
    """Of single columns."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """The least of single columns, whichever limit they have."""

    def of(self, name: str, column: ColumnProfile) -> Limit:
        """The limit of a column."""
        limit = self.columns.get(name) or (self.numbers if column.kind == "number" else self.texts)
        return replace(limit, least=max(limit.least, self.floors.get(name, 0.0)))

    def learned_from(self, windows: Sequence[Profile]) -> Limits:
        """These, and for each column no less than any of the reference's own windows is apart from all of them.

        What comes back each week or year is no drift then, nor is what rows of one day have in common.

        Raises:
            ValueError: fewer than two windows.
        """
        if len(windows) < 2:
            raise ValueError(f"{len(windows)} window of a reference cannot tell how windows differ: give two or more")
        reference = Profile.merged(windows)
        learned: dict[str, Limit] = dict(self.columns)
        for report in (compare(reference, window, self) for window in windows):
            for column in report.columns:
                limit = learned.get(column.name) or self.of(column.name, reference.columns[column.name])
                learned[column.name] = replace(limit, least=max(limit.least, column.distances.get(limit.distance, 0.0)))
        return replace(self, columns=learned)


@dataclass(frozen=True)
class ColumnDrift:
    """What a report says of one column."""

    name: str
    status: Status
    text: str
    """The reason, in a sentence."""
    distances: Mapping[Distance, float] = field(default_factory=dict)
    p: float | None = None
    """How likely such a difference is by chance."""
    adjusted_p: float | None = None
    """The same, corrected for the number of columns."""
    limit: Limit | None = None
    notes: tuple[str, ...] = ()

    @property
    def alarms(self) -> bool:
        """Whether somebody has to look at it."""
        return self.status in _ALARMING


@dataclass(frozen=True)
class DriftReport:
    """What became of each column, in the reference's order; new ones last."""

    columns: tuple[ColumnDrift, ...]
    reference_rows: int
    window_rows: int

    @property
    def alarming(self) -> tuple[ColumnDrift, ...]:
        """The columns that somebody has to look at, the farthest beyond its limit first."""

        def excess(column: ColumnDrift) -> float:
            limit = column.limit
            return float("inf") if limit is None else column.distances[limit.distance] / max(limit.least, 1e-12)

        return tuple(sorted((column for column in self.columns if column.alarms), key=excess, reverse=True))

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            "referenceRows": self.reference_rows,
            "windowRows": self.window_rows,
            "alarming": [column.name for column in self.alarming],
            "columns": {
                column.name: {
                    "status": column.status,
                    "text": column.text,
                    "p": column.p,
                    "adjustedP": column.adjusted_p,
                    "distances": {name: far if isfinite(far) else None for name, far in column.distances.items()},
                    "limit": None if column.limit is None else {column.limit.distance: column.limit.least},
                    "notes": list(column.notes),
                }
                for column in self.columns
            },
        }


def compare(
    reference: Profile, window: Profile, limits: Limits | None = None, columns: Iterable[str] | None = None
) -> DriftReport:
    """Hold a window to a reference, all columns or those named. What cannot be compared is said, and the rest is."""
    limits = limits or Limits()
    names = list(dict.fromkeys([*reference.columns, *window.columns]) if columns is None else columns)
    found = [_compared(name, reference, window, limits) for name in names]
    chances = [column.p for column in found if column.p is not None]
    adjusted = iter(adjust(chances, limits.correction))
    judged = (column if column.p is None else _judged(column, next(adjusted), limits.alpha) for column in found)
    return DriftReport(tuple(judged), reference.rows, window.rows)


def adjust(chances: Sequence[float], correction: Correction) -> list[float]:
    """P-values corrected for their number."""
    if not chances:
        return []
    if correction == "benjamini-hochberg":
        from scipy.stats import false_discovery_control

        return [float(each) for each in false_discovery_control(chances)]
    order = np.argsort(chances, kind="stable")
    steps = np.maximum.accumulate(np.asarray(chances)[order] * np.arange(len(chances), 0, -1))
    holm = np.empty(len(chances))
    holm[order] = np.minimum(steps, 1)
    return [float(each) for each in holm]


def _compared(name: str, reference: Profile, window: Profile, limits: Limits) -> ColumnDrift:
    then, now = reference.columns.get(name), window.columns.get(name)
    if then is None:
        where = "neither the reference nor the window" if now is None else "the reference, but not"
        status: Status = "not compared" if now is None else "new"
        text = f"is in {where}" if now is None else f"is new: a {now.type} that the reference does not have"
        return ColumnDrift(name, status, text)
    if now is None:
        return ColumnDrift(name, "vanished", f"has vanished: the reference has it as {then.type} in {then.rows:,} rows")
    if not then.rows or not now.rows:
        which = "the window" if then.rows else "the reference"
        return ColumnDrift(name, "not compared", f"cannot be compared: {which} has no rows")
    if reason := _incomparable(then, now):
        return ColumnDrift(name, *reason)
    comparison = compared(then, now)
    comparison = replace(comparison, notes=(*remarks(then, now), *comparison.notes))
    return _unjudged(name, comparison, limits.of(name, then if then.kind != "empty" else now))


def _incomparable(then: ColumnProfile, now: ColumnProfile) -> tuple[Status, str] | None:
    kinds = {then.kind, now.kind} - {"empty"}
    if kinds == {"unsupported"}:
        return "not compared", f"cannot be compared: values of type {now.type} have no distance here"
    if now.kind == "mixed" and then.kind != "mixed":
        return "changed type", f"has values of several types, {now.type}, and had {then.type}: make it one type again"
    if "mixed" in kinds:
        return "not compared", f"cannot be compared: the reference has values of several types, {then.type}"
    if len(kinds) > 1:
        return "changed type", f"is {now.type} and was {then.type}: read it as before, or make the reference anew"
    return None


def _unjudged(name: str, comparison: Comparison, limit: Limit) -> ColumnDrift:
    if limit.distance not in comparison.distances:
        known = ", ".join(comparison.distances)
        text = f"is not judged: there is no {limit.distance} of such a column, but {known}; choose one of these as its limit"
        return ColumnDrift(name, "not compared", text, comparison.distances, notes=comparison.notes)
    return ColumnDrift(name, "stable", "", comparison.distances, comparison.p, limit=limit, notes=comparison.notes)


def _judged(column: ColumnDrift, adjusted: float, alpha: float) -> ColumnDrift:
    if column.limit is None:
        return replace(column, adjusted_p=adjusted)
    distance, limit = column.distances[column.limit.distance], column.limit
    figures = f"{limit.distance} {distance:.3g}, limit {limit.least:.3g}; by chance with p = {adjusted:.2g}, limit {alpha:g}"
    drifted = adjusted <= alpha and distance >= limit.least
    return replace(
        column,
        status="drifted" if drifted else "stable",
        adjusted_p=adjusted,
        text=f"{'has drifted' if drifted else 'is stable'}: {figures}",
    )
