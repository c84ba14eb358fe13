"""Snapshots of rows from elsewhere: files, queries, the prediction log; each read once, and those that come late counted."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from heliostat.cli.datasets import catalogue
from heliostat.cli.datasets.lineage import traced
from heliostat.jobs import cursors, data_of, ingested_rows
from heliostat.jobs import snapshot as job
from heliostat.ml.datasets import Snapshot
from heliostat.ml.ground_truth import Label, record
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import Parent, SnapshotManifest
from heliostat.spec.ingestion import IncrementalQuery
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_bucket, open_store

DAY = datetime(2026, 3, 1, tzinfo=UTC)
BY_GROUP = {"kind": "group", "column": "id", "validation": 0.3, "test": 0.3}


def table(first: int, count: int, day: int = 0, flipped: bool = False) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": [f"r{number}" for number in numbers],
            "at": pa.array([DAY + timedelta(days=day, seconds=number) for number in numbers], pa.timestamp("us", "UTC")),
            "size": [float(number) for number in numbers],
            "late": [(number % 2 == 0) != flipped for number in numbers],
        }
    )


class World:
    """A workload whose function takes rows, and where these come from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.address, self.rows = StoreAddress(uri=f"file://{folder}/objects"), folder / "rows"
        self.rows.mkdir()
        self.functions = {"w.d:snapshot": lambda parameters, rows: rows.drop_columns(["at"])}
        monkeypatch.setattr(data_of, "load_entry_point", self.functions.__getitem__)
        self.source: dict[str, Any] = {"kind": "files", "uri": f"file://{self.rows}"}

    def put(self, name: str, rows: pa.Table) -> None:
        pq.write_table(rows, self.rows / name)

    def make(self, until: datetime | None = None, **given: Any) -> SnapshotManifest:
        declared = {"source": self.source, "label": "late", "split": BY_GROUP, "key": ["id"], "time": "at", **given}
        job.snapshot(
            SnapshotSpecification(
                name="rows",
                entry_point="w.d:snapshot",
                parameters={},
                identity="1" * 64,
                code_digest="2" * 64,
                ingestion={**declared, "until": until.isoformat() if until else None},
                store=self.address,
                result_key="made.json",
            )
        )
        return SnapshotManifest.model_validate_json(open_store(self.address).get("made.json"))

    def all(self, manifest: SnapshotManifest) -> pa.Table:
        read = Snapshot(f"datasets/rows/{manifest.digest}", self.address)
        return pa.concat_tables([read.table(split) for split in ("train", "validation", "test")])


@pytest.fixture
def world(monkeypatch, tmp_path):
    return World(monkeypatch, tmp_path)


def test_files_become_a_data_set_with_their_digests_as_its_sources(world):
    world.put("a.parquet", table(0, 60))
    world.put("b.parquet", table(60, 40))
    pyarrow.csv.write_csv(table(0, 5), world.rows / "other.csv")
    manifest = world.make()
    assert sum(manifest.rows.values()) == 100
    assert manifest.made is not None
    assert [(Path(source.uri).name, source.rows) for source in manifest.made.sources] == [("a.parquet", 60), ("b.parquet", 40)]
    ids = {
        split: {*Snapshot(f"datasets/rows/{manifest.digest}", world.address).table(split)["id"].to_pylist()}
        for split in manifest.rows
    }
    assert sum(map(len, ids.values())) == 100, "no row is in two splits"


def test_only_new_and_changed_files_are_read_again(world, monkeypatch):
    read = []
    plain = ingested_rows.table_of_file
    monkeypatch.setattr(
        ingested_rows, "table_of_file", lambda source, uri, content: read.append(Path(uri).name) or plain(source, uri, content)
    )
    world.put("a.parquet", table(0, 60))
    world.put("b.parquet", table(60, 40))
    first = world.make()
    assert world.make().digest == first.digest, "the same rows are the same data set"
    world.put("b.parquet", table(60, 41))
    world.put("c.parquet", table(200, 10))
    second = world.make()
    assert read == ["a.parquet", "b.parquet", "b.parquet", "c.parquet"]
    assert sum(second.rows.values()) == 111
    (world.rows / "a.parquet").unlink()
    third = world.make()
    assert "1 files that were read before are gone" in third.notes[0]
    assert sum(third.rows.values()) == 51


def test_a_run_that_was_killed_reads_no_part_twice_into_the_data(world, monkeypatch):
    world.put("a.parquet", table(0, 100))
    monkeypatch.setattr(job, "_making", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.make()
    monkeypatch.undo()
    monkeypatch.setattr(data_of, "load_entry_point", world.functions.__getitem__)
    assert sum(world.make().rows.values()) == 100


def test_a_later_moment_takes_more_and_late_rows_are_counted(world):
    world.put("a.parquet", table(0, 100))
    first = world.make(until=DAY + timedelta(days=1))
    assert not first.notes
    world.put("b.parquet", pa.concat_tables([table(100, 50, day=1), table(500, 3)]))
    second = world.make(until=DAY + timedelta(days=2))
    assert sum(second.rows.values()) == 153
    assert "3 rows (1.96%) came late: they happened before 2026-03-02T00:00:00+00:00" in second.notes[0]
    world.put("c.parquet", table(600, 30, day=1))
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"30 rows .* came late.*at most 1.00% may"):
            world.make(until=DAY + timedelta(days=3), maxLate=0.01)


def test_csv_and_lines_are_read_and_a_damaged_file_is_told(world):
    rows = table(0, 50)
    pyarrow.csv.write_csv(rows, world.rows / "a.csv")
    world.source["format"] = "csv"
    assert sum(world.make().rows.values()) == 50
    lines = [json.dumps({**row, "at": row["at"].isoformat()}) for row in rows.to_pylist()]
    (world.rows / "a.jsonl").write_text("\n".join(lines))
    world.source["format"] = "jsonl"
    assert sum(world.make().rows.values()) == 50
    world.source["format"] = "parquet"
    (world.rows / "half.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(PermanentError, match=r"half.parquet is no whole parquet file"):
        world.make()
    (world.rows / "half.parquet").unlink()
    with pytest.raises(PermanentError, match="the source has no rows"):
        world.make()


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (id TEXT, at TEXT, size REAL, late INTEGER, updated INTEGER)")
    return path


def insert(path: Path, first: int, count: int, size: float = 1.0) -> None:
    with sqlite3.connect(path) as connection:
        given = [(f"r{n}", "2026-03-01 00:00:00", size, n % 2, n) for n in range(first, first + count)]
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", given)


def test_a_query_goes_on_where_it_ended_and_changed_rows_replace_themselves(world, database):
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.drop_columns(["at", "updated"])
    query = {"query": "SELECT * FROM rows;", "cursor": "updated", "behind": 5}
    world.source = {"kind": "query", "database": {"kind": "sqlite", "path": str(database)}, **query}
    insert(database, 0, 100)
    first = world.make(time=None)
    assert sum(first.rows.values()) == 100
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET size = 77, updated = 100 WHERE id = 'r3'")
        connection.execute("INSERT INTO rows VALUES ('late', '2026-03-01', 5, 1, 96)")
    insert(database, 101, 20)
    second = world.make(time=None)
    rows = world.all(second)
    assert rows.num_rows == 121
    assert rows.filter(pc.equal(rows["id"], "r3"))["size"].to_pylist() == [77.0]
    assert "late" in rows["id"].to_pylist(), "it was written behind the cursor, within what is looked at again"
    assert [source.rows for source in second.made.sources] == [100, 28], "what was read is not read again but for the overlap"
    third = world.make(time=None)
    assert third.digest == second.digest
    world.source["cursor"] = "gone"
    with pytest.raises(PermanentError):
        world.make(time=None)


def timed(path: Path, ids: range, day: int, form: str = "%Y-%m-%d %H:%M:%S", size: float = 1.0) -> None:
    with sqlite3.connect(path) as connection:
        given = [(f"r{n}", (DAY + timedelta(days=day, seconds=n)).strftime(form), size, n % 2, n) for n in ids]
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", given)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
def test_rows_of_a_query_that_are_read_again_are_not_late(world, database, form):
    query = {"query": "SELECT * FROM rows", "cursor": "updated", "behind": 30}
    world.source = {"kind": "query", "database": {"kind": "sqlite", "path": str(database)}, **query}
    timed(database, range(100), 0, form)
    first = world.make(until=DAY + timedelta(days=1))
    assert sum(first.rows.values()) == 100
    timed(database, range(100, 110), 1, form)
    second = world.make(until=DAY + timedelta(days=2), maxLate=0.0)
    assert sum(second.rows.values()) == 110
    assert not [note for note in second.notes if "late" in note]
    timed(database, range(110, 114), 0, form)  # of the first day
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET size = 77, updated = 113 WHERE id = 'r3'")
    third = world.make(until=DAY + timedelta(days=3))
    assert "5 rows (4.39%) came late: they happened before 2026-03-03" in third.notes[0], "of 114 rows"
    store = open_store(world.address)
    store.delete(next(info.key for info in store.list("datasets/rows/ingested/parts/") if info.size))
    again = world.make(until=DAY + timedelta(days=4), maxLate=0.0)
    assert sum(again.rows.values()) == 114, "all are read again, and which of them came late is not known"


def test_a_time_of_sqlite_that_is_none_is_told(world, database):
    world.source = {
        "kind": "query", "database": {"kind": "sqlite", "path": str(database)}, "query": "SELECT * FROM rows",
        "cursor": "updated",
    }  # fmt: skip
    timed(database, range(3), 0, "at noon")
    with pytest.raises(
        PermanentError, match="the ingestion of rows: the column 'at' holds texts that are no times: 'at noon'"
    ):
        world.make(until=DAY)


def test_a_file_that_changed_brings_only_its_new_rows_late(world):
    world.put("a.parquet", table(0, 100))
    world.make(until=DAY + timedelta(days=1))
    world.put("a.parquet", table(0, 103))
    assert "3 rows (2.91%) came late" in world.make(until=DAY + timedelta(days=2)).notes[0]


def log(world: World, day: int, ids: range, version: str = "1-aa") -> None:
    moment = DAY + timedelta(days=day)
    rows = pa.table(
        {
            "request_id": [f"q{n}" for n in ids],
            "row": pa.array([0] * len(ids), pa.int32()),
            "time": pa.array([moment + timedelta(seconds=n) for n in ids], pa.timestamp("us", "UTC")),
            "version": [version] * len(ids),
            "input_size": [float(n) for n in ids],
            "prediction_late": [0.5] * len(ids),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    key = f"predictions/app/date={moment.date()}/{ids.start}.parquet"
    open_store(world.address).put(key, sink.getvalue().to_pybytes())


def test_the_prediction_log_joined_with_ground_truth_is_a_source(world):
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(["request_id", "size", "late"])
    world.source = {"kind": "predictions", "application": "app", "fields": ["size"]}
    by_request = {**BY_GROUP, "column": "request_id"}
    log(world, 0, range(100))
    log(world, 1, range(100, 150))
    record(world.address, "app", [Label(f"q{n}", float(n % 2)) for n in range(120)])
    first = world.make(until=DAY + timedelta(days=1), key=["request_id", "row"], time="time", split=by_request)
    assert sum(first.rows.values()) == 100
    record(world.address, "app", [Label(f"q{n}", 1.0) for n in range(120, 150)])
    second = world.make(until=DAY + timedelta(days=2), key=["request_id", "row"], time="time", split=by_request)
    rows = world.all(second)
    assert sum(second.rows.values()) == 150
    assert rows.filter(pc.equal(rows["request_id"], "q7"))["late"].to_pylist() == [1.0]
    world.source = {**world.source, "fields": ["colour"]}
    with pytest.raises(PermanentError, match=r"the prediction log has no column input_colour: .* it has size"):
        world.make(until=DAY, key=["request_id"], time="time", split=by_request)
    world.source = {**world.source, "application": "other"}
    with pytest.raises(PermanentError, match="there is no prediction log of other"):
        world.make(until=DAY, key=["request_id"], time="time", split=by_request)


def test_labels_of_people_come_in_and_are_among_the_sources(world, tmp_path):
    world.put("a.parquet", table(0, 100).drop_columns(["late"]))
    labels = tmp_path / "labels"
    labels.mkdir()
    pyarrow.csv.write_csv(
        pa.table({"id": [f"r{n}" for n in range(80)], "label": [n % 2 for n in range(80)]}), labels / "x.csv"
    )
    given = {"files": {"kind": "files", "uri": f"file://{labels}", "format": "csv"}, "on": "id"}
    manifest = world.make(labels=given)
    assert sum(manifest.rows.values()) == 80
    assert manifest.made.sources[-1].note == "labels"


def test_augmentation_is_counted_and_a_function_that_splits_by_itself_cannot_have_it(world):
    world.put("a.parquet", table(0, 100))
    plain = world.make()
    world.functions["w.d:more"] = lambda train, parameters: train
    found = world.make(augment="w.d:more")
    assert found.rows["train"] == 2 * plain.rows["train"]
    assert (found.rows["validation"], found.rows["test"]) == (plain.rows["validation"], plain.rows["test"])
    assert found.notes[-1].endswith("rows of the train split are made by w.d:more")
    world.functions["w.d:snapshot"] = lambda parameters, rows: [rows]
    with pytest.raises(PermanentError, match=r"returned list: it must return a pyarrow\.Table, or Tables"):
        world.make()


def test_a_prefix_of_a_bucket_is_read_as_a_folder_is(world, s3_endpoint, s3_credentials):
    address = StoreAddress(uri="s3://ingested-rows", endpoint=s3_endpoint, region="us-east-1")
    bucket = open_bucket(address)
    assert bucket is not None
    bucket.create_bucket()
    for name, rows in (("day/a.parquet", table(0, 60)), ("day/b.parquet", table(60, 40)), ("other/c.parquet", table(200, 9))):
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink)
        bucket.put(name, sink.getvalue().to_pybytes())
    world.source = {"kind": "files", "uri": "s3://ingested-rows/day/", "endpoint": s3_endpoint, "region": "us-east-1"}
    manifest = world.make()
    assert sum(manifest.rows.values()) == 100
    assert [source.uri for source in manifest.made.sources] == [f"s3://ingested-rows/day/{name}.parquet" for name in "ab"]


def test_a_cursor_that_is_a_time_looks_back_by_a_duration():
    database = {"kind": "sqlite", "path": "/x"}
    given = {"database": database, "query": "SELECT * FROM t ; ", "cursor": "at", "lateness": "PT1H"}
    source = IncrementalQuery.model_validate(given)
    asked = cursors.asked(source, datetime(2026, 3, 1, 12, tzinfo=UTC).isoformat(), ("id",))
    assert asked == "SELECT * FROM (SELECT * FROM t) AS ingested WHERE at >= '2026-03-01 11:00:00+00:00' ORDER BY at, \"id\""


def test_parts_that_are_gone_are_read_again(world, database):
    world.put("a.parquet", table(0, 60))
    first = world.make()
    store = open_store(world.address)
    for info in [*store.list("datasets/rows/ingested/parts/")]:
        store.delete(info.key)
    again = world.make()
    assert again.digest == first.digest
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.drop_columns(["at", "updated"])
    query = {"query": "SELECT * FROM rows", "cursor": "updated"}
    world.source = {"kind": "query", "database": {"kind": "sqlite", "path": str(database)}, **query}
    insert(database, 0, 40)
    world.make(time=None)
    insert(database, 40, 20)
    world.make(time=None)
    gone = next(info.key for info in store.list("datasets/rows/ingested/parts/") if info.size)
    store.delete(gone)
    assert sum(world.make(time=None).rows.values()) == 60, "a query is read from its beginning"


def test_another_data_set_is_a_source_and_becomes_the_parent(world):
    world.put("a.parquet", table(0, 100))
    parent = world.make()
    store = open_store(world.address)
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.filter(pc.less(rows["size"], 50.0))
    world.source = {"kind": "data-set", "name": "rows", "digest": parent.digest[:12]}
    child = world.make(time=None)
    assert child.made.parents == (Parent(name="rows", digest=parent.digest),)
    assert (sum(child.rows.values()), child.made.sources) == (50, ())
    store.put(f"datasets/rows/made/{'3' * 64}.json", store.get("made.json"))
    known = catalogue.read(store)
    lineage = traced(known, store, None, NoStacks())
    assert [use.what for use in lineage.of(parent.digest)] == [f"rows@{child.digest[:12]}"], "the parent names the child"
    world.source["splits"] = ["train"]
    other = {**BY_GROUP, "column": "size"}  # by the same groups all of these are in the train split again
    assert sum(world.make(time=None, split=other).rows.values()) < parent.rows["train"]
    world.source["digest"] = "0" * 12
    with pytest.raises(PermanentError, match=f"has no snapshot 0{{12}}: there are .*{parent.digest[:12]}"):
        world.make(time=None)


class NoStacks:
    """Nobody has a stack here."""

    def names(self) -> list[str]:
        return []
