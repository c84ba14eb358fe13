"""Whether a candidate may be registered: a pure decision from the figures of one evaluation.

The report is what `heliostat.jobs.evaluate` writes: for the candidate, its baseline and, where something serves, the
incumbent, the metric on the whole test split and on each slice, all on the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from heliostat.spec.fairness import Fairness, FairnessAtGate
from heliostat.spec.metrics import canonical
from heliostat.spec.workload import Gate

_EVERYTHING: Final = "all rows"
_MOST_ROWS: Final = 12
_ROUNDING: Final = 1e-9
"""What the difference of two figures may be off by."""
_WIDEST_SLICE: Final = 18


@dataclass(frozen=True)
class Measurements:
    """The gate's metric of one model."""

    model: str
    """What people call it: its URI, or `the baseline`."""
    overall: float
    slices: Mapping[str, Mapping[str, float]]
    """By column and value; only those with enough rows."""


@dataclass(frozen=True)
class Comparison:
    """The candidate against one other model, on all rows or on one slice."""

    slice: str
    """`<column> <value>`, or `all rows`."""
    against: str
    candidate: float
    stable: float
    """The other model's figure."""
    behind: float
    """How much worse the candidate is, in the metric's unit; below 0 it is better."""
    margin: float
    """How much worse it may be; below 0 it must be better by that much."""
    with_baseline: bool = False

    @property
    def beyond(self) -> float:
        """By how much it is worse than it may be; above 0 it is refused."""
        return self.behind - self.margin


@dataclass(frozen=True)
class Verdict:
    """What the gate says."""

    metric: str
    comparisons: tuple[Comparison, ...]
    summary: str
    """One line of figures, whatever it says."""
    unfair: tuple[str, ...] = ()
    """What it may not differ by between groups, and does, each with its figures."""
    by_group: tuple[FairnessAtGate, ...] = ()
    """What was measured of groups, whatever it says."""

    @property
    def failed(self) -> tuple[Comparison, ...]:
        """What refuses the candidate, the worst first."""
        return tuple(sorted((each for each in self.comparisons if each.beyond > _ROUNDING), key=lambda each: -each.beyond))

    @property
    def accepted(self) -> bool:
        """Whether nothing refuses it."""
        return not self.failed and not self.unfair

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, each with its figures, the worst first; empty where accepted."""
        return (*(_reason(self.metric, each) for each in self.failed), *self.unfair)

    def table(self) -> list[str]:
        """What refuses the candidate, the worst first, and how much there is: lines of at most 76 columns under headings."""
        head = ("metric", "slice", "candidate", "stable", "margin", "verdict")
        failed = self.failed
        rows = [_row(self.metric, each) for each in failed[:_MOST_ROWS]]
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        lines = [_line(row, widths) for row in (head, *rows)]
        passed = len(self.comparisons) - len(failed)
        if len(failed) > _MOST_ROWS:
            lines.append(f"... and {len(failed) - _MOST_ROWS} more are refused")
        lines += self.unfair
        return [*lines, f"{len(failed)} of {len(self.comparisons)} comparisons are refused, {passed} pass"]


def judge(
    gate: Gate, higher_is_better: bool, candidate: Measurements, baseline: Measurements | None, incumbent: Measurements | None
) -> Verdict:
    """The verdict on the candidate: not worse than the incumbent by more than the margins, and better than the baseline."""
    sign = 1.0 if higher_is_better else -1.0
    found: list[Comparison] = []

    if baseline is not None:
        ours, theirs = candidate.overall, baseline.overall
        asked = 0.0 - gate.beat_baseline_by
        found.append(Comparison(_EVERYTHING, baseline.model, ours, theirs, sign * (theirs - ours), asked, with_baseline=True))
    if incumbent is not None:
        pairs = [(_EVERYTHING, candidate.overall, incumbent.overall, gate.margin), *_slices(gate, candidate, incumbent)]
        for place, ours, theirs, margin in pairs:
            found.append(Comparison(place, incumbent.model, ours, theirs, sign * (theirs - ours), margin))
    return Verdict(gate.metric or "", tuple(found), _summary(gate, candidate, baseline, incumbent))


def unjudged() -> Verdict:
    """The verdict where there is no metric to judge by: the candidate answered on the test data, and passes."""
    return Verdict("", (), "not judged: the task has no metric, and the workload none of its own")


def with_fairness(verdict: Verdict, gate: Gate, candidate: Mapping[str, Any]) -> Verdict:
    """The verdict with what the gate says of groups of people; `candidate`: its part of the report.

    What could not be compared, as where only one group is large enough, is no pass.
    """
    if not gate.fairness:
        return verdict
    measured = candidate.get("fairness", ())
    pairs = zip(gate.fairness, measured or ({},) * len(gate.fairness), strict=True)
    found = [text for check, told in pairs if (text := _unfair(check, told))]
    by_group = [FairnessAtGate.of(check, told) for check, told in zip(gate.fairness, measured, strict=False)]
    return replace(verdict, unfair=tuple(found), by_group=tuple(by_group))


def _unfair(check: Fairness, told: Mapping[str, Any]) -> str:
    value, groups = told.get("value"), told.get("groups", {})
    if value is None:
        return f"{check.metric} between the groups of {check.column} cannot be told: {_untold(check, told)}"
    if check.passes(value):
        return ""
    rates = "; ".join(
        f"{group}: selected {_share(each['selectionRate'])}" for group, each in list(groups.items())[:_MOST_ROWS]
    )
    bound = "at least" if check.metric.is_ratio else "at most"
    return f"{check.metric} between the groups of {check.column} is {value:.4f}, {bound} {check.limit:g} is taken ({rates})"


def _untold(check: Fairness, told: Mapping[str, Any]) -> str:
    groups, one_label = told.get("groups", {}), told.get("oneLabel", {})
    if len(groups) - len(one_label) >= 2:
        return f"nobody is selected at the threshold of {check.threshold:g}"
    left_out = told.get("leftOut", {})
    count = told.get("leftOutGroups", len(left_out))
    small = _cut_list([f"{group} ({rows} rows)" for group, rows in left_out.items()], count) or "none"
    text = f"of two groups or more with {check.min_rows} test rows there are {len(groups)}; smaller are {small}"
    if one_label:
        text += f"; all rows of {_cut_list([*one_label], len(one_label))} have one label"
    return f"{text}; {told['missing']} rows have no value" if told.get("missing") else text


def _cut_list(names: list[str], count: int) -> str:
    told = ", ".join(names[:_MOST_ROWS])
    return f"{told} and {count - _MOST_ROWS:,} more" if count > _MOST_ROWS else told


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def figures_of(name: str, report: Mapping[str, Any] | None, metric: str) -> Measurements | None:
    """The gate's figures in one model's part of a report; an earlier release's may have the metric's former name."""
    if report is None:
        return None
    slices = {
        column: {value: float(entry["value"]) for value, entry in values.items()}
        for column, values in report["slices"].items()
    }
    overall = {canonical(found): value for found, value in report["overall"].items()}
    return Measurements(name, float(overall[metric]), slices)


def _slices(gate: Gate, candidate: Measurements, incumbent: Measurements) -> Iterator[tuple[str, float, float, float]]:
    for item in gate.slices:
        ours, theirs = candidate.slices.get(item.column, {}), incumbent.slices.get(item.column, {})
        for value in sorted(ours.keys() & theirs.keys()):
            yield f"{item.column} {value}", ours[value], theirs[value], item.margin


def _reason(metric: str, found: Comparison) -> str:
    where = "" if found.slice == _EVERYTHING else f"on {found.slice} "
    figures = f"{where}{metric} is {found.candidate:.4f}, that of {found.against} {found.stable:.4f}"
    if found.with_baseline:
        return f"{figures}: it must be better by {0.0 - found.margin:g} and is {_distance(found.behind)}"
    return f"{figures}: worse by {found.behind:.4f}, {found.beyond:.4f} more than the margin of {found.margin:g}"


def _row(metric: str, found: Comparison) -> tuple[str, ...]:
    place = "all, baseline" if found.with_baseline else found.slice
    figures = (_figure(found.candidate), _figure(found.stable), f"{found.margin:g}")
    return (metric, _cut(place), *figures, _distance(found.behind))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    left = {0, 1, len(row) - 1}
    cells = [
        text.ljust(width) if n in left else text.rjust(width) for n, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _figure(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def _cut(place: str) -> str:
    """A slice's name in its column: of `<column> <value>` the value says more, so the column gives way first."""
    column, _, value = place.partition(" ")
    if len(place) > _WIDEST_SLICE and len(column) > 6:
        place = f"{column[:4]}.. {value}"
    return place if len(place) <= _WIDEST_SLICE else place[: _WIDEST_SLICE - 2] + ".."


def _summary(gate: Gate, candidate: Measurements, baseline: Measurements | None, incumbent: Measurements | None) -> str:
    parts = [f"{gate.metric} {candidate.overall:.4f}"]
    if incumbent is not None:
        parts.append(f"{incumbent.model} {incumbent.overall:.4f}")
    if baseline is not None:
        parts.append(f"baseline {baseline.overall:.4f}")
    return ", ".join(parts)


def _distance(behind: float) -> str:
    return f"worse by {_figure(behind)}" if behind > 0 else f"better by {_figure(-behind)}"
