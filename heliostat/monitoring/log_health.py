"""Findings about what a look rests on: files that could be read, clocks that agree, labels that fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from heliostat.monitoring.join import JoinCounts
from heliostat.monitoring.logged import Reading
from heliostat.spec.base import Name
from heliostat.spec.findings import Aspect, Finding, Severity, State
from heliostat.spec.formatting import duration

_MOST_ODD: int = 100
"""One in so many labels may be odd in one way before it is more than a note."""


def health(
    monitor: Name,
    at: datetime,
    reading: Reading,
    counts: JoinCounts,
    ahead: int = 0,
    ahead_seconds: float = 0.0,
    versions: Mapping[str, int] | None = None,
) -> list[Finding]:
    """One finding of each part, so that each has an alarm that ends when it is mended.

    Args:
        monitor: The monitor's name.
        at: When it was looked.
        reading: What was read of the log, and what could not be.
        counts: What became of predictions and labels.
        ahead: Rows of the log from the future.
        ahead_seconds: How far the most of them are.
        versions: How many rows other versions answered than the one that is watched, by their numbers.
    """

    def found(aspect: Aspect, subject: str, wrong: bool, text: str, severity: Severity = Severity.WARNING) -> Finding:
        state = State.BREACH if wrong else State.OK
        return Finding(monitor=monitor, aspect=aspect, subject=subject, state=state, severity=severity, at=at, text=text)

    files = "; ".join(reading.problems) or f"all files were read, {reading.rows:,} rows"
    odd = ahead + counts.future + counts.premature
    clocks = f"{ahead} rows of the log are up to {ahead_seconds:.0f} s in the future" if ahead else ""
    clocks = "; ".join(filter(None, [clocks, *(text for text in counts.problems if "clocks are apart" in text)]))
    labels = "; ".join(text for text in counts.problems if "clocks are apart" not in text)
    coverage = f"{counts.labelled:,} of {counts.predictions:,} predictions have a label"
    coverage += (
        f"; {counts.weighed:,} of them were chosen for review, and count by one over the chance" if counts.weighed else ""
    )
    coverage += f"; {_delayed(counts.delays)}" if counts.delays else ""
    many = max(counts.unknown, counts.conflicting) * _MOST_ODD > max(1, counts.labels)
    return [
        found(Aspect.LOG, "files", bool(reading.problems), files),
        *([_of_others(monitor, at, counts.predictions, versions)] if versions else []),
        found(Aspect.LOG, "clocks", odd > 0, clocks or "no time is in the future, and no label came before its prediction"),
        found(Aspect.LABELS, "fit", many and counts.labels > 0, "; ".join(filter(None, [coverage, labels])), Severity.INFO),
    ]


def _delayed(delays: Mapping[str, float]) -> str:
    half, most, nearly_all = (duration(delays[level]) for level in ("0.5", "0.9", "0.99"))
    return f"half of those that say when came within {half} of their prediction, 90 % within {most}, 99 % within {nearly_all}"


def _of_others(monitor: Name, at: datetime, rows: int, versions: Mapping[str, int]) -> Finding:
    """That rows are of other versions, as beside a canary or from before a rollout: no window of this one holds them."""
    others = sum(versions.values())
    told = ", ".join(f"{count:,} of version {number}" for number, count in sorted(versions.items()))
    text = f"{others:,} of {rows:,} rows are left out, for others answered them than the version that is watched: {told}"
    state = State.OK if others < rows else State.UNKNOWN
    return Finding(monitor=monitor, aspect=Aspect.LOG, subject="versions", state=state, at=at, text=text)
