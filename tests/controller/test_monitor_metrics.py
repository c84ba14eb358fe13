"""What monitors found, as Prometheus is told; a store that is away hides nothing that was known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from heliostat.controller.monitor_states import MonitorStates, next_look
from heliostat.monitoring.alarms import Alarm, Alarms, Status
from heliostat.monitoring.state import MonitorState
from heliostat.spec.findings import Aspect, Finding, Severity, State
from heliostat.spec.monitoring import states
from heliostat.spec.predictions import Scheduled, schedule_key
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

NOW = datetime(2026, 3, 2, tzinfo=UTC)
AREA = Finding(
    monitor="flights", aspect=Aspect.QUALITY, subject="roc_auc", state=State.BREACH, severity=Severity.CRITICAL,
    at=NOW, value=0.58, limit=0.62, text="roc_auc is 0.58",
)  # fmt: skip
SLICE = AREA.model_copy(update={"subject": "roc_auc[carrier=UA]", "state": State.OK})


SCHEDULED = Scheduled(
    name="flights", module="heliostat.jobs.monitor", schedule="0 6 * * 1", since=0, base="b", specification="s", code_uri="c",
    timeout_seconds=60,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Directory:
    return written(Directory(tmp_path))


def written(store: Directory) -> Directory:
    """A monitor of `flights` that has looked, and found something."""
    alarm = Alarm(key=AREA.key, status=Status.FIRING, severity=AREA.severity, finding=AREA, since=NOW)
    state = MonitorState(
        looked_at=NOW, findings={each.key: each for each in (AREA, SLICE)}, alarms=Alarms(alarms={AREA.key: alarm})
    )
    store.put(schedule_key("monitor.flights"), SCHEDULED.model_dump_json().encode())
    Revisions(store, states("flights")).change(lambda _: state.model_dump_json().encode())
    return store


def samples(monitors: MonitorStates) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value for family in monitors.families() for sample in family.samples
    }


async def test_findings_values_and_alarms_are_told_and_slices_have_no_series(store: Directory) -> None:
    monitors = MonitorStates(lambda: store)
    await monitors.refresh()
    found = samples(monitors)
    assert found["heliostat_monitor_findings", "flights", "quality", "breach"] == 1
    assert found["heliostat_monitor_value", "flights", "quality", "roc_auc"] == 0.58
    assert found["heliostat_monitor_limit", "flights", "quality", "roc_auc"] == 0.62
    assert found["heliostat_monitor_alarms", "flights", "critical"] == 1
    assert found["heliostat_monitor_alarms", "flights", "warning"] == 0, "an alarm that ends is a zero, and no gap"
    assert found["heliostat_monitor_looked_timestamp_seconds", "flights"] == NOW.timestamp()
    assert found["heliostat_monitor_next_look_timestamp_seconds", "flights"] == NOW.timestamp() + 6 * 3600
    assert not [name for name in found if "[carrier=UA]" in name[-1]]


async def test_the_store_is_asked_now_and_then_and_what_was_known_stays(store: Directory) -> None:
    asked, clock = list[int](), [0.0]

    def opened() -> Directory:
        asked.append(1)
        if clock[0] > 100:
            raise RetryableError("away")
        return store

    monitors = MonitorStates(opened, lambda: clock[0])
    for clock[0] in (0.0, 5.0, 20.0, 200.0):
        await monitors.refresh()
    assert len(asked) == 3
    assert set(monitors.states) == {"flights"}


async def test_without_monitors_there_is_nothing_to_tell(tmp_path: Path) -> None:
    monitors = MonitorStates(lambda: Directory(tmp_path))
    await monitors.refresh()
    assert samples(monitors) == {}


@pytest.mark.parametrize(
    ("schedule", "looked", "coming"),
    [
        ("0 6 * * 1", datetime(2026, 3, 2, 6, 1, tzinfo=UTC), datetime(2026, 3, 9, 6, tzinfo=UTC)),
        ("15 * * * *", datetime(2026, 3, 2, 6, 15, 20, tzinfo=UTC), datetime(2026, 3, 2, 7, 15, tzinfo=UTC)),
        ("0 0 1 * *", None, datetime(2026, 4, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_when_a_look_is_late_depends_on_its_schedule(schedule: str, looked: datetime | None, coming: datetime) -> None:
    """One of every week is not silent for six days; and one that never looked is late once it should have."""
    scheduled = SCHEDULED.model_copy(update={"schedule": schedule, "since": NOW.timestamp()})
    assert next_look(scheduled, looked) == coming


async def test_of_a_schedule_of_another_release_all_else_is_told(store: Directory) -> None:
    store.put(schedule_key("monitor.flights"), b"{}")
    monitors = MonitorStates(lambda: store)
    await monitors.refresh()
    found = samples(monitors)
    assert ("heliostat_monitor_next_look_timestamp_seconds", "flights") not in found
    assert found["heliostat_monitor_looked_timestamp_seconds", "flights"] == NOW.timestamp()
