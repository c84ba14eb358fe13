"""How groups of people are treated, for the page about a workload: what the gate measured, and what monitors found since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from heliostat.cli.operators.monitors import number
from heliostat.cli.reports.charts import Point, chart
from heliostat.monitoring.fairness import GroupFairness, GroupRates
from heliostat.monitoring.intervals import Interval, wilson
from heliostat.monitoring.looking import WindowReport
from heliostat.spec.fairness import FairnessAtGate, RatesAtGate
from heliostat.spec.findings import Aspect, State

_CONFIDENCE: Final = 0.95
_MOST_GROUPS: Final = 12
_MOST_CANDIDATES: Final = 3
_MOST_NAMED: Final = 5
_NOTHING: Final = "\N{EN DASH}"
_TONES: Final = {State.OK: "good", State.BREACH: "bad", State.UNKNOWN: "wait"}


@dataclass(frozen=True)
class Judged:
    """What the gate said of a candidate's treatment of groups."""

    what: str
    """`models:/flights/3 accepted`."""
    when: str
    checks: tuple[FairnessAtGate, ...]


@dataclass(frozen=True)
class Table:
    """Groups with their rates, each with its interval."""

    title: str
    told: str
    tone: str
    rows: tuple[tuple[str, str, str, str, str], ...]
    """The group, how many rows, selected, true and false positives."""
    left: int
    """How many groups more there are."""


def section(windows: Sequence[WindowReport], judged: Sequence[Judged]) -> dict[str, Any]:
    """Charts over the windows, the groups of the newest one, and those of the gate's test rows; empty without any of it."""
    found = {"charts": list(_charts(windows)), "served": list(_served(windows)), "gate": list(_at_gate(judged))}
    return found if any(found.values()) else {}


def _charts(windows: Sequence[WindowReport]) -> Iterator[tuple[str, Markup]]:
    by_title: dict[str, list[Point]] = {}
    for report in windows:
        figures = {each.subject: each.value for each in report.fairness}
        for each in report.findings:
            if each.aspect is Aspect.FAIRNESS and (value := figures.get(each.subject)) is not None:
                point = Point(report.window, value.value, value.low, value.high, each.limit, each.state is State.BREACH)
                by_title.setdefault(each.subject, []).append(point)
    for title, points in by_title.items():
        yield title, Markup(chart(points, title))  # noqa: S704 - our drawing


def _served(windows: Sequence[WindowReport]) -> Iterator[Table]:
    """Of each figure the newest window that something was told of, or else the newest."""
    newest: dict[str, tuple[WindowReport, GroupFairness]] = {}
    for report in windows:
        for each in report.fairness:
            if each.value is not None or each.groups or each.subject not in newest:
                newest[each.subject] = (report, each)
    for subject, (report, found) in newest.items():
        finding = next((each for each in report.findings if each.subject == subject and each.aspect is Aspect.FAIRNESS), None)
        shown = {*list(found.groups)[:_MOST_GROUPS], *found.farthest}
        rows = [(name, f"{rates.rows:,}", *_rates(rates)) for name, rates in found.groups.items() if name in shown]
        yield Table(
            title=f"{subject}, {report.window}",
            told=finding.text if finding is not None else "; ".join(filter(None, (found.reason, *found.notes))),
            tone=_TONES[finding.state] if finding is not None else "wait",
            rows=tuple(rows),
            left=found.compared + len(found.one_label) + found.left - len(rows),
        )


def _at_gate(judged: Sequence[Judged]) -> Iterator[Table]:
    """Of the newest candidates."""
    for one in [each for each in judged if each.checks][:_MOST_CANDIDATES]:
        for check in one.checks:
            rows = [(name, f"{rates.rows:,}", *_rates_at_gate(rates)) for name, rates in check.groups.items()]
            yield Table(
                title=f"{check.metric.value} by {check.column}, {one.what}",
                told=_told(check, one.when),
                tone="muted",
                rows=tuple(rows[:_MOST_GROUPS]),
                left=max(0, len(rows) - _MOST_GROUPS),
            )


def _told(check: FairnessAtGate, when: str) -> str:
    bound = "at least" if check.metric.is_ratio else "at most"
    value = "could not be told" if check.value is None else f"was {number(check.value)}"
    told = [f"It {value} on the test rows on {when}; {bound} {check.limit:g} is taken"]
    if check.left_out:
        named = ", ".join(f"{name} ({rows:,})" for name, rows in list(check.left_out.items())[:_MOST_NAMED])
        more = len(check.left_out) - _MOST_NAMED
        told.append(f"too small to be compared: {named}" + (f" and {more} more" if more > 0 else ""))
    if check.missing:
        told.append(f"{check.missing:,} rows are of no group")
    return "; ".join(told)


def _rates(rates: GroupRates) -> tuple[str, str, str]:
    return _shown(rates.selection_rate), _shown(rates.true_positive_rate), _shown(rates.false_positive_rate)


def _rates_at_gate(rates: RatesAtGate) -> tuple[str, str, str]:
    """With Wilson's intervals, where the report says of how many rows a rate is a share."""
    positives = rates.positives
    negatives = rates.rows - positives if positives is not None else None
    return (
        _shown(_interval(rates.selection_rate, rates.rows)),
        _shown(_interval(rates.true_positive_rate, positives)),
        _shown(_interval(rates.false_positive_rate, negatives)),
    )


def _interval(rate: float | None, rows: int | None) -> Interval | None:
    if rate is None:
        return None
    if not rows:
        return Interval(value=rate, rows=0)
    low, high = wilson(rate, rows, _CONFIDENCE)
    return Interval(value=rate, low=max(0.0, float(low)), high=min(1.0, float(high)), rows=rows)


def _shown(rate: Interval | None) -> str:
    if rate is None:
        return _NOTHING
    if rate.low is None or rate.high is None:
        return f"{rate.value:.1%}"
    return f"{rate.value:.1%} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
