"""Ingestions that run again, at once, or beside others: of buckets whose objects change, of queries, and of labels."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from test_ingested_snapshots import BY_GROUP, DAY, World, insert, log, table, timed
from test_ingested_snapshots import database as database
from test_ingested_snapshots import world as world

from heliostat.data.ingestion import Ingestion
from heliostat.jobs import ingested_rows
from heliostat.jobs.ingested_rows import Ingested
from heliostat.ml.ground_truth import Label, record
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import BucketStore, Directory, ObjectMissingError, open_bucket, open_store
from heliostat.systems.row_files import listed
from heliostat.systems.storage.s3 import S3

__all__ = ["database", "world"]


@pytest.fixture
def bucket(world: World, s3_address: StoreAddress) -> BucketStore:
    """Where the rows of a workload lie, in lines of CSV."""
    world.source = {"kind": "files", "uri": s3_address.uri, "endpoint": s3_address.endpoint, "format": "csv"}
    found = open_bucket(s3_address)
    assert found is not None
    return found


def lines(first: int, count: int, size: int = 1) -> bytes:
    """Rows whose text is as long whatever one digit of them is."""
    rows = (f"r{n:03},2026-03-01T00:00:00Z,{size},{n % 2 == 0}" for n in range(first, first + count))
    return "\n".join(["id,at,size,late", *rows, ""]).encode()


def test_an_object_that_changed_within_a_second_and_is_as_long_is_read_again(world, bucket, monkeypatch):
    plain = S3.list
    monkeypatch.setattr(S3, "list", lambda *given: (replace(info, modified=DAY) for info in plain(*given)))
    bucket.put("a.csv", lines(0, 40))
    first = world.make(time=None)
    bucket.put("a.csv", lines(0, 40, size=2))
    second = world.make(time=None)
    assert second.digest != first.digest
    assert {*world.all(second)["size"].to_pylist()} == {2}


def test_an_object_that_was_put_again_as_it_was_is_not_read_again(world, bucket, monkeypatch):
    bucket.put("a.csv", lines(0, 40))
    first = world.make(time=None)
    bucket.put("b.csv", lines(0, 40))  # a copy beside it, as two writers leave it
    again = world.make(time=None)
    assert again.digest == first.digest, "its key tells that these are the same rows"
    bucket.put("a.csv", lines(0, 40))
    monkeypatch.setattr(ingested_rows, "table_of_file", lambda *_: pytest.fail("it was read again"))
    assert world.make(time=None).digest == first.digest


def test_an_object_that_is_deleted_while_others_are_read_is_left_out(world, bucket, monkeypatch):
    bucket.put("a.csv", lines(0, 40))
    bucket.put("b.csv", lines(40, 40))
    plain = S3.get

    def get(self: S3, key: str) -> bytes:
        if key == "b.csv":
            raise ObjectMissingError(f"cannot read {self.uri(key)}: there is no such object")
        return plain(self, key)

    monkeypatch.setattr(S3, "get", get)
    manifest = world.make(time=None)
    assert sum(manifest.rows.values()) == 40
    assert "1 files went while others were read, as" in manifest.notes[0]


@pytest.mark.long
def test_a_prefix_with_more_keys_than_a_listing_has_is_read_to_its_end(world, bucket):
    for number in range(1_050):
        bucket.put(f"{number:04}.csv", lines(number, 1))
    assert len(listed(Ingestion.model_validate(declared(world)).source, bucket)) == 1_050
    assert sum(world.make(time=None).rows.values()) == 1_050


def test_a_run_that_is_killed_between_two_objects_goes_on(world, bucket, monkeypatch):
    bucket.put("a.csv", lines(0, 40))
    bucket.put("b.csv", lines(40, 40))
    plain = ingested_rows.table_of_file

    def killed(source: Any, uri: str, content: bytes) -> pa.Table:
        if uri.endswith("b.csv"):
            raise KeyboardInterrupt
        return plain(source, uri, content)

    monkeypatch.setattr(ingested_rows, "table_of_file", killed)
    with pytest.raises(KeyboardInterrupt):
        world.make(time=None)
    monkeypatch.setattr(ingested_rows, "table_of_file", plain)
    manifest = world.make(time=None)
    assert world.all(manifest).num_rows == 80 == len({*world.all(manifest)["id"].to_pylist()})


def of_query(world: World, path: Path, **given: Any) -> None:
    query = {"query": "SELECT * FROM rows", "cursor": "updated", **given}
    world.source = {"kind": "query", "database": {"kind": "sqlite", "path": str(path)}, **query}
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.drop_columns(["at", "updated"])


def declared(world: World, **given: Any) -> dict[str, Any]:
    return {"source": world.source, "label": "late", "split": BY_GROUP, "key": ["id"], **given}


def test_a_run_that_is_killed_between_two_parts_of_a_query_goes_on(world, database, monkeypatch):
    of_query(world, database)
    insert(database, 0, 100)
    monkeypatch.setattr(ingested_rows, "_BATCH_ROWS", 30)
    monkeypatch.setattr(ingested_rows, "_PART_BYTES", 1)
    plain, kept = Ingested._keep, []

    def keep(self: Ingested, uri: str, tag: str, rows: pa.Table, *more: Any) -> Any:
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(rows.num_rows)
        return plain(self, uri, tag, rows, *more)

    monkeypatch.setattr(Ingested, "_keep", keep)
    with pytest.raises(KeyboardInterrupt):
        world.make(time=None)
    monkeypatch.setattr(Ingested, "_keep", plain)
    manifest = world.make(time=None)
    assert kept == [30, 30] and len(manifest.made.sources) == 4
    assert sorted(world.all(manifest)["id"].to_pylist()) == sorted(f"r{n}" for n in range(100))


def test_rows_with_the_same_cursor_are_the_same_data_set_however_the_database_has_them(world, database):
    of_query(world, database)
    insert(database, 0, 40)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET updated = 7")
    first = world.make(time=None)
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM rows WHERE id IN ('r0', 'r5')")
    insert(database, 0, 1)
    insert(database, 5, 1)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET updated = 7")
    assert world.make(time=None).digest == first.digest


def test_of_two_ingestions_at_once_the_last_one_leaves_what_its_data_set_was_made_of(world, database):
    of_query(world, database)
    timed(database, range(100), 0)
    world.make(until=DAY + timedelta(days=1))
    timed(database, range(100, 110), 1)
    one, two = (Ingested("rows", Ingestion.model_validate(declared(world, time="at")), world.address, print) for _ in range(2))
    one.rows()
    timed(database, range(110, 120), 1)
    two.rows()
    two.done(DAY + timedelta(days=2))
    one.done(DAY + timedelta(days=2))
    third = world.make(until=DAY + timedelta(days=3), maxLate=1.0)
    assert sum(third.rows.values()) == 120
    assert [note for note in third.notes if "late" in note] == [
        "10 rows (8.33%) came late: they happened before 2026-03-03T00:00:00+00:00, up to when the data was read before"
    ], "those that the second one had read alone"


def test_of_a_person_s_labels_one_without_a_time_is_the_oldest(world, tmp_path):
    world.put("a.parquet", table(0, 40).drop_columns(["late"]))
    labels = tmp_path / "labels"
    labels.mkdir()
    when = [DAY, DAY + timedelta(days=1), None]
    for name, at, value in zip("abc", when, (0, 1, 0), strict=True):
        ids = [f"r{n}" for n in range(40)]
        rows = {"id": ids, "label": [value] * 40, "when": pa.array([at] * 40, pa.timestamp("us", "UTC"))}
        pq.write_table(pa.table(rows), labels / f"{name}.parquet")
    given = {"files": {"kind": "files", "uri": f"file://{labels}"}, "on": "id", "time": "when"}
    manifest = world.make(time=None, labels=given)
    assert {*world.all(manifest)["late"].to_pylist()} == {1}


def test_a_column_that_was_empty_until_now_or_that_a_table_gets_later_is_read_on(world, database, monkeypatch):
    of_query(world, database)
    monkeypatch.setattr(ingested_rows, "_BATCH_ROWS", 30)
    insert(database, 0, 100)
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE rows ADD COLUMN tip REAL")
        connection.execute("UPDATE rows SET tip = 1.5 WHERE updated >= 70")
    assert world.all(world.make(time=None))["tip"].null_count == 70
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE rows ADD COLUMN driver TEXT")
        connection.execute("INSERT INTO rows VALUES ('new', '2026-03-01 00:00:00', 1, 1, 200, 2.5, 'ada')")
    rows = world.all(world.make(time=None))
    assert rows.num_rows == 101 and rows["tip"].null_count == 70 and rows["driver"].null_count == 100


def test_rows_without_a_cursor_are_told_for_they_would_never_be_read_again(world, database):
    of_query(world, database)
    insert(database, 0, 40)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET updated = NULL WHERE id IN ('r3', 'r4')")
    with pytest.raises(PermanentError, match=r"2 rows have no 'updated'.*WHERE updated IS NOT NULL"):
        world.make(time=None)


def going(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    """Have objects go between the listing and the reading: those whose keys have one of these parts."""
    plain = Directory.get

    def get(self: Directory, key: str) -> bytes:
        if any(part in key for part in parts):
            self.delete(key)
        return plain(self, key)

    monkeypatch.setattr(Directory, "get", get)


def test_labels_that_somebody_takes_back_while_others_are_read_are_left_out(world, tmp_path, monkeypatch):
    world.put("a.parquet", table(0, 40).drop_columns(["late"]))
    labels = tmp_path / "labels"
    labels.mkdir()
    for name, first in (("a", 0), ("b", 20)):
        ids = [f"r{n}" for n in range(first, first + 20)]
        pq.write_table(pa.table({"id": ids, "label": [n % 2 for n in range(20)]}), labels / f"{name}.parquet")
    going(monkeypatch, "b.parquet")
    manifest = world.make(time=None, labels={"files": {"kind": "files", "uri": f"file://{labels}"}, "on": "id"})
    assert sum(manifest.rows.values()) == 20
    assert manifest.made.reading.size == (labels / "a.parquet").stat().st_size, "what was taken back was not read"


def test_files_of_the_log_and_labels_that_go_while_others_are_read_are_left_out(world, monkeypatch):
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(["request_id", "size", "late"])
    world.source = {"kind": "predictions", "application": "app", "fields": ["size"]}
    log(world, 0, range(40))
    log(world, 1, range(40, 60))
    record(world.address, "app", [Label(f"q{n}", float(n % 2)) for n in range(60)])
    open_store(world.address).put("ground-truth/app/reviews/taken-back.jsonl", b'{"request_id": "q1", "label": 1}\n')
    going(monkeypatch, "40.parquet", "taken-back")
    by_request = {**BY_GROUP, "column": "request_id"}
    manifest = world.make(until=DAY + timedelta(days=2), key=["request_id", "row"], time="time", split=by_request)
    assert sum(manifest.rows.values()) == 40
