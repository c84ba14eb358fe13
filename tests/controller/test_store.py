"""What the controller keeps is there after it was killed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from heliostat.controller.store import FILE, Store
from heliostat.rollout.model import Colour, Progress, State
from heliostat.spec.resources import StoreAddress
from heliostat.spec.rollouts import Desired, Phase, Version
from heliostat.spec.strategies import BlueGreen
from heliostat.spec.workload import Limits, PredictionLog
from heliostat.systems.errors import PermanentError
from heliostat.systems.haproxy_config import Route, Server


def wanted() -> Desired:
    version = Version(
        digest="0" * 64,
        label="1-00000000",
        code_uri="file:///code.zip",
        contract="app:contract",
        model_uri="models:/flights/1",
        tracking_uri="http://127.0.0.1:5000",
        store=StoreAddress(uri="file:///objects"),
        prediction_log=PredictionLog(),
        limits=Limits(),
    )
    return Desired(
        version=version,
        replicas=2,
        cpus_per_replica=1,
        max_ongoing_requests=8,
        startup_timeout_seconds=60,
        strategy=BlueGreen(),
    )


def state(phase: Phase = Phase.STARTING, number: int = 1) -> State:
    rollout = Progress(
        number=number,
        phase=phase,
        strategy=BlueGreen(),
        way_back=BlueGreen(),
        candidate=Colour.BLUE,
        target=wanted(),
        started_at=1.0,
        since=2.0,
        figures={"startup_seconds": 8.0 + number},
    )
    return State(name="flights", declared=wanted(), rollout=rollout)


def test_a_state_is_the_same_after_a_restart(tmp_path: Path) -> None:
    Store(tmp_path).save(state())
    assert Store(tmp_path).states() == {"flights": state()}


def test_events_are_numbered_from_one_in_each_rollout(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(state(), ((Phase.PENDING, "a"), (Phase.STARTING, "b")), 10.0)
    store.save(state(), ((Phase.TESTING, "c"),), 11.0)
    store.save(state(number=2), ((Phase.PENDING, "d"),), 12.0)
    assert [(e.number, e.message) for e in store.events("flights", 1)] == [(1, "a"), (2, "b"), (3, "c")]
    assert [(e.number, e.at) for e in store.events("flights", 2)] == [(1, 12.0)]


def test_golden_answers_are_known_after_a_restart_until_the_colour_is_emptied(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.tested("flights", Colour.BLUE, "r1", None)
    store.tested("flights", Colour.GREEN, "r2", "wrong")
    store.untest("flights", Colour.GREEN)
    assert Store(tmp_path).golden("flights") == {(Colour.BLUE, "r1"): None}


def test_the_median_of_the_latest_starts_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.measured("flights", "startup_seconds") is None
    for number in range(1, 8):
        store.save(state(Phase.SUCCEEDED, number), ((Phase.SUCCEEDED, "done"),), float(number))
    assert store.measured("flights", "startup_seconds") == (13.0, 5)


def test_routes_come_back_as_they_were(tmp_path: Path) -> None:
    routes = {"flights": Route("flights", 2_500, (Server("r1", "127.0.0.1", 30001),), ())}
    Store(tmp_path).save_routes(routes, 1.0)
    assert Store(tmp_path).routes() == routes


def test_a_forgotten_application_leaves_its_measurements(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(state(Phase.SUCCEEDED), ((Phase.SUCCEEDED, "done"),), 1.0)
    store.forget("flights")
    assert store.states() == {}
    assert store.events("flights", 1) == ()
    assert store.measured("flights", "startup_seconds") is not None


def test_a_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, but long enough to look like one" * 20)
    with pytest.raises(PermanentError, match="damaged, move it away"):
        Store(tmp_path)


def test_a_file_of_a_newer_version_is_a_clear_error(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(PermanentError, match="version 99"):
        Store(tmp_path)
