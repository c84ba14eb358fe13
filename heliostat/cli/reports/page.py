"""The page about a workload. Every text in it is escaped by the template: a column's name may hold anything."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

import heliostat
from heliostat.cli.operators import monitors
from heliostat.cli.reports.charts import Point, both_sides, chart
from heliostat.cli.reports.fairness import section
from heliostat.cli.reports.gathering import Gathered
from heliostat.cli.rollouts import drawing
from heliostat.monitoring.alarms import Alarm
from heliostat.monitoring.looking import WindowReport
from heliostat.spec.findings import Aspect, Finding, State
from heliostat.spec.snapshot_settings import sample_text

_TONES: Final = {State.OK: "good", State.BREACH: "bad", State.UNKNOWN: "wait"}
_CHARTED: Final = (Aspect.QUALITY, Aspect.PREDICTION_BIAS, Aspect.CALIBRATION, Aspect.ESTIMATE, Aspect.PREDICTION_DRIFT)
_MOST_COLUMNS: Final = 60
_MOST_WINDOWS: Final = 24
_DIGITS: Final = 12
"""Of a digest, as `heliostat datasets list` shows them."""
_SPLITS: Final = ("train", "validation", "test")
_NOTHING: Final = "\N{EN DASH}"


def page(found: Gathered, now: datetime, simulated: bool = False, unfinished: str = "") -> str:
    """The page as HTML; of what was `simulated` it says so, and what is missing of it where it is `unfinished`."""
    state = found.state
    alarms = state.open_alarms
    tone = "bad" if alarms else "good" if state.looked_at is not None else "wait"
    text = f"{len(alarms)} open alarm{'' if len(alarms) == 1 else 's'}" if alarms else "no alarm is open"
    return _template().render(
        name=found.name,
        simulated=simulated,
        unfinished=unfinished,
        tone=tone,
        verdict=text if state.looked_at is not None else "not watched",
        worst=state.worst.text if state.worst is not None else "",
        facts=_facts(found),
        alarms=[_alarm(alarm) for alarm in alarms],
        acknowledge="" if simulated else _acknowledge(found.name, alarms),
        charts=[(title, Markup(chart(points, title))) for title, points in _charted(found.windows)],  # noqa: S704 - our drawing
        residuals=_residuals(found.windows),
        fairness=section(found.windows, found.judged),
        findings=[_finding(each) for each in monitors.ordered(state) if "[" not in each.subject or each.state is State.BREACH],
        slices=sum("[" in each.subject and each.state is not State.BREACH for each in state.findings.values()),
        others=[(version, *_finding(each)) for version, each in monitors.of_others(state)],
        drift=_drift(found.windows),
        windows=[_window(report) for report in found.windows[::-1][:_MOST_WINDOWS]],
        remedies=state.remedies,
        problems=state.problems,
        data=_data(found),
        trainings=found.trainings,
        decision=state.of_retraining or (state.decision.text if state.decision is not None else ""),
        rollouts=found.rollouts,
        nothing=_NOTHING,
        people=found.people,
        light=Markup(drawing.variables(dark=False)),  # noqa: S704
        dark=Markup(drawing.variables(dark=True)),  # noqa: S704
        made=f"heliostat {heliostat.__version__}, {now:%Y-%m-%d %H:%M} UTC",
    )


def _facts(found: Gathered) -> list[tuple[str, str]]:
    state = found.state
    served = state.model_uri or found.serves or _NOTHING
    newest = {name: f"{moment:%Y-%m-%d %H:%M}" for name, moment in state.newest.items()}
    return [
        ("Serves", served),
        ("Looked at", f"{state.looked_at:%Y-%m-%d %H:%M} UTC" if state.looked_at else "never"),
        ("Newest window", state.newest_window or _NOTHING),
        ("Newest prediction", newest.get("predictions", _NOTHING)),
        ("Newest label", newest.get("labels", _NOTHING)),
        ("Labelled rows that are new to it", f"{state.new_rows:,}"),
        *([("In its source", state.source.text)] if state.source is not None else []),
    ]


def _alarm(alarm: Alarm) -> tuple[str, str, str, str]:
    taken = f", {alarm.acknowledged_by} looks after it" if alarm.acknowledged_by else ""
    return alarm.key, f"{alarm.severity}{taken}", f"{alarm.since:%Y-%m-%d}", alarm.finding.text


def _acknowledge(name: str, alarms: Sequence[Alarm]) -> str:
    """How to say that one looks after the first alarm that nobody looks after; empty where there is none."""
    key = next((alarm.key for alarm in alarms if not alarm.acknowledged_by), "")
    return f"heliostat monitor acknowledge {shlex.quote(name)} {shlex.quote(key.removeprefix(f'{name}/'))}" if key else ""


def _finding(each: Finding) -> tuple[str, str, str, str, str, str]:
    value = monitors.number(each.value) or _NOTHING
    limit = monitors.number(each.limit) or _NOTHING
    return _TONES[each.state], each.state.value, f"{each.aspect} {each.subject}", value, limit, each.text


def _charted(windows: Sequence[WindowReport]) -> Iterator[tuple[str, list[Point]]]:
    """A chart of each metric and ratio over the windows, without slices."""
    for title, points in _points(windows).items():
        yield title, both_sides(points) if title.startswith(f"{Aspect.PREDICTION_BIAS}:") else points


def _points(windows: Sequence[WindowReport]) -> dict[str, list[Point]]:
    by_title: dict[str, list[Point]] = {}
    for report in windows:
        intervals = {each.metric: each.overall.interval for each in report.quality}
        ratio = report.bias.ratio if report.bias is not None else None
        for each in report.findings:
            if each.aspect not in _CHARTED or "[" in each.subject or each.value is None:
                continue
            interval = intervals.get(each.subject) if each.aspect is Aspect.QUALITY else None
            interval = ratio if each.aspect is Aspect.PREDICTION_BIAS else interval
            low, high = (interval.low, interval.high) if interval is not None else (None, None)
            point = Point(report.window, each.value, low, high, each.limit, each.state is State.BREACH)
            by_title.setdefault(f"{each.aspect}: {each.subject}", []).append(point)
    return by_title


def _residuals(windows: Sequence[WindowReport]) -> str:
    """What is left over in the newest window with labels."""
    for report in reversed(windows):
        if report.residuals is not None and report.residuals.text:
            return f"Residuals in {report.window}, of {report.residuals.rows:,} rows: {report.residuals.text}."
    return ""


def _drift(windows: Sequence[WindowReport]) -> dict[str, Any]:
    """Each input over the newest windows, the newest first, for what is beyond a phone's edge has to be looked for; the input
    that is farthest beyond its limit first."""
    shown = [report for report in windows if report.drift is not None and report.drift.columns][-_MOST_WINDOWS:]
    if not shown:
        return {}
    rows: dict[str, list[tuple[str, str, str]]] = {}
    excess: dict[str, float] = {}
    limits: dict[str, str] = {}
    for report in shown:
        cells = {each.subject: each for each in report.findings if each.aspect is Aspect.DRIFT}
        for name in dict.fromkeys([*rows, *cells]):
            each = cells.get(name)
            rows.setdefault(name, [_BLANK] * shown.index(report)).append(_cell(each) if each is not None else _BLANK)
            if each is not None and each.value is not None and each.limit:
                excess[name] = each.value / each.limit
                limits[name] = monitors.number(each.limit)
    names = sorted(rows, key=lambda name: -excess.get(name, 0.0))[:_MOST_COLUMNS]
    return {
        "windows": [report.window for report in shown[::-1]],
        "rows": [(name, limits.get(name, ""), rows[name][::-1]) for name in names],
        "left": len(rows) - len(names),
    }


_BLANK: Final = ("muted", "", "")


def _cell(each: Finding) -> tuple[str, str, str]:
    return _TONES[each.state], monitors.number(each.value) or each.state.value, each.text


def _window(report: WindowReport) -> tuple[str, str, str, str, str]:
    wrong = [f"{each.aspect} {each.subject}" for each in report.findings if each.state is State.BREACH]
    share = f"{report.labels / report.rows:.0%}" if report.rows else _NOTHING
    told = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return report.window, report.model_uri.rpartition("/")[2] or _NOTHING, f"{report.rows:,}", share, told or _NOTHING


def _data(found: Gathered) -> list[tuple[str, str]]:
    reference, manifest = found.reference, found.data
    if reference is None:
        return []
    digest = reference.dataset_digest or ""
    of = digest[:_DIGITS] or f"the first {reference.rows:,} answers: a model of others has no data here"
    told = [("Data set", of), ("Reference made", f"{reference.since:%Y-%m-%d %H:%M} UTC")]
    counted = manifest.get("rows", {})
    order = [*(each for each in _SPLITS if each in counted), *(each for each in counted if each not in _SPLITS)]
    told += [(f"Rows, {split}", f"{counted[split]:,}") for split in order]
    told += [("Taken", sample_text(manifest["sample"]))] if "sample" in manifest else []
    told += [("Label", str(manifest["label"]))] if "label" in manifest else []
    told += [("Newest row", f"{reference.newest_row:%Y-%m-%d}")] if reference.newest_row is not None else []
    return told


@cache
def _template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=folder, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("workload.html")
