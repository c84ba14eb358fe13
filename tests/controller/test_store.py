"""What the controller keeps is there after it was killed."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from heliostat.controller import schema
from heliostat.controller.ledger import entry
from heliostat.controller.points import Point
from heliostat.controller.store import FILE, Store
from heliostat.rollout import orders
from heliostat.rollout.model import Colour, Progress, Record, State
from heliostat.rollout.refusals import forget, is_refused
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Analysis, SuccessRate
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.latencies import Counts
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Desired, Phase, Version
from heliostat.spec.strategies import Affinity, BlueGreen
from heliostat.spec.workload import Limits, PredictionLog
from heliostat.systems.errors import PermanentError
from heliostat.systems.haproxy_config import Route

ANALYSIS = Analysis(checks=(SuccessRate(at_least=0.99),))


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
    routes = {"flights": Route("flights", 2_500, (Endpoint("r1", "127.0.0.1", 30001),), ())}
    Store(tmp_path).save_routes(routes)
    assert Store(tmp_path).routes() == routes
    held = Route("flights", 100, (), (), Affinity(cookie="ab"), "5a1f")
    Store(tmp_path).save_route(held)
    assert Store(tmp_path).routes() == {"flights": held}
    Store(tmp_path).save_routes({})
    assert Store(tmp_path).routes() == {}


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


MADE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)")


def earlier_file(path: Path, *phases: str) -> None:
    """A file as version 1 left it, with a rollout for each of `phases`, the last one the newest."""
    first = state(Phase.RETAINING, len(phases))
    assert first.rollout is not None
    progress = {
        "number": 1, "phase": "succeeded", "strategy": {"kind": "blue-green"}, "candidate": "blue", "inPlace": False,
        "target": wanted().model_dump(mode="json"), "wayBack": {"kind": "blue-green"}, "startedAt": 1.0, "since": 2.0,
    }  # fmt: skip
    kept = {"name": "flights", "declared": wanted().model_dump(mode="json"), "live": "blue", "share": 0, "rollout": progress}
    with sqlite3.connect(path / FILE) as db:
        db.executescript(schema._MIGRATIONS[1] + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO applications VALUES ('flights', ?)", (json.dumps(kept),))
        for number, phase in enumerate(phases, 1):
            text = json.dumps({**progress, "number": number, "phase": phase})
            db.execute("INSERT INTO rollouts VALUES ('flights', ?, ?)", (number, text))
            db.execute("INSERT INTO events VALUES ('flights', ?, 1, 5.0, ?, 'told')", (number, phase))
        db.execute("INSERT INTO measurements VALUES ('flights', 'startup_seconds', 7.5, 1.0)")
        db.execute("INSERT INTO shifts VALUES ('flights', 1.0, 10000)")
        route = {"application": "flights", "green_share": 250, "blue": [{"name": "r", "host": "h", "port": 1}], "green": []}
        db.execute("INSERT INTO traffic VALUES ('flights', ?)", (json.dumps(route),))


def test_a_file_of_the_first_version_is_taken_over_with_all_that_it_holds(tmp_path: Path) -> None:
    earlier_file(tmp_path, "succeeded", "failed", "failed", "starting")
    store = Store(tmp_path)
    assert store.states()["flights"].declared == wanted()
    assert [each.number for each in store.rollouts("flights")] == [4, 3, 2, 1]
    assert [each.message for each in store.events("flights", 2)] == ["told"]
    assert store.measured("flights", "startup_seconds") == (7.5, 1)
    assert store.routes() == {"flights": Route("flights", 250, (Endpoint("r", "h", 1),), ())}
    assert store.tallies("flights") == {("blue-green", "succeeded"): 1, ("blue-green", "failed"): 2}
    assert store.outbox() is None
    # And it goes on like any other.
    store.save(state(Phase.SUCCEEDED, 5), ((Phase.SUCCEEDED, "done"),), 9.0)
    assert Store(tmp_path).tallies("flights")["blue-green", "succeeded"] == 2


def tables(path: Path) -> dict[str, str]:
    with sqlite3.connect(path / FILE) as db:
        return dict(db.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))


@pytest.mark.parametrize("version", range(1, schema.VERSION + 1))
def test_a_file_of_any_version_becomes_what_a_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    Store(new).close()
    old.mkdir()
    with monkeypatch.context() as patched, sqlite3.connect(old / FILE, isolation_level=None) as db:
        patched.setattr(schema, "VERSION", version)
        schema.migrate(db, old / FILE)
    Store(old).close()
    assert tables(old) == tables(new)
    with sqlite3.connect(old / FILE) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_each_version_follows_the_one_before_and_makes_tables_of_its_own() -> None:
    assert [*schema._MIGRATIONS] == [*range(1, schema.VERSION + 1)], "a number that was given is never given again"
    made = [name for step in schema._MIGRATIONS.values() if isinstance(step, str) for name in MADE.findall(step)]
    assert len(made) == len(set(made)), "where two versions make one table, the second one's columns are missing"


def test_a_migration_that_was_killed_in_the_middle_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier_file(tmp_path, "succeeded")
    with monkeypatch.context() as patched:
        patched.setitem(schema._MIGRATIONS, 2, schema._MIGRATIONS[2] + "INSERT INTO nothing_of_that_name VALUES (1);")
        with pytest.raises(PermanentError):
            Store(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT COUNT(*) FROM shifts").fetchone() == (1,)
    assert Store(tmp_path).states()["flights"].name == "flights"


def refused_before(path: Path) -> tuple[Desired, ...]:
    """A file as version 2 left it: refusals of all of a declaration, the last one of a rollout that is forgotten."""

    def numbered(number: int) -> Desired:
        changes = {"label": f"{number}-00000000", "digest": f"{number:064x}", "model_uri": f"models:/flights/{number}"}
        return wanted().model_copy(update={"version": wanted().version.model_copy(update=changes)})

    declared = tuple(numbered(number) for number in (1, 2, 9))
    store = Store(path)
    found = state(Phase.FAILED, 2)
    assert found.rollout is not None
    changes = {"target": declared[0], "previous": declared[1].model_copy(update={"replicas": 5})}
    store.save(found.but(rollout=found.rollout.model_copy(update=changes)))
    store.close()
    with sqlite3.connect(path / FILE) as db:
        (text,) = db.execute("SELECT state FROM applications").fetchone()
        refused = [
            {"fingerprint": orders.fingerprint(each), "label": each.version.label, "rollout": 2, "at": 3.0, "reason": "no"}
            for each in declared
        ]
        db.execute("UPDATE applications SET state = ?", (json.dumps({**json.loads(text), "refused": refused}),))
        db.execute("PRAGMA user_version = 2")
    return declared


def test_what_an_earlier_controller_refused_is_refused_still_whatever_its_number_of_replicas(tmp_path: Path) -> None:
    declared = refused_before(tmp_path)
    found = Store(tmp_path).states()["flights"]
    assert [each.label for each in found.refused] == ["1-00000000", "2-00000000", "9-00000000"]
    for each in declared:
        assert is_refused(found, each.model_copy(update={"replicas": 7})), each.version.label
        assert not is_refused(forget(found, each), each)
    assert not is_refused(found, wanted().model_copy(update={"strategy": BlueGreen(after=ANALYSIS)}))
    assert Store(tmp_path).states()["flights"] == found


def test_what_the_ledger_is_to_be_told_is_kept_with_the_state_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = state()
    told = entry(found, Record(EntryKind.SHIFT, {"0" * 64: 1.0}), 1.0)
    store.save(found, ((Phase.STARTING, "a"),), 1.0, (told, told))
    assert Store(tmp_path).waiting("flights") == (told, told)
    assert Store(tmp_path).waiting("trains") == ()
    store._db.execute("DROP TABLE outbox")
    with pytest.raises(sqlite3.OperationalError):
        store.save(state(number=2), ((Phase.STARTING, "b"),), 2.0, (told,))
    assert Store(tmp_path).states() == {"flights": found}
    assert Store(tmp_path).events("flights", 2) == ()


def test_the_last_words_on_an_application_wait_for_the_ledger_when_it_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(state())
    store.forget("flights", (entry(state(), Record(EntryKind.REMOVED, {}), 1.0),))
    assert [each.kind for each in store.waiting()] == [EntryKind.REMOVED]
    assert store.count_waiting() == 1


def test_what_nobody_asks_for_any_more_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    point = Point(1.0, 0, Counts(), Counts(), 0, 0)
    for number in range(1, 61):
        store.save_traffic("flights", number, [point], "{}")
        store.save(state(Phase.SUCCEEDED, number), ((Phase.SUCCEEDED, "done"),), float(number))
    assert [each.number for each in store.rollouts("flights")] == list(range(60, 10, -1))
    assert store.rollout("flights", 10) is None
    assert store.events("flights", 10) == ()
    assert store.points("flights", 10) == ()
    assert store.points("flights", 11) == (point,)
    # Two weeks later the samples of all but the newest are gone.
    store.save(state(Phase.SUCCEEDED, 61), ((Phase.SUCCEEDED, "done"),), 15 * 86400.0)
    assert store.points("flights", 60) == ()
    assert store.rollout("flights", 60) is not None
    assert store.tallies("flights") == {("blue-green", "succeeded"): 61}
