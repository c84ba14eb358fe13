"""Rollouts and entries of the ledger as tables; pure."""

from __future__ import annotations

from collections.abc import Sequence

from heliostat.cli.rollouts import messages
from heliostat.cli.rollouts.ledger import Line, Served, exact
from heliostat.cli.tables import table
from heliostat.spec.rollouts import Rollout

_LONGEST = 60


def as_table(rollouts: Sequence[Rollout], now: float) -> str:
    """Rollouts as the controller tells them, the newest first."""
    heads = ("NUMBER", "BEGAN", "TOOK", "STRATEGY", "FROM -> TO", "RESULT", "BY", "COMMIT", "WHY")
    rows = []
    for one in rollouts:
        said = one.origin
        commit = f"{said.commit[:10]}{'+' if said.dirty else ''}" if said and said.commit else ""
        rows.append(
            (
                str(one.number),
                messages.moment(one.started_at),
                messages.took(one, now),
                one.strategy.kind,
                f"{one.from_version or 'nothing'} -> {one.to_version}",
                str(one.phase),
                said.by if said else "",
                commit,
                _cut(messages.first_line(one.error)),
            )
        )
    return _narrow(heads, rows)


def history(lines: Sequence[Line]) -> str:
    """Entries of the ledger, the newest first."""
    heads = ("NUMBER", "WHEN", "WHAT", "FROM -> TO", "STRATEGY", "COMMIT", "BY", "ENDED", "FIGURES")
    rows = [
        (
            str(one.number),
            messages.moment(one.at),
            one.what,
            one.change,
            one.strategy,
            one.commit,
            one.by,
            _cut(one.ended),
            one.figures,
        )
        for one in lines
    ]
    return _narrow(heads, rows)


def served(application: str, at: float, what: Served | None) -> str:
    """What answered at a moment."""
    head = f"At {messages.moment(at)}"
    if what is None:
        return f"{head}, nothing of {application} had served yet."
    entry = what.entry
    by = f"by entry {entry.number} (rollout {entry.rollout}, {messages.moment(entry.at)})"
    if not what.shares:
        return f"{head}, nothing served {application}, {by}."
    parts = [f"{head}, {application} was served as follows, {by}:"]
    for share, desired in what.shares:
        parts += ["", f"  {messages.percent(share)} of the traffic", pairs(exact(desired), "    ")]
    return "\n".join(parts)


def pairs(of: Sequence[tuple[str, str]], indent: str = "") -> str:
    """Names and values below each other."""
    width = max(len(name) for name, _ in of)
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in of)


def _narrow(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that say nothing."""
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    return table([heads[column] for column in kept], [[row[column] for column in kept] for row in rows])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
