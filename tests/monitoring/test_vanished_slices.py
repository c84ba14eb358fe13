"""What a monitor forgets of slices that vanish, while nothing new is declared."""

from __future__ import annotations

from heliostat.monitoring.state import Looks, MonitorState, after
from heliostat.spec.monitors import Monitor
from tests.monitoring.found import BREACH, DAY, OK, START, finding

WATCHED = Monitor.model_validate({"drift": {}})


def look(day, *findings):
    """A look that found so much."""
    return Looks(
        at=START + day * DAY, declared="d", windows="w", model_uri="models:/flights/1", reference="e" * 64, seen=str(day),
        findings=findings,
    )  # fmt: skip


def test_findings_of_slices_that_vanished_are_bounded_and_an_open_alarm_keeps_its_own(monkeypatch):
    monkeypatch.setattr("heliostat.monitoring.alarms.MOST_GONE", 3)
    state = after(MonitorState(), look(0, finding(BREACH, 0)), WATCHED)
    for day in range(1, 9):
        state = after(state, look(day, finding(OK, day, subject=f"roc_auc[day={day}]")), WATCHED)
    kept = ["roc_auc", *(f"roc_auc[day={day}]" for day in (5, 6, 7, 8))]
    assert sorted(each.subject for each in state.findings.values()) == kept
    assert [each.finding.subject for each in state.open_alarms] == ["roc_auc"]
