"""Labels that come once another version serves are held against the version whose answers they are of, and wake nobody."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_monitor_versions import NEXT, contents, data, world
from watched_birds import DAY, MONDAY, QUALITY, Watched, birds, damaged

from heliostat.jobs import monitor
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.state import MonitorState
from heliostat.spec.findings import State
from heliostat.spec.monitoring import other_window_key

__all__ = ["contents", "data", "world"]
ASKED: dict[str, Any] = {"quality": [QUALITY], "bias": {"minRows": 100}, "sinks": []}
MAE, RATIO = "birds/quality/mean_absolute_error", "birds/prediction-bias/ratio"


def look(world: Watched, now: dt.datetime, serves: int, **declared: Any) -> MonitorState:
    asked = world.specification(now, **{**ASKED, **declared})
    monitor.watch(asked.model_copy(update={"model_uri": f"models:/birds/{serves}"}))
    return world.state


def other(world: Watched, version: str, window: str) -> WindowReport:
    return WindowReport.model_validate_json(world.store.get(other_window_key("birds", version, window)))


def rolled_out(world: Watched, **declared: Any) -> None:
    """Version 3 served until noon, then version 4 did; no label is there by the first look of version 4."""
    look(world, MONDAY - DAY / 2, 3, **declared)
    world.log(MONDAY, name="a", version="3-abcdef12")
    world.log(MONDAY, birds(200, 9), name="b", version="4-abcdef12")
    look(world, NEXT, 4, **declared)


def test_labels_that_come_a_day_late_are_held_against_the_version_that_answered_and_wake_nobody(world: Watched) -> None:
    rolled_out(world)
    assert not world.state.others, "without labels nothing is told"
    world.label(MONDAY, factor=3.0, name="a")
    world.label(MONDAY, birds(200, 9), name="b")
    state = look(world, NEXT + DAY, 4)
    found = state.others["3"].findings
    assert {found[MAE].state, found[RATIO].state} == {State.BREACH}
    assert found[MAE].text.startswith("of version 3, which is not watched now: mean_absolute_error is ")
    assert "0.3 worse than the reference's" in found[MAE].text, "its own reference, which was kept"
    own = {each.key: each.state for each in world.report("2026-03-02").findings}
    assert own[MAE] is own[RATIO] is State.OK, "what serves answered well"
    assert not state.open_alarms and not state.outbox.waiting
    assert state.worst is not None and "version 3" not in state.worst.text
    report = other(world, "3", "2026-03-02")
    assert (report.rows, report.labels, report.model_uri) == (400, 400, "models:/birds/3")
    assert world.report("2026-03-02").rows == 200


def test_a_window_is_told_again_only_when_more_labels_came_for_it(world: Watched) -> None:
    rolled_out(world)
    world.label(MONDAY, name="a")
    first = look(world, NEXT + DAY, 4)
    world.label(MONDAY, birds(200, 9), name="b")  # of the version that serves
    again = look(world, NEXT + DAY * 2, 4)
    assert again.others == first.others and other(world, "3", "2026-03-02").looked_at == NEXT + DAY
    assert first.others["3"].findings[MAE].state is State.OK


def test_an_older_window_that_labels_come_late_for_is_not_the_newest(world: Watched) -> None:
    world.log(MONDAY)
    world.log(MONDAY + DAY)
    assert look(world, NEXT + DAY, 3).newest_window == "2026-03-03"
    world.label(MONDAY, factor=3.0)
    state = look(world, NEXT + DAY * 1.2, 3)
    assert world.report("2026-03-02").labels == 400, "it was looked at again"
    assert state.newest_window == "2026-03-03"


def test_what_was_told_while_a_version_served_is_not_told_again_of_it(world: Watched) -> None:
    look(world, MONDAY - DAY / 2, 3)
    world.log(MONDAY)
    world.label(MONDAY, factor=3.0)
    assert look(world, NEXT, 3).open_alarms
    world.log(MONDAY + DAY, birds(200, 9), name="b", version="4-abcdef12")
    state = look(world, NEXT + DAY, 4)
    assert state.others["3"].findings == {}
    world.log(MONDAY, birds(100, 8), name="c", version="3-abcdef12")
    world.label(MONDAY, birds(100, 8), name="c")
    state = look(world, NEXT + DAY * 2, 4)
    assert other(world, "3", "2026-03-02").labels == 500 and state.others["3"].findings[MAE].state is State.BREACH


def test_a_version_that_was_never_watched_is_held_to_a_limit_and_not_to_a_reference_that_is_not_there(world: Watched) -> None:
    look(world, MONDAY - DAY / 2, 4)
    world.log(MONDAY, version="2-abcdef12")
    world.label(MONDAY, factor=3.0)
    state = look(world, NEXT, 4)
    assert state.others["2"].findings[MAE].state is State.UNKNOWN
    assert "the reference has no such figure" in state.others["2"].findings[MAE].text
    assert state.others["2"].findings[RATIO].state is State.BREACH
    world.log(MONDAY, birds(100, 8), name="c", version="2-abcdef12")
    world.label(MONDAY, birds(100, 8), name="c")
    state = look(world, NEXT + DAY, 4, quality=[{"metric": "mean_absolute_error", "limit": 0.3, "minRows": 100}])
    assert state.others["2"].findings[MAE].state is State.BREACH


def test_a_version_that_serves_again_is_no_other_one(world: Watched) -> None:
    rolled_out(world)
    world.label(MONDAY, factor=3.0, name="a")
    assert "3" in look(world, NEXT + DAY, 4).others
    world.label(MONDAY, birds(200, 9), name="b")
    assert [*look(world, NEXT + DAY * 2, 3).others] == ["4"]


def test_a_window_that_is_not_over_waits_and_is_looked_at_though_what_serves_answered_nothing(world: Watched) -> None:
    look(world, MONDAY - DAY / 2, 4)
    world.log(MONDAY, version="3-abcdef12")
    world.label(MONDAY)
    state = look(world, MONDAY + DAY * 0.99, 4)
    assert not state.others and state.next_due is not None and state.next_due <= NEXT
    assert look(world, NEXT, 4).others["3"].looked, "nothing came, and the window is over"


@pytest.mark.parametrize("rows", [100, 10_000])
def test_where_windows_are_of_so_many_rows_all_rows_of_another_version_are_one(world: Watched, rows: int) -> None:
    windows = {"windows": {"kind": "count", "rows": rows}}
    quality = [{**QUALITY, "minRows": 50}]
    rolled_out(world, **windows, quality=quality)
    world.label(MONDAY, factor=3.0, name="a")
    state = look(world, NEXT + DAY, 4, **windows, quality=quality)
    assert state.others["3"].findings[MAE].state is State.BREACH and not state.open_alarms
    assert other(world, "3", "all rows that are read").labels == 400


def test_with_nothing_that_labels_tell_nothing_is_kept_of_others(world: Watched) -> None:
    declared = {"quality": [], "bias": None, "drift": {}}
    rolled_out(world, **declared)
    world.label(MONDAY, factor=3.0, name="a")
    assert not look(world, NEXT + DAY, 4, **declared).others


def test_a_damaged_reference_of_another_version_is_told_and_the_rest_of_the_look_stands(
    world: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    rolled_out(world)
    for info in list(world.store.list("monitors/birds/references/")):
        if info.key.endswith("/labelled.arrow"):
            world.store.put(info.key, damaged(world.store.get(info.key)))
    world.label(MONDAY, factor=3.0, name="a")
    world.label(MONDAY, birds(200, 9), name="b")
    state = look(world, NEXT + DAY, 4)
    assert "cannot be read, and nothing is held against it" in capsys.readouterr().out
    assert state.others["3"].findings[MAE].state is State.UNKNOWN
    assert state.others["3"].findings[RATIO].state is State.BREACH
    assert {each.key: each.state for each in world.report("2026-03-02").findings}[MAE] is State.OK


def test_a_version_that_answered_no_such_field_is_told_as_that(world: Watched) -> None:
    world.log(MONDAY, name="a", version="3-abcdef12")
    [info] = world.store.list("predictions/birds/")
    content = pq.read_table(io.BytesIO(world.store.get(info.key)))
    buffer = io.BytesIO()
    names = [name.replace("kilometres", "distance") for name in content.column_names]
    pq.write_table(content.rename_columns(names), buffer)
    world.store.put(info.key, buffer.getvalue())
    world.log(MONDAY, birds(200, 9), name="b", version="4-abcdef12")
    world.label(MONDAY, name="a")
    found = look(world, NEXT, 4).others["3"].findings[MAE]
    assert found.state is State.UNKNOWN and found.text.endswith("none of its 400 answers has a finite 'kilometres'")
