"""One HTML file about a rollout, for people who would rather look: whole in itself, without a script and without a network.

Every text in it is escaped by the template: an error message is the application's own and may hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import heliostat
from heliostat.cli.rollouts import drawing, ledger, messages, series, view
from heliostat.cli.rollouts.drawing import clock_text
from heliostat.spec.analysis import AnalysisResult, Verdict
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.rollouts import Phase, Record, Rollout, Sample, VersionSample

_COLUMNS = 7
"""Of the table of figures, for each version."""
ROWS = 120
"""Rows of the table of figures at most: it stands for the charts, for whoever cannot see them."""
_RESULTS = {
    Phase.SUCCEEDED: ("good", "Succeeded"),
    Phase.RETAINING: ("good", "Through"),
    Phase.RETIRING: ("good", "Through"),
    Phase.FAILED: ("bad", "Rolled back"),
    Phase.ROLLING_BACK: ("bad", "Rolling back"),
    Phase.SUPERSEDED: ("wait", "Superseded"),
}
_VERDICTS = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "wait", None: "muted"}


def page(record: Record, entries: Sequence[Entry], now: float) -> str:
    """The page; `entries` are the ledger's of this rollout, `now` is Unix time in seconds."""
    return _template().render(**_context(record, entries, now))


def _context(record: Record, entries: Sequence[Entry], now: float) -> dict[str, Any]:
    rollout = record.rollout
    tone, result = _RESULTS.get(rollout.phase, ("look", messages.PHASES[rollout.phase].capitalize()))
    span = series.span_of(record)
    length = span.length
    return {
        "application": record.application,
        "rollout": rollout,
        "tone": tone,
        "result": result,
        "before": rollout.from_version or "nothing",
        "facts": _facts(rollout, now),
        "steps": [(*view.mark(rollout, number)[:1], text) for number, text in enumerate(rollout.steps)],
        "charts": [(chart.name, chart.title, Markup(chart.svg)) for chart in drawing.charts(record)],  # noqa: S704 - our own drawing
        "phases": _phases(rollout, span),
        "analyses": [_analysis(result) for result in rollout.analyses],
        "events": [
            (messages.clock(one.at), _offset(one.at, rollout, length), one.phase, one.message) for one in rollout.events
        ],
        "rows": [_row(sample, rollout, length) for sample in series.thinned(record.samples, ROWS)],
        "samples": len(record.samples),
        "columns": _COLUMNS,
        "unanswered": any(sample.unanswered_per_second for sample in record.samples),
        "tuples": _tuples(entries, rollout),
        "entries": [(line.number, messages.moment(line.at), line.what, line.ended) for line in ledger.lines(entries)],
        "figures": [messages.figure(name, value) for name, value in rollout.figures.items() if not _is_table(value)],
        "tables": [_table(name, value) for name, value in rollout.figures.items() if _is_table(value)],
        "strategy": json.dumps(rollout.strategy.model_dump(mode="json"), indent=2, ensure_ascii=False),
        "light": Markup(drawing.variables(dark=False)),  # noqa: S704
        "dark": Markup(drawing.variables(dark=True)),  # noqa: S704
        "made": f"heliostat {heliostat.__version__}, {messages.moment(now)}",
    }


def _facts(rollout: Rollout, now: float) -> list[tuple[str, str]]:
    said = rollout.origin
    commit = f"{said.commit[:12]}{' with local changes' if said.dirty else ''}" if said and said.commit else messages.NOTHING
    facts = [
        ("Strategy", rollout.strategy.kind),
        ("Declared by", said.by if said else messages.NOTHING),
        ("Commit", commit),
        ("Began", messages.moment(rollout.started_at)),
        ("Took" if rollout.ended_at else "So far", messages.took(rollout, now)),
        ("Traffic on the candidate", messages.percent(rollout.candidate_weight)),
    ]
    passed = messages.checks(rollout.analyses)
    return [*facts, ("Checks", passed)] if passed else facts


def _phases(rollout: Rollout, span: series.Span) -> list[tuple[str, str, str, str]]:
    return [
        (
            drawing.PHASE_COLOURS[one.phase],
            str(one.phase),
            clock_text(one.begin, span.length),
            messages.span(one.end - one.begin),
        )
        for one in series.phases(rollout, span.end)
    ]


def _analysis(result: AnalysisResult) -> dict[str, Any]:
    took = f", {messages.span(result.ended_at - result.began_at)}" if result.ended_at else ""
    return {
        "title": f"Step {result.step + 1}",
        "when": f"from {messages.clock(result.began_at)}{took}",
        "tone": _VERDICTS[result.verdict],
        "verdict": messages.verdict(result.verdict),
        "findings": [
            {
                "check": one.check,
                "tone": _VERDICTS[one.verdict],
                "verdict": str(one.verdict),
                "candidate": messages.measured(one.check, one.candidate),
                "serving": messages.measured(one.check, one.serving),
                "limit": one.limit,
                "requests": messages.number(one.requests),
                "source": messages.source(one.source),
                "text": one.text,
            }
            for one in result.findings
        ],
    }


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(name: str, rows: Sequence[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    """A figure that has several, such as those of each step."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    heads = [messages.figure(key, "")[0] for key in keys]
    return messages.figure(name, "")[0], heads, [[_cell(key, row.get(key)) for key in keys] for row in rows]


def _cell(key: str, value: Any) -> str:
    if value is None:
        return messages.NOTHING
    if key == "at":
        return messages.clock(value)
    return messages.percent(value) if key == "weight" else messages.figure(key, value)[1]


def _offset(at: float, rollout: Rollout, length: float) -> str:
    return clock_text(round(at - rollout.started_at, 1), length)


def _row(sample: Sample, rollout: Rollout, length: float) -> list[str]:
    cells = [_offset(sample.at, rollout, length), messages.percent(sample.candidate_weight)]
    return [*cells, *_cells(sample.serving), *_cells(sample.candidate), messages.number(sample.unanswered_per_second)]


def _cells(one: VersionSample | None) -> list[str]:
    if one is None:
        return [messages.NOTHING] * _COLUMNS
    rates = (one.requests_per_second, one.failed_per_second, one.rejected_per_second, one.others_per_second)
    measured = (*rates, one.p50_ms, one.p99_ms)
    return [str(one.replicas), *(messages.number(value) for value in measured)]


def _tuples(entries: Sequence[Entry], rollout: Rollout) -> list[tuple[str, list[tuple[str, str]]]]:
    """The exact tuples that it went from and to, as the ledger has them."""
    if not entries:
        return []
    last = max(entries, key=lambda one: (one.kind is EntryKind.END, one.number))
    sides = (("Before", last.previous), ("Candidate", last.target))
    return [(name, ledger.exact(one)) for name, one in sides if one is not None]


@cache
def _template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=folder, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")
