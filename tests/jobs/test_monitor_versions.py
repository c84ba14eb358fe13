"""Windows hold what the version that serves answered; and a service that falls silent has no good findings left."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest
from packaged import workload
from watched_birds import DAY, MONDAY, QUALITY, Watched, birds, snapshot

from heliostat.jobs.monitoring import model as monitor_model
from heliostat.monitoring import intervals
from heliostat.packaging.contents import Contents
from heliostat.spec.findings import State

NEXT = MONDAY + DAY + dt.timedelta(hours=2)
ASKED: dict[str, Any] = {"quality": [QUALITY], "bias": {"minRows": 100}, "drift": {}, "predictionDrift": {}, "sinks": []}


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return workload(tmp_path_factory.mktemp("workload"), "watched_swans")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, contents: Contents) -> Path:
    return snapshot(tmp_path_factory.mktemp("data"), contents)


@pytest.fixture
def world(tmp_path: Path, contents: Contents, data: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    shutil.copytree(data, tmp_path / "store")
    monkeypatch.setattr(monitor_model.model_cache, "fetch", lambda *_, whole: contents.model)
    monkeypatch.setattr(intervals, "_DRAWS", 30)
    return Watched(tmp_path, contents)


def states(state: Any) -> dict[str, State]:
    return {key.removeprefix("birds/"): each.state for key, each in state.findings.items()}


def test_the_version_that_serves_is_not_blamed_for_the_answers_of_another(world: Watched) -> None:
    heavy = birds(400, 2, heavier=3.0)
    world.look(MONDAY - DAY / 2, **ASKED)  # the version is new here: what comes now is what it was not trained on
    world.log(MONDAY)
    world.log(MONDAY, heavy, name="b", version="2-00000000")
    world.label(MONDAY)
    world.label(MONDAY, heavy, factor=3.0, name="b")
    state = world.look(NEXT, **ASKED)
    assert not [key for key, each in states(state).items() if each is State.BREACH]
    report = world.report("2026-03-02")
    assert (report.rows, report.labels) == (400, 400)
    found = state.findings["birds/log/versions"]
    assert found.state is State.OK and "400 of 800 rows are left out" in found.text and "400 of version 2" in found.text
    assert state.new_rows == 800, "whoever answered them, they are rows to train on"


def test_of_a_version_that_answered_nothing_nothing_is_said(world: Watched) -> None:
    world.log(MONDAY, version="2-00000000")
    world.label(MONDAY, factor=3.0)
    state = world.look(NEXT, **ASKED)
    assert states(state)["log/versions"] is State.UNKNOWN and state.newest_window == ""
    assert State.BREACH not in states(state).values()


@pytest.mark.parametrize("version", ["3", "", "30-abcdef12"])
def test_rows_say_whose_they_are_by_the_versions_number_alone(world: Watched, version: str) -> None:
    world.log(MONDAY, version=version)
    state = world.look(NEXT, **ASKED)
    assert (state.newest_window == "2026-03-02") is (version != "30-abcdef12")
    assert ("log/versions" in states(state)) is (version == "30-abcdef12")


def test_a_service_that_falls_silent_has_no_good_findings_left(world: Watched) -> None:
    world.log(MONDAY)
    world.label(MONDAY)
    asked = {**ASKED, "recency": {"predictionsSeconds": 172_800}}
    good = world.look(NEXT, **asked)
    assert states(good)["quality/mean_absolute_error"] is State.OK and good.next_due == NEXT - dt.timedelta(hours=1) + DAY
    later = world.look(NEXT + 9 * DAY, **asked)
    assert later.newest_window == "2026-03-11" and len(later.looked) == 10
    found = states(later)
    assert {found[key] for key in ("quality/mean_absolute_error", "drift/weight", "prediction-bias/ratio")} == {State.UNKNOWN}
    assert [key for key, each in found.items() if each is State.BREACH] == ["recency/predictions"]
    again = world.look(NEXT + 9 * DAY + dt.timedelta(minutes=5), **asked)
    assert again.looked == later.looked and again.newest_window == later.newest_window
    assert len(again.open_alarms) == 1, "the silence is told once"


def test_a_silence_beyond_what_is_read_is_kept_no_longer(world: Watched) -> None:
    world.log(MONDAY)
    world.look(NEXT, **ASKED)
    for day in range(10, 30):
        state = world.look(NEXT + day * DAY, **ASKED)
    assert len(state.looked) <= 21, "windows are dropped with the rows that are too old to be read"
    assert state.next_due is None


def test_rows_that_come_after_a_silence_have_their_windows_looked_at(world: Watched) -> None:
    world.log(MONDAY)
    world.look(NEXT + 3 * DAY, **ASKED)
    world.log(MONDAY + 2 * DAY)
    world.log(MONDAY + 4 * DAY)
    state = world.look(NEXT + 4 * DAY, **ASKED)
    assert world.report("2026-03-04").rows == 400 and states(state)["drift/weight"] is State.OK
