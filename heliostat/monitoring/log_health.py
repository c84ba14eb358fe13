"""Findings about what a look rests on: files that could be read, clocks that agree, labels that fit. Pure."""

from __future__ import annotations

from datetime import datetime

from heliostat.monitoring.join import JoinCounts
from heliostat.monitoring.logged import Reading
from heliostat.spec.base import Name
from heliostat.spec.findings import Aspect, Finding, Severity, State

_MOST_ODD: int = 100
"""One in so many labels may be odd in one way before it is more than a note."""


def health(
    monitor: Name, at: datetime, reading: Reading, counts: JoinCounts, ahead: int = 0, ahead_seconds: float = 0.0
) -> list[Finding]:
    """One finding of each part, so that each has an alarm that ends when it is mended.

    Args:
        monitor: The monitor's name.
        at: When it was looked.
        reading: What was read of the log, and what could not be.
        counts: What became of predictions and labels.
        ahead: Rows of the log from the future.
        ahead_seconds: How far the most of them are.
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
    many = max(counts.unknown, counts.conflicting) * _MOST_ODD > max(1, counts.labels)
    return [
        found(Aspect.LOG, "files", bool(reading.problems), files),
        found(Aspect.LOG, "clocks", odd > 0, clocks or "no time is in the future, and no label came before its prediction"),
        found(Aspect.LABELS, "fit", many and counts.labels > 0, "; ".join(filter(None, [coverage, labels])), Severity.INFO),
    ]
