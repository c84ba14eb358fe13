"""The text of a pull request that changes a pin: what the version is, and how it was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.gitops.comparison import by_difference
from heliostat.gitops.markdown import code, figure, table, text_of
from heliostat.spec.snapshot_settings import sample_text

_MANY: Final = 30
"""Parameters that are shown, or slices: those that differ most from what served."""

_RATES: Final = ("rows", "selectionRate", "truePositiveRate", "falsePositiveRate")
"""Of a group, as the evaluation tells them."""


@dataclass(frozen=True)
class Card:
    """What is known of a version."""

    version: str
    """`models:/<name>/<number>`"""
    run_id: str
    data_digest: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None
    """The evaluation, as `heliostat.jobs.evaluate` wrote it; None where there is none."""
    report_uri: str = ""
    sample: float | None = None
    """The share of the rows that its data is a sample of."""
    training: str = ""
    """The identity of the training, by which its report is kept; empty where its run does not say."""


def card_text(card: Card, stack: str, workload: str, before: str | None, why: str) -> str:
    """The pull request's text: what it pins in place of what, why, and the evaluation overall, by slice and by group."""
    instead = f"in the place of {code(before)}" if before else "where nothing was pinned"
    parts = [f"Pins {code(card.version)} for **{workload}** in the stack **{stack}**, {instead}.", why, _identity(card)]
    if card.report is None:
        parts.append("There is no evaluation of it: it was pinned, or registered by others.")
    else:
        if (share := card.report.get("sample")) is not None:
            parts.append(f"**The figures are of {sample_text(share)}.**")
        parts += [_overall(card.report), *_slices(card.report), *_fairness(card.report)]
        parts.append(f"The whole evaluation: {code(card.report_uri)}")
    return "\n\n".join(part for part in parts if part)


def _identity(card: Card) -> str:
    rows = [("run of MLflow", card.run_id or "not known"), ("data", card.data_digest[:12] or "not known")]
    shown = sorted(card.parameters.items())
    rows += shown[:_MANY] + ([("and", f"{len(shown) - _MANY} more")] if len(shown) > _MANY else [])
    return table(["", ""], [[text_of(name), text_of(value)] for name, value in rows])


def _overall(report: Mapping[str, Any]) -> str:
    sides = _sides(report)
    names = sorted({name for _, side in sides for name in side.get("overall", {})})
    heads = ["metric", *(head for head, _ in sides)]
    rows = [[text_of(name), *(figure(side.get("overall", {}).get(name)) for _, side in sides)] for name in names]
    return table(heads, rows)


def _slices(report: Mapping[str, Any]) -> Iterator[str]:
    sides = _sides(report)
    for column in sorted({column for _, side in sides for column in side.get("slices", {})}):
        parts = [side.get("slices", {}).get(column, {}) for _, side in sides]
        measured = [{value: entry.get("value") for value, entry in part.items()} for part in parts]
        values = by_difference(*measured[:2]) if len(parts) > 1 else sorted(measured[0])
        values += sorted({value for part in parts[2:] for value in part} - {*values})
        rows = [
            [text_of(value), *(figure((part.get(value) or {}).get("value")) for part in parts)] for value in values[:_MANY]
        ]
        if len(values) > _MANY:
            rows.append([f"and {len(values) - _MANY} more", *("" for _ in parts)])
        yield table([text_of(column), *(head for head, _ in sides)], rows)


def _fairness(report: Mapping[str, Any]) -> Iterator[str]:
    """How groups of people are treated, where the gate asked for it."""
    for check in report["candidate"].get("fairness", ()):
        value, groups = check["value"], check["groups"]
        found = "cannot be told" if value is None else figure(value)
        rows = [[text_of(group), *(figure(rates[name]) for name in _RATES)] for group, rates in list(groups.items())[:_MANY]]
        if len(groups) > _MANY:
            rows.append([f"and {len(groups) - _MANY} more", "", "", "", ""])
        heads = [text_of(check["column"]), "rows", "selected", "true positive rate", "false positive rate"]
        compared = f"{text_of(check['metric'])} between groups: {found} (limit {figure(check['limit'])})"
        yield f"{compared}\n\n{table(heads, rows)}" if rows else compared


def _sides(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    named = (("this version", "candidate"), ("what served when it was measured", "incumbent"), ("baseline", "baseline"))
    return [(head, report[key]) for head, key in named if report.get(key)]
