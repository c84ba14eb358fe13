"""How differently what serves treats groups of people, and how sure that is.

The figures are fairlearn's: the largest difference, or the smallest ratio, of rates between groups. Of many groups some are
far apart by chance alone, and a bootstrap of the largest difference is off in the same direction. So each pair of groups has
an interval of its own, all of which hold at once (Bonferroni): Newcombe's of a difference and Donner and Zou's of a ratio,
both made of Wilson's intervals of the two rates. The farthest apart by these is the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pydantic import Field

from heliostat.data.codes import coded_texts
from heliostat.monitoring.group_rates import (
    FALSE_POSITIVE,
    SELECTED,
    TRUE_POSITIVE,
    Rate,
    differences,
    rates_of,
    ratios,
)
from heliostat.monitoring.intervals import Interval
from heliostat.monitoring.sampling import Labelled
from heliostat.monitoring.weighing import TOLD
from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.fairness import FairnessMetric
from heliostat.spec.fairness_watches import FairnessWatch

_MOST_COMPARED: Final = 1_000
"""Groups that are compared, those with the most rows; what is beyond is counted."""
MOST_KEPT: Final = 100
"""Groups whose rates a report has, those with the most rows and the two that are surest to differ."""
_MOST_NAMED: Final = 20
_RATES: Final = {
    FairnessMetric.EQUALIZED_ODDS: (TRUE_POSITIVE, FALSE_POSITIVE),
    FairnessMetric.EQUAL_OPPORTUNITY: (TRUE_POSITIVE,),
    FairnessMetric.DEMOGRAPHIC_PARITY: (SELECTED,),
    FairnessMetric.DEMOGRAPHIC_PARITY_RATIO: (SELECTED,),
}

_TOLD: Final = {SELECTED: "who is selected", TRUE_POSITIVE: "true positives", FALSE_POSITIVE: "false positives"}


class GroupRates(Model):
    """How a group is treated; each rate has the rows that it is a share of, and where it may be by chance."""

    rows: int
    """With and without a label."""
    selection_rate: Interval | None = Field(default=None, exclude_if=is_none)
    true_positive_rate: Interval | None = Field(default=None, exclude_if=is_none)
    false_positive_rate: Interval | None = Field(default=None, exclude_if=is_none)


class GroupFairness(Model):
    """What was found between the groups of a column in one window."""

    column: str
    metric: FairnessMetric
    threshold: float
    rows: int = 0
    """That are compared; of a metric that needs labels, those that have one."""
    value: Interval | None = None
    """None where it cannot be told."""
    reason: str = Field(default="", exclude_if=is_empty)
    """Why it cannot."""
    between: str = Field(default="", exclude_if=is_empty)
    """The two groups that are surest to differ, with their rates."""
    farthest: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Their names."""
    groups: dict[str, GroupRates] = Field(default_factory=dict)
    """By name, the one with the most rows first."""
    compared: int = 0
    """How many groups are compared."""
    left: int = Field(default=0, exclude_if=is_empty)
    """How many more would have enough rows."""
    small: dict[str, int] = Field(default_factory=dict, exclude_if=is_empty)
    """The rows of groups that have too few to be compared, some of them."""
    small_groups: int = Field(default=0, exclude_if=is_empty)
    """How many these are."""
    one_label: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Groups without a row of a label that the metric needs."""
    gone: dict[str, int] = Field(default_factory=dict, exclude_if=is_empty)
    """Groups that the reference has so many rows of, and the window none."""
    missing: int = Field(default=0, exclude_if=is_empty)
    """Rows that are of no group."""
    weighed: bool = Field(default=False, exclude_if=is_empty)
    """Whether labelled rows count by one over the chance that they were chosen for review."""

    @property
    def subject(self) -> str:
        """What a finding is about."""
        return subject_of(self.metric, self.column)

    @property
    def notes(self) -> list[str]:
        """What is to be known beside the figure: who is not in it."""
        told = []
        if self.gone:
            told.append(f"gone: {_named(self.gone)}, which the reference has")
        if self.small_groups:
            told.append(f"too small to be compared: {_named(self.small, self.small_groups)}")
        if self.one_label:
            told.append(f"without both labels: {_cut(list(self.one_label), len(self.one_label))}")
        if self.left:
            told.append(f"{self.left:,} smaller groups are not compared")
        if self.missing:
            told.append(f"{self.missing:,} rows are of no group")
        return told


def subject_of(metric: FairnessMetric, column: str) -> str:
    """What a finding of fairness is called; no brackets, which in a silence would be a pattern."""
    return f"{metric.value} by {column}"


def fairness(labelled: Labelled, watch: FairnessWatch, known: Mapping[str, int] | None = None) -> GroupFairness:
    """The watched figure of a window's rows, labelled or not; where it cannot be told the reason stands in its place.

    `known`: the `large_groups` of what the window is held against.
    """
    about = {"column": watch.column, "metric": watch.metric, "threshold": watch.threshold}
    needs_labels = bool(watch.metric.labels_needed)
    if reason := _why_not(labelled, watch, needs_labels):
        return GroupFairness(**about, reason=reason)
    groups = coded_texts(labelled.columns[watch.column])
    names: list[str] = groups.values.to_pylist()
    rows = groups.counts(np.isfinite(labelled.labels) if needs_labels else None)
    order = np.argsort(-rows, kind="stable")
    enough = order[rows[order] >= watch.min_rows]
    few = [group for group in order[::-1] if rows[group] < watch.min_rows]
    chosen = enough[:_MOST_COMPARED]
    counted = {
        **about, "missing": groups.missing, "left": len(enough) - len(chosen), "small_groups": len(few),
        "small": {names[group]: int(rows[group]) for group in few[::-1][:_MOST_NAMED]},
        "gone": _gone({*names}, known or {}),
        "weighed": needs_labels and labelled.weighed > 0,
    }  # fmt: skip
    place = np.full(len(names) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    return _compared(labelled, watch, place[groups.codes], [names[group] for group in chosen], counted)


def _compared(labelled: Labelled, watch: FairnessWatch, codes: Any, names: list[str], known: dict[str, Any]) -> GroupFairness:
    rates = rates_of(labelled, watch.threshold, codes, len(names))
    needed = [rates[name] for name in _RATES[watch.metric] if name in rates]
    has_all = np.all([rate.rows > 0 for rate in needed], axis=0) if needed else np.zeros(len(names), dtype=bool)
    places = np.flatnonzero(has_all)
    found = GroupFairness(
        **known,
        compared=len(places),
        rows=int(sum(rates[name].rows[places].sum() for name in _RATES[watch.metric] if name in rates)),
        one_label=tuple(name for name, there in zip(names, has_all, strict=True) if not there)[:_MOST_NAMED],
        groups=_shown(rates, codes, names, watch.confidence, range(min(len(names), MOST_KEPT))),
    )
    if len(places) < 2:
        return found.model_copy(update={"reason": _too_few(len(places), watch, found)})
    if watch.metric.is_ratio and not needed[0].value[places].any():
        return found.model_copy(update={"reason": f"nobody is selected at the threshold of {watch.threshold:g}"})
    value, pair, rate = _farthest(watch, needed, places)
    told = " and ".join(f"{names[place]} ({needed[rate].value[place]:.1%})" for place in pair)
    shown = {**found.groups, **_shown(rates, codes, names, watch.confidence, pair)}
    return found.model_copy(update={
        "value": value.model_copy(update={"rows": found.rows}), "groups": shown,
        "farthest": tuple(names[place] for place in pair),
        "between": f"{told} in {_TOLD[_RATES[watch.metric][rate]]}",
    })  # fmt: skip


def _why_not(labelled: Labelled, watch: FairnessWatch, needs_labels: bool) -> str:
    if not len(labelled):
        return "there are no predictions"
    predictions = labelled.predictions
    if predictions.ndim != 1 or not ((predictions >= 0) & (predictions <= 1)).all():
        return "predictions are no probabilities between 0 and 1: who is selected cannot be told"
    if watch.column not in labelled.columns:
        return f"the log has no input {watch.column!r}; it is never there of one that is marked as never logged"
    known = labelled.labels[np.isfinite(labelled.labels)]
    if needs_labels and not len(known):
        return "there are no labels"
    if needs_labels and (odd := known[~np.isin(known, (0.0, 1.0))]).size:
        return f"labels are not 0 and 1 alone: {odd[0]:g} is among them"
    column = labelled.columns[watch.column]
    if pa.types.is_nested(column.type):
        return f"the input {watch.column!r} is {column.type}: groups are of one value each"
    return f"no row of the log has a value of {watch.column!r}" if column.null_count == len(column) else ""


def large_groups(reference: Labelled, watch: FairnessWatch) -> dict[str, int]:
    """The groups with enough rows to be compared, with their rows, the largest first."""
    column = reference.columns.get(watch.column)
    if column is None or pa.types.is_nested(column.type):
        return {}
    groups = coded_texts(column)
    rows = groups.counts()
    order = np.argsort(-rows, kind="stable")
    large = order[rows[order] >= watch.min_rows]
    return dict(zip(groups.values.take(pa.array(large)).to_pylist(), rows[large].tolist(), strict=True))


def _gone(names: set[str], known: Mapping[str, int]) -> dict[str, int]:
    """Those of them that have no row now."""
    return dict(islice(((name, rows) for name, rows in known.items() if name not in names), _MOST_NAMED))


def _shown(rates: dict[str, Rate], codes: Any, names: list[str], confidence: float, places: Any) -> dict[str, GroupRates]:
    """The rates of some groups, whose intervals hold at once."""
    own = 1 - (1 - confidence) / max(1, len(names))
    bounds = {name: rate.interval(own) for name, rate in rates.items()}
    rows = np.bincount(codes[codes >= 0], minlength=len(names))
    fields = {SELECTED: "selection_rate", TRUE_POSITIVE: "true_positive_rate", FALSE_POSITIVE: "false_positive_rate"}
    return {
        names[place]: GroupRates(
            rows=int(rows[place]), **{fields[name]: rate.of(place, *bounds[name]) for name, rate in rates.items()}
        )
        for place in places
    }


def _farthest(watch: FairnessWatch, needed: list[Rate], places: Any) -> tuple[Interval, tuple[int, int], int]:
    """The figure with its bounds, the two groups that are surest to differ, and by which of the rates."""
    pairs = len(places) * (len(places) - 1) / 2 * len(needed)
    confidence = 1 - (1 - watch.confidence) / pairs
    best: tuple[float, tuple[int, int], int] | None = None
    values, lows, highs = [], [], []
    for number, rate in enumerate(needed):
        low, high = (each[places] for each in rate.interval(confidence))
        value = rate.value[places]
        between = ratios if watch.metric.is_ratio else differences
        lower, upper = between(value, low, high)
        sure = -upper if watch.metric.is_ratio else lower
        one, other = np.unravel_index(int(np.argmax(sure)), sure.shape)
        pair = int(places[one]), int(places[other])
        if best is None or sure[one, other] > best[0]:
            best = float(sure[one, other]), pair, number
        values.append(value.min() / value.max() if watch.metric.is_ratio else value.max() - value.min())
        lows.append(lower.min() if watch.metric.is_ratio else lower.max())
        highs.append(upper.min() if watch.metric.is_ratio else upper.max())
    assert best is not None  # noqa: S101 - each metric compares a rate
    edges = {"low": max(0.0, float(max(lows))), "high": min(1.0, float(max(highs)))}
    return Interval(value=float(max(values)), rows=0, **edges), best[1], best[2]


def _too_few(there: int, watch: FairnessWatch, found: GroupFairness) -> str:
    kind = "labelled rows" if watch.metric.labels_needed else "rows"
    text = f"of two groups or more with {watch.min_rows:,} {kind} there {'is' if there == 1 else 'are'} {there}"
    return "; ".join([text, *found.notes])


def _named(rows: dict[str, int], count: int = 0) -> str:
    return _cut([f"{name} ({number:,} row{'' if number == 1 else 's'})" for name, number in rows.items()], count or len(rows))


def _cut(names: list[str], count: int, most: int = 5) -> str:
    told = ", ".join(names[:most])
    return f"{told} and {count - most:,} more" if count > most else told


def told(found: GroupFairness, limit: float) -> str:
    """A figure in words, beside its limit."""
    assert found.value is not None  # noqa: S101 - whoever asks has looked
    value = found.value
    bound = "at least" if found.metric.is_ratio else "at most"
    kind = "labelled rows" if found.metric.labels_needed else "rows"
    text = f"{found.metric.value} between {found.compared} groups of {found.column} is {value.value:.4g}"
    text += f" ({value.low:.4g} to {value.high:.4g})" if value.low is not None and value.high is not None else ""
    text += f" on {found.rows:,} {kind}, {TOLD}" if found.weighed else f" on {found.rows:,} {kind}"
    surest = [f"surest to differ are {found.between}"] if value.value != found.metric.is_ratio else []
    return "; ".join([f"{text}; {bound} {limit:g} is taken", *surest, *found.notes])
