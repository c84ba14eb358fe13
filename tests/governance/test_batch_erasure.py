"""The deletion of a person from predictions made beforehand: parts, the rows behind them, and tables."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from erasure_worlds import ErasureWorld, Killed
from personal_fakes import EMAIL, ROW, contract

from heliostat.governance import batches
from heliostat.governance.subjects import Subject
from heliostat.jobs import batch_predict
from heliostat.jobs.batch import parts as batch_parts
from heliostat.jobs.batch.parts import Predicting
from heliostat.serving.lookup.table import LookupTable
from heliostat.spec.batch import BatchRun
from heliostat.spec.erasure import ErasedObject, ErasedTable
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import Current, Declared, Result, manifest_key
from heliostat.systems import prediction_tables
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import Directory

OTHERS = [f"p{number}@example.org" for number in range(5)]
FIELDS = ("email", "name", "postcode", "age", "income")


class World(ErasureWorld):
    """A store with the predictions of the rows of a SQLite database, in three parts."""

    def fill(self, *emails: str) -> None:
        """Rows that a query finds, two in each part."""
        path = self.folder / "people.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"CREATE TABLE people ({', '.join(FIELDS)})")
            for number, email in enumerate(emails):
                row = {**ROW, "email": email, "income": 1000.0 * number}
                database.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?)", [row[name] for name in FIELDS])

    def predict(self, **changes):
        path = str(self.folder / "people.db")
        given = {
            "name": "nightly", "application": "loans", "contract": "loans:CONTRACT", "code_digest": "c" * 64,
            "model_uri": "models:/loans/3", "sink": {"kind": "sqlite"}, "key": ["email"], "columns": ["income"],
            "source": {"kind": "query", "database": {"kind": "sqlite", "path": path}, "query": "SELECT * FROM people"},
            "run": BatchRun(batch_rows=2, part_rows=2), "store": self.address, "tracking_uri": "http://mlflow",
            "privacy": self.privacy, "result_key": "batches/nightly/made/abc.json", **changes,
        }  # fmt: skip
        batch_predict.predict(BatchSpecification.model_validate(given))

    @property
    def current(self) -> Result:
        return Current.model_validate_json(self.store.get("batches/nightly/current/loans-3.json")).result

    def predicted(self):
        """Emails by what holds them: the parts of the result, its table, and the rows that were read."""
        result, top = self.current, self.folder / "objects"
        parts = [row["email"] for part in result.parts for row in pq.read_table(top / part.key).to_pylist()]
        rows = [row["email"] for path in sorted((top / "batches/nightly/rows").iterdir())
                for row in pq.read_table(path).to_pylist()]  # fmt: skip
        with closing(sqlite3.connect(top / result.table)) as table:
            looked_up = [email for (email,) in table.execute("SELECT email FROM predictions")]
        return sorted(parts), sorted(looked_up), sorted(rows)

    def all_but_the_person(self):
        hashes = sorted(map(self.keys.hashed, OTHERS))
        return hashes, hashes, sorted(OTHERS)


def in_this_process(specification, parts):
    for part in parts:
        yield Predicting(specification.model_dump_json())(part.as_row())


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch_predict, "contract_of", lambda _: contract())
        patched.setattr(batch_parts, "contract_of", lambda _: contract())
        patched.setattr(batch_parts, "lower_priority", lambda: None)
        patched.setattr(batch_parts.model_cache, "fetch", lambda *_, **__: Path())
        patched.setattr(batch_predict, "_in_workers", in_this_process)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("made"))
    world.fill(OTHERS[0], EMAIL, *OTHERS[1:])
    world.predict()
    return world.folder


@pytest.fixture
def world(tmp_path, made):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return World(tmp_path)


def test_every_row_of_the_person_goes_with_its_bytes_and_no_other(world):
    hashed = world.keys.hashed(EMAIL)
    before = world.current
    assert hashed in world.predicted()[0] and hashed in world.predicted()[1] and EMAIL in world.predicted()[2]
    proof = world.erase()
    assert world.predicted() == world.all_but_the_person()
    assert (proof.rows, proof.left) == (3, 0)
    assert proof.searched[batches.PARTS] == proof.searched[batches.ROWS] == 3 and proof.searched[batches.TABLES] == 1
    for info in world.store.list():
        content = world.store.get(info.key)
        assert EMAIL.encode() not in content, info.key
        assert hashed.encode() not in content or "erasures" in info.key, info.key
    [table] = [each for each in proof.objects if each.successor]
    assert (table.key, table.successor) == (before.table, world.current.table) and not world.store.exists(before.table)
    assert any("a source that still has the rows" in note for note in proof.notes)
    assert any("refreshSeconds" in note for note in proof.notes)


def test_all_that_names_the_result_names_what_it_has_become(world):
    world.erase()
    [declared, made] = (
        Current.model_validate_json(world.store.get(f"batches/nightly/{name}")).result
        for name in ("current/loans-3.json", "made/abc.json")
    )
    manifest = Result.model_validate_json(world.store.get(manifest_key("nightly", declared.run)))
    assert declared == made == manifest
    assert manifest.rows == 5 and [part.rows for part in manifest.parts] == [1, 2, 2]
    assert manifest.table_sha256 == sha256_of(world.folder / "objects" / manifest.table)


def test_a_lookup_takes_the_new_table_and_finds_the_others_still(world, tmp_path):
    table = LookupTable(world.store, "nightly", "models:/loans/3", tmp_path / "node")
    hashed = world.keys.hashed(EMAIL)
    assert table.find([hashed]) is not None
    world.erase()
    table.refresh()
    assert table.find([hashed]) is None and table.find([world.keys.hashed(OTHERS[0])]) is not None
    [file] = (tmp_path / "node").iterdir()
    assert hashed.encode() not in file.read_bytes()


def test_the_same_run_again_stays_without_the_person_and_another_source_brings_them_back(world):
    world.erase()
    world.predict()
    assert world.predicted()[0] == world.all_but_the_person()[0], "the rows that were kept are read, and not the query's"
    world.fill(EMAIL, *OTHERS)
    world.predict()
    assert world.keys.hashed(EMAIL) in world.predicted()[0], "as the proof says it would"
    assert world.erase().rows > 0 and world.predicted()[0] == world.all_but_the_person()[0]


def test_a_part_that_was_the_person_s_alone_stays_and_has_no_rows(world):
    world.fill(EMAIL)
    world.predict()
    world.erase()
    [part] = world.current.parts
    assert part.rows == 0 and pq.read_table(world.folder / "objects" / part.key).num_rows == 0


def test_other_applications_predictions_and_nobody_s_are_left_as_they_are(world):
    world.predict(name="theirs", application="rents")
    theirs = {info.key: world.store.get(info.key) for info in world.store.list("batches/theirs/")}
    world.erase()
    assert {info.key: world.store.get(info.key) for info in world.store.list("batches/theirs/")} == theirs
    before = {info.key: world.store.get(info.key) for info in world.store.list("batches/")}
    world.subject = Subject.of("email", "nobody@example.org", world.keys)
    assert world.erase().rows == 0
    assert {info.key: world.store.get(info.key) for info in world.store.list("batches/")} == before


def test_predictions_that_do_not_say_whose_they_are_are_told_of(world):
    world.store.put("batches/nightly/parts/old.parquet", parquet({"income": [1.0]}))
    assert any("without email" in note for note in world.erase().notes)


def test_a_predictor_that_quotes_a_person_is_told_of_without_them(world):
    world.fill(OTHERS[0], EMAIL)
    path = world.folder / "people.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE people SET income = 13")
    with pytest.raises(PermanentError) as raised:
        world.predict()
    text = str(raised.value)
    assert "no such person: <personal> <<personal>>" in text and "in predict" in text
    assert not [each for each in (EMAIL, OTHERS[0], ROW["name"]) if each in text]


def test_how_a_run_ended_loses_the_lines_of_its_log_that_name_the_person(world):
    note = {"status": "FAILED", "message": f"the last lines:\n  no such person: <{EMAIL}>\n  exit code 1"}
    world.store.put("batches/nightly/runs/20260302.json", json.dumps(note).encode())
    proof = world.erase()
    message = json.loads(world.store.get("batches/nightly/runs/20260302.json"))["message"]
    assert EMAIL not in message and message.startswith("the last lines:\n") and message.endswith("exit code 1")
    assert proof.searched["notes of how batch predictions ended"] == 1 and proof.rows == 4


def parquet(columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("after", range(14))
def test_killed_at_any_change_it_goes_on_and_comes_to_the_same(world, after):
    try:
        world.erase(Killed(world.store, after))
    except RetryableError:
        world.erase()
    assert world.predicted() == world.all_but_the_person()
    proof = max(world.proofs, key=lambda each: each.rows)
    assert sorted(each.key.split("/")[2] for each in proof.objects) == ["parts", "results", "rows"]
    assert proof.rows == 3, "what was removed before the kill is in the proof, and nothing twice"
    assert [info.key for info in world.store.list("batches/nightly/results/") if info.key.endswith(".sqlite")] == [
        world.current.table
    ]
    assert world.current.table_sha256 == sha256_of(world.folder / "objects" / world.current.table)


def test_a_database_that_does_not_answer_is_told_of_when_all_else_is_done(world):
    sink = {"kind": "postgres", "table": "loans",
            "database": {"kind": "postgres", "host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}}  # fmt: skip
    declared = Declared.model_validate({"application": "loans", "sink": sink})
    world.store.put("batches/nightly/declared/pg.json", declared.model_dump_json().encode())
    with pytest.raises(RetryableError, match=r"(?s)127\.0\.0\.1:1/d.*run it again when it can be reached.*declared/pg\.json"):
        world.erase()
    assert world.predicted() == world.all_but_the_person()
    world.store.delete("batches/nightly/declared/pg.json")
    assert world.erase().rows == 3, "it went on, and has what was removed before"


def test_rows_of_a_database_are_in_the_proof_and_deleted_once(world, monkeypatch):
    tables = {"loans__" + "a" * 16: 2}
    monkeypatch.setattr(prediction_tables, "count_postgres", lambda *_: dict(tables))
    monkeypatch.setattr(prediction_tables, "delete_postgres", lambda sink, table, *_: tables.update({table: 0}))
    sink = {"kind": "postgres", "table": "loans", "database": {"kind": "postgres", "host": "db", "database": "d", "user": "u"}}
    declared = Declared.model_validate({"application": "loans", "sink": sink})
    world.store.put("batches/nightly/declared/pg.json", declared.model_dump_json().encode())
    proof = world.erase()
    assert proof.tables == (ErasedTable(database="db:5432/d", table="loans__" + "a" * 16, rows=2),)
    assert (proof.rows, tables["loans__" + "a" * 16]) == (5, 0)


def test_a_result_that_a_run_puts_meanwhile_stays_the_current_one(tmp_path, monkeypatch):
    store = Racing(tmp_path / "store")
    result = Result(
        name="nightly", application="loans", run="1" * 32, model_uri="models:/loans/3", predictor="e" * 64, key=("email",),
        data="d" * 64,
        rows=2, parts=(), table="batches/nightly/results/1/table.sqlite", table_sha256="a" * 64,
    )  # fmt: skip
    key = "batches/nightly/current/loans-3.json"
    store.put(key, Current(result=result, at=1).model_dump_json(indent=2).encode())
    newer = Current(result=result.model_copy(update={"run": "2" * 32}), at=2)
    store.meanwhile = key, newer.model_dump_json(indent=2).encode()
    gone = ErasedObject(
        key=result.table, rows=1, before="a" * 64, after="b" * 64, successor="batches/nightly/results/1/table-x.sqlite"
    )
    batches.tell_results(store, batches.Batch("nightly", {}), [gone])
    found = Current.model_validate_json(store.get(key))
    assert (found.at, found.result.run) == (2, "2" * 32), "the newer one, which the run has just put"
    assert (found.result.table, found.result.table_sha256) == (gone.successor, "b" * 64), "and it too names what is there"


class Racing(Directory):
    """A store in which somebody puts an object once it has been read."""

    meanwhile: tuple[str, bytes] | None = None

    def get(self, key):
        content = super().get(key)
        if self.meanwhile is not None and self.meanwhile[0] == key:
            put, self.meanwhile = self.meanwhile, None
            self.put(*put)
        return content
