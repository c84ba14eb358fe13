"""Findings for tests of what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from heliostat.spec.findings import Aspect, Finding, Severity, State

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def finding(state: State = State.BREACH, day: int = 0, subject: str = "roc_auc", **given: object) -> Finding:
    values: dict[str, object] = {
        "monitor": "flights", "aspect": Aspect.QUALITY, "subject": subject, "state": state, "at": START + day * DAY,
        "window": f"2026-01-{day + 1:02}", "text": f"{subject} is {state}",
    }  # fmt: skip
    return Finding(**(values | given))


OK, BREACH, UNKNOWN = State.OK, State.BREACH, State.UNKNOWN
CRITICAL = Severity.CRITICAL
