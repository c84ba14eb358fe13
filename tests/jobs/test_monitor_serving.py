"""What is looked at is what serves, by the ledger: a candidate that waits, or went back, is not."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest
from packaged import workload
from watched_birds import DAY, MONDAY, QUALITY, Watched, birds, snapshot

from heliostat.jobs import monitor
from heliostat.jobs.monitoring import model as monitor_model
from heliostat.jobs.monitoring.serving import serving_in
from heliostat.monitoring import intervals
from heliostat.monitoring.state import MonitorState
from heliostat.packaging.contents import Contents
from heliostat.spec.ledger import Entry, EntryKind, key_of
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen
from heliostat.systems.errors import RetryableError
from heliostat.testing.declarations import desired, version

NEXT = MONDAY + DAY + dt.timedelta(hours=2)
ASKED: dict[str, Any] = {"quality": [QUALITY], "drift": {}, "sinks": []}
BEFORE, CANDIDATE = "models:/birds/3", "models:/birds/4"


def entry(number: int, phase: Phase, weights: tuple[float, float], kind: EntryKind = EntryKind.SHIFT) -> Entry:
    """What serves of the version before and of the candidate."""
    before, target = (
        desired(version=version(each, model_uri=uri)) for each, uri in ((1, BEFORE), (2, CANDIDATE))
    )  # fmt: skip
    shares = zip((before, target), weights, strict=True)
    return Entry(
        number=number, id=f"{number}", application="birds", at=MONDAY.timestamp(), kind=kind, rollout=2, phase=phase,
        strategy=BlueGreen(), previous=before, target=target,
        weights={each.version.digest: share for each, share in shares if share},
    )  # fmt: skip


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return workload(tmp_path_factory.mktemp("workload"), "watched_storks")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, contents: Contents) -> Path:
    return snapshot(tmp_path_factory.mktemp("data"), contents)


@pytest.fixture
def world(tmp_path: Path, contents: Contents, data: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    shutil.copytree(data, tmp_path / "store")
    monkeypatch.setattr(monitor_model.model_cache, "fetch", lambda *_, whole: contents.model)
    monkeypatch.setattr(intervals, "_DRAWS", 30)
    found = Watched(tmp_path, contents)
    monkeypatch.setattr(monitor, "registered_data", lambda _: lambda uri: found.digest)
    return found


def told(world: Watched, now: dt.datetime, newest: Entry) -> MonitorState:
    """A look with the candidate as what was declared last."""
    world.store.put(key_of("birds", newest.number), newest.model_dump_json().encode())
    monitor.watch(world.specification(now, **ASKED).model_copy(update={"model_uri": CANDIDATE}))
    return world.state


def test_while_a_candidate_waits_what_was_there_before_is_looked_at_and_alarms(world: Watched) -> None:
    world.log(MONDAY)
    world.label(MONDAY, factor=3.0)
    state = told(world, NEXT, entry(1, Phase.WAITING, (0.5, 0.5)))
    assert state.model_uri == BEFORE and [each.finding.aspect for each in state.open_alarms] == ["quality"]


def test_a_candidate_is_looked_at_once_it_is_through_and_no_more_once_it_went_back(world: Watched) -> None:
    world.log(MONDAY)
    assert told(world, NEXT, entry(1, Phase.SHIFTING, (0.9, 0.1))).model_uri == BEFORE
    assert told(world, NEXT, entry(2, Phase.SUCCEEDED, (0.0, 1.0), EntryKind.END)).model_uri == CANDIDATE
    world.log(MONDAY + DAY, birds(400, 5), name="b")
    state = told(world, NEXT + DAY, entry(3, Phase.FAILED, (1.0, 0.0), EntryKind.END))
    assert state.model_uri == BEFORE and state.newest_window == "2026-03-03"


def test_where_its_data_are_not_known_what_was_declared_is_looked_at_and_that_is_said(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(uri: str) -> str:
        raise RetryableError("MLflow does not answer")

    monkeypatch.setattr(monitor, "registered_data", lambda _: away)
    world.log(MONDAY)
    for _ in range(2):
        state = told(world, NEXT, entry(1, Phase.WAITING, (0.5, 0.5)))
        said = [each for each in state.problems if f"{BEFORE} serves, and {CANDIDATE} is looked at" in each]
        assert state.model_uri == CANDIDATE and len(said) == 1 and "MLflow does not answer" in said[0]


def test_of_what_is_removed_the_ledger_says_nothing() -> None:
    assert serving_in(entry(1, Phase.SUCCEEDED, (0.0, 1.0), EntryKind.REMOVED)) is None
    first = entry(1, Phase.FAILED, (0.0, 0.0), EntryKind.END).model_copy(update={"previous": None})
    assert serving_in(first) is None, "its first version never came to serve"


def test_what_was_there_before_serves_until_all_requests_go_to_the_other() -> None:
    assert serving_in(entry(1, Phase.STARTING, (0.0, 0.0))) == BEFORE
    assert serving_in(entry(1, Phase.SHIFTING, (0.1, 0.9))) == BEFORE, "it may go back still"
    assert serving_in(entry(1, Phase.SHIFTING, (0.0, 1.0))) == CANDIDATE
    assert serving_in(entry(1, Phase.STARTING, (0.0, 0.0)).model_copy(update={"previous": None})) == CANDIDATE
