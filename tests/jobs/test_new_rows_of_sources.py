"""New files and new rows of a query are counted without reading them, as an ingestion would find them; errors say so."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from test_ingested_snapshots import DAY, World, insert, table
from test_ingested_snapshots import database as database
from test_ingested_snapshots import world as world
from test_monitor_job import contents as contents
from test_monitor_job import data as data
from test_monitor_job import receiver as receiver
from test_monitor_job import world as birds
from watched_birds import MONDAY, Watched

from heliostat.data.ingestion import Ingestion
from heliostat.jobs import monitor
from heliostat.jobs.new_rows import new_rows
from heliostat.monitoring.new_data import NewRows
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import SnapshotManifest
from heliostat.spec.ingestion import FilesSource, WatchedSource
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.systems.objects import open_bucket, open_store

__all__ = ["birds", "contents", "data", "database", "receiver", "world"]
GIVEN = {"label": "late", "split": {"kind": "group", "column": "id", "validation": 0.3, "test": 0.3}, "key": ["id"]}


def made(world: World, until: datetime | None = None, **given: Any) -> SnapshotManifest:
    """A data set, with the record of how it was made where a platform has it."""
    found = world.make(until=until, **{"time": None, **given})
    store = open_store(world.address)
    store.put("datasets/rows/made/1.json", store.get("made.json"))
    return found


def counted(world: World, manifest: SnapshotManifest, **given: Any) -> NewRows:
    declared = Ingestion.model_validate({"source": world.source, **GIVEN, **given})
    specification = MonitorSpecification(
        name="app", contract="w.c:C", code_digest="c" * 64, model_uri="models:/rows/1",
        dataset_key=f"datasets/rows/{manifest.digest}", dataset_digest=manifest.digest, problem=Problem(),
        monitor=Monitor.model_validate({"drift": {}}), new_data=declared.watched, store=world.address, tracking_uri="",
    )  # fmt: skip
    found = new_rows(specification, open_store(world.address))
    assert found is not None
    return found


def of_sqlite(world: World, path: Path, **given: Any) -> None:
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.drop_columns(["at", "updated"])
    query = {"query": "SELECT * FROM rows", "cursor": "updated", **given}
    world.source = {"kind": "query", "database": {"kind": "sqlite", "path": str(path)}, **query}


def test_rows_of_a_query_are_counted_from_where_it_looks_again_without_those_that_were_there(world, database):
    of_sqlite(world, database, behind=5)
    insert(database, 0, 100)
    manifest = made(world)
    assert manifest.made is not None and manifest.made.reading is not None
    assert (manifest.made.reading.cursor, manifest.made.reading.again) == (99, 6)
    assert counted(world, manifest) == NewRows(place=f"the query of {database}", rows=0)
    insert(database, 100, 20)
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO rows VALUES ('late', '2026-03-01', 5, 1, 96)")  # behind the cursor
        connection.execute("INSERT INTO rows VALUES ('too late', '2026-03-01', 5, 1, 90)")  # no run reads it
        connection.execute("INSERT INTO rows VALUES ('no label', '2026-03-01', 5, NULL, 130)")
        connection.execute("UPDATE rows SET size = 9, updated = 131 WHERE id = 'r3'")
    assert counted(world, manifest).rows == 22
    made_again = made(world)
    assert counted(world, made_again).rows == 0
    assert counted(world, manifest).problem, "how far an older data set was read is kept with it, and that record is gone here"


def test_rows_without_a_label_are_left_out_and_come_with_it(world, database):
    of_sqlite(world, database)
    insert(database, 0, 100)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET late = NULL WHERE updated >= 90")
    manifest = made(world)
    assert sum(manifest.rows.values()) == 90
    assert manifest.notes == ("10 of 100 rows are left out: their label late is missing",)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET late = 1, updated = updated + 100 WHERE late IS NULL")
    assert counted(world, manifest).rows == 10


def test_rows_that_were_read_and_happened_later_than_is_taken_are_new(world):
    world.put("a.parquet", pa.concat_tables([table(0, 100), table(100, 7, day=3)]))
    manifest = made(world, until=DAY + timedelta(days=1), time="at")
    assert counted(world, manifest).rows == 7
    world.put("b.parquet", table(200, 5, day=1))
    assert counted(world, manifest).rows == 12


def test_new_files_and_rows_that_a_file_grew_by_are_counted_and_a_copy_is_not(world):
    world.put("a.parquet", table(0, 60))
    world.put("b.parquet", table(60, 40))
    manifest = made(world)
    assert counted(world, manifest) == NewRows(place=world.source["uri"], rows=0)
    os.utime(world.rows / "a.parquet", (1, 1))
    assert counted(world, manifest).rows == 0, "it was written again as it was"
    world.put("b.parquet", table(60, 43))
    fresh = table(200, 10)
    none = pa.array([None] * 4, pa.bool_())
    world.put("c.parquet", pa.concat_tables([fresh, table(300, 4).set_column(3, "late", none)]))
    assert counted(world, manifest).rows == 3 + 10, "four have no label"
    later = world.make(time=None)
    assert counted(world, manifest).rows == 13, "of what serves, whatever was read since for a candidate"
    (world.rows / "a.parquet").unlink()
    assert counted(world, manifest).rows == 13
    assert sum(later.rows.values()) == 113


def test_labels_that_a_file_is_filled_up_with_are_new(world):
    half = pa.array([n % 2 == 0 if n < 50 else None for n in range(100)])
    world.put("a.parquet", table(0, 100).set_column(3, "late", half))
    manifest = made(world)
    world.put("a.parquet", table(0, 100))
    assert counted(world, manifest).rows == 50


def test_of_files_without_a_footer_their_size_tells(world):
    world.source["format"] = "csv"
    pyarrow.csv.write_csv(table(100, 100), world.rows / "a.csv")
    manifest = made(world)
    assert counted(world, manifest) == NewRows(place=world.source["uri"], rows=0, about=True)
    pyarrow.csv.write_csv(table(200, 50), world.rows / "b.csv")
    found = counted(world, manifest)
    assert found.about and found.rows == pytest.approx(50, abs=1)
    assert found.text == f"about {found.rows} rows of {world.source['uri']} are new"


def test_where_people_make_the_labels_these_are_counted(world, tmp_path):
    world.put("a.parquet", table(0, 100).drop_columns(["late"]))
    labels = tmp_path / "labels"
    labels.mkdir()

    def label(name: str, first: int, count: int) -> None:
        ids = range(first, first + count)
        pq.write_table(pa.table({"id": [f"r{n}" for n in ids], "label": [n % 2 for n in ids]}), labels / name)

    label("x.parquet", 0, 80)
    given = {"labels": {"files": {"kind": "files", "uri": f"file://{labels}"}, "on": "id"}}
    manifest = made(world, **given)
    world.put("b.parquet", table(100, 50).drop_columns(["late"]))
    assert counted(world, manifest, **given) == NewRows(place=f"file://{labels}", rows=0), "nobody has labelled them"
    label("y.parquet", 80, 20)
    assert counted(world, manifest, **given).rows == 20


def test_a_prefix_of_a_bucket_is_counted_by_a_listing_and_footers(world, s3_endpoint, s3_credentials):
    bucket = open_bucket(StoreAddress(uri="s3://counted-rows", endpoint=s3_endpoint, region="us-east-1"))
    assert bucket is not None
    bucket.create_bucket()

    def put(name: str, rows: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink)
        bucket.put(name, sink.getvalue().to_pybytes())

    put("day/a.parquet", table(0, 60))
    world.source = {"kind": "files", "uri": "s3://counted-rows/day", "endpoint": s3_endpoint, "region": "us-east-1"}
    manifest = made(world)
    assert counted(world, manifest).rows == 0
    put("day/b.parquet", table(60, 40))
    put("day/a.parquet", table(0, 61))
    put("days/c.parquet", table(200, 9))
    assert counted(world, manifest).rows == 41
    bucket.put("day/half.parquet", b"PAR1 cut off")
    found = counted(world, manifest)
    assert found.rows is None and "the footer of s3://counted-rows/day/half.parquet cannot be read" in found.problem


def test_what_cannot_be_told_counts_nothing_and_says_why(world, database):
    of_sqlite(world, database)
    insert(database, 0, 100)
    manifest = made(world)
    insert(database, 100, 100)
    plain = dict(world.source)
    world.source = {**plain, "query": "SELECT * FROM rows WHERE size > 0"}
    found = counted(world, manifest)
    assert found.rows is None and "the data of models:/rows/1 were read from another source" in found.problem
    world.source = plain
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE rows RENAME TO others")
    found = counted(world, manifest)
    assert found.rows is None and "no such table: rows" in found.text
    database.unlink()
    assert "there is no SQLite database" in counted(world, manifest).text
    open_store(world.address).delete("datasets/rows/made/1.json")
    assert "how far it was read for models:/rows/1 was not kept" in counted(world, manifest).text


def watching(birds: Watched, folder: Path, now: datetime, **policy: Any) -> MonitorSpecification:
    declared = {"triggers": [{"kind": "new-data", "rows": 30}], "dataParameter": "data.until", "cooldownSeconds": 0, **policy}
    specification = birds.specification(now, drift={}, retraining=declared)
    watched = WatchedSource(source=FilesSource(uri=f"file://{folder}"), label="late")
    return specification.model_copy(update={"new_data": watched})


def test_enough_new_files_ask_for_a_retraining_and_a_source_that_fails_does_not(birds: Watched, monkeypatch, tmp_path):
    ingesting = World(monkeypatch, tmp_path)
    ingesting.put("a.parquet", table(0, 60))
    content = made(ingesting).model_copy(update={"name": "birds", "digest": birds.digest})
    birds.store.put("datasets/birds/made/1.json", content.model_dump_json().encode())
    monitor.watch(watching(birds, ingesting.rows, MONDAY))
    assert birds.state.source == NewRows(place=f"file://{ingesting.rows}", rows=0)
    assert birds.state.decision is not None and not birds.state.decision.reasons
    ingesting.put("b.parquet", table(60, 29))
    monitor.watch(watching(birds, ingesting.rows, MONDAY + timedelta(hours=1)))
    assert birds.state.source is not None and birds.state.source.rows == 29, "nothing came in the log, and it is counted"
    assert birds.state.proposal is None
    (ingesting.rows / "c.parquet").write_bytes(b"half")
    ingesting.put("d.parquet", table(200, 40))
    monitor.watch(watching(birds, ingesting.rows, MONDAY + timedelta(hours=2)))
    assert birds.state.proposal is None and "c.parquet cannot be read" in birds.state.source.text
    (ingesting.rows / "c.parquet").unlink()
    monitor.watch(watching(birds, ingesting.rows, MONDAY + timedelta(hours=3)))
    proposal = birds.state.proposal
    assert proposal is not None
    assert proposal.reasons == (f"69 rows of file://{ingesting.rows} are new; 30 are enough",)
    assert proposal.change == (("birds", "data", "until"), f"{MONDAY.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    assert f"Of what its data are made of 69 rows of file://{ingesting.rows} are new" in proposal.facts
