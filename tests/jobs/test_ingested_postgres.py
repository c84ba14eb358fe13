"""Rows of a real PostgreSQL become a data set, and go on where they ended. Only with --long, as other tests that need one."""

from __future__ import annotations

import json
import math
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pytest
from test_batch_postgres import database as database
from test_ingested_snapshots import DAY, World
from test_new_rows_of_sources import counted, made

from heliostat.data.drift import compare
from heliostat.data.inference import infer
from heliostat.data.profiling import DRIFT, Measures, profile
from heliostat.jobs import new_rows
from heliostat.ml.contracts import columns_of
from heliostat.spec.batch import PostgresDatabase
from heliostat.systems import databases
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

pytestmark = pytest.mark.long
pytest.importorskip("psycopg2")


def run(where: PostgresDatabase, *statements: str) -> None:
    with databases.connected(where) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_words_that_quote_a_row_are_not_told_and_others_are(database):
    with pytest.raises(PermanentError, match=r"InvalidTextRepresentation \(SQLSTATE 22P02\)") as raised:
        run(database, "SELECT CAST('ada@example.org' AS integer)")
    assert "ada@" not in str(raised.value)
    with pytest.raises(PermanentError, match='column "income" does not exist'):
        run(database, "SELECT income")


def test_a_table_is_read_on_by_the_time_of_its_last_change(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(["id", "size", "late"])
    run(
        database,
        "CREATE TABLE trips (id text, at timestamptz, size double precision, late boolean, changed timestamptz)",
        f"INSERT INTO trips SELECT 'r' || n, '{DAY.isoformat()}'::timestamptz, n, n % 2 = 0, "
        f"'{DAY.isoformat()}'::timestamptz + n * interval '1 second' FROM generate_series(0, 99) n",
    )
    world.source = {
        "kind": "query", "database": database.model_dump(mode="json"), "query": "SELECT * FROM trips", "cursor": "changed",
        "lateness": "PT5S",
    }  # fmt: skip
    assert sum(world.make(time=None).rows.values()) == 100
    run(
        database,
        "UPDATE trips SET size = 77, changed = changed + interval '1 day' WHERE id = 'r3'",
        "INSERT INTO trips SELECT 'late', at, 1, true, changed - interval '2 seconds' FROM trips WHERE id = 'r99'",
    )
    rows = world.all(world.make(time=None))
    found = dict(zip(rows["id"].to_pylist(), rows["size"].to_pylist(), strict=True))
    assert len(found) == rows.num_rows == 101
    assert found["r3"] == 77


def test_a_moment_takes_rows_of_a_table_and_those_that_are_read_again_are_not_late(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(["id", "size", "late"])
    more = (
        "INSERT INTO asked SELECT 'r' || n, '{at}'::timestamptz + n * interval '1 second', n, n % 2 = 0, "
        f"'{DAY.isoformat()}'::timestamptz + n * interval '1 second' FROM generate_series({{first}}, {{last}}) n"
    )
    run(
        database,
        "CREATE TABLE asked (id text, at timestamptz, size double precision, late boolean, changed timestamptz)",
        more.format(at=DAY.isoformat(), first=0, last=99),
    )
    world.source = {
        "kind": "query", "database": database.model_dump(mode="json"), "query": "SELECT * FROM asked", "cursor": "changed",
        "lateness": "PT30S",
    }  # fmt: skip
    assert sum(world.make(until=DAY + timedelta(days=1)).rows.values()) == 100
    run(database, more.format(at=(DAY + timedelta(days=1)).isoformat(), first=100, last=109))
    second = world.make(until=DAY + timedelta(days=2), maxLate=0.0)
    assert sum(second.rows.values()) == 110
    assert not [note for note in second.notes if "late" in note]
    run(database, more.format(at=DAY.isoformat(), first=110, last=112))
    assert "3 rows (2.65%) came late" in world.make(until=DAY + timedelta(days=3)).notes[0]


def test_new_rows_are_counted_by_the_database_and_what_fails_or_takes_too_long_counts_nothing(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(["id", "size", "late"])
    at = f"'{DAY.isoformat()}'::timestamptz"
    run(
        database,
        "CREATE TABLE news (id text, size double precision, late boolean, changed timestamptz)",
        f"INSERT INTO news SELECT 'r' || n, n, n % 2 = 0, {at} + n * interval '1 second' FROM generate_series(0, 99) n",
    )
    world.source = {
        "kind": "query", "database": database.model_dump(mode="json"), "query": "SELECT * FROM news", "cursor": "changed",
        "lateness": "PT10S",
    }  # fmt: skip
    manifest = made(world)
    assert counted(world, manifest).rows == 0
    run(
        database,
        f"INSERT INTO news SELECT 'n' || n, n, true, {at} + n * interval '1 second' FROM generate_series(200, 219) n",
        f"INSERT INTO news VALUES ('behind', 1, true, {at} + interval '95 seconds')",
        f"INSERT INTO news VALUES ('no label', 1, NULL, {at} + interval '1 day')",
        f"UPDATE news SET size = 7, changed = {at} + interval '300 seconds' WHERE id = 'r3'",
    )
    assert counted(world, manifest).rows == 22
    assert sum(made(world).rows.values()) == 121
    monkeypatch.setattr(new_rows, "_SECONDS", 1)
    world.source["query"] = "SELECT news.* FROM news, pg_sleep(3)"
    slow = made(world)
    found = counted(world, slow)
    assert found.rows is None and "statement timeout" in found.problem
    run(database, "DROP TABLE news")
    found = counted(world, slow)
    assert found.rows is None and 'relation "news" does not exist' in found.problem


def test_a_column_that_is_all_null_has_the_type_that_the_database_says(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    columns = ["id", "size", "late", "weight", "note", "seen"]
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(columns)
    run(
        database,
        "CREATE TABLE gaps (id text, at timestamptz, size double precision, late boolean, changed timestamptz, "
        "weight integer, note varchar(9), seen timestamp, price numeric(6, 2))",
        f"INSERT INTO gaps SELECT 'r' || n, '{DAY.isoformat()}'::timestamptz, n, n % 2 = 0, "
        f"'{DAY.isoformat()}'::timestamptz + n * interval '1 second' FROM generate_series(0, 99) n",
    )
    world.source = {
        "kind": "query", "database": database.model_dump(mode="json"), "query": "SELECT * FROM gaps", "cursor": "changed",
        "lateness": "PT5S",
    }  # fmt: skip
    rows = world.all(world.make(time=None))
    types = [str(rows.schema.field(name).type) for name in columns[3:]]
    assert types == ["int64", "string", "timestamp[us]"]
    run(
        database,
        "INSERT INTO gaps SELECT 'late', at, 1, true, changed + interval '1 hour', 7, 'now', at, 12.5 "
        "FROM gaps WHERE id = 'r99'",
    )
    rows = world.all(world.make(time=None))
    assert {*rows["weight"].to_pylist()} == {None, 7}, "what comes later is of the same type"


def of_numeric(database, world, *more, **given):
    """A data set of a table `fares` with a column of each kind of numeric, and further rows of (id, price, total)."""
    run(
        database,
        "DROP TABLE IF EXISTS fares",
        "CREATE TABLE fares (id text, late boolean, changed timestamptz, price numeric(6, 2), total numeric)",
        "INSERT INTO fares SELECT 'r' || n, n % 2 = 0, "
        f"'{DAY.isoformat()}'::timestamptz + n * interval '1 second', n + 0.25, n * 0.1 FROM generate_series(0, 99) n",
        *(
            f"INSERT INTO fares SELECT '{name}', true, max(changed), {price}, {total} FROM fares"
            for name, price, total in more
        ),
    )
    world.source = {
        "kind": "query", "database": database.model_dump(mode="json"), "query": "SELECT * FROM fares", "cursor": "changed",
        "lateness": "PT5S",
    }  # fmt: skip
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows.drop_columns(["changed"])
    return world.make(time=None, **given)


def test_numeric_is_a_number_for_statistics_schema_drift_and_models(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    made = of_numeric(
        database,
        world,
        ("nan", "'NaN'", "'NaN'"),
        ("gap", "NULL", "NULL"),
        ("big", "9999.99", "1e100"),
        ("end", "1", "'Infinity'"),
    )
    assert made.columns["price"] == made.columns["total"] == "double"
    rows = world.all(made)
    found = {row["id"]: (row["price"], row["total"]) for row in rows.to_pylist()}
    assert found["r7"] == (7.25, 0.7) and found["gap"] == (None, None) and found["big"] == (9999.99, 1e100)
    assert math.isnan(found["nan"][0]) and found["end"] == (1.0, math.inf)
    assert columns_of(rows)["price"].dtype == rows.to_pandas()["price"].dtype == np.float64
    store, top = open_store(world.address), f"datasets/rows/{made.digest}"
    statistics = json.loads(store.get(f"{top}/statistics.json"))["train"]["columns"]["price"]
    assert statistics["type"] == "double" and 0 < statistics["mean"] < 9999.99
    assert json.loads(store.get(f"{top}/schema.json"))["columns"]["price"]["max"] <= 9999.99
    reference = profile(rows, Measures(label="late"))
    assert infer(reference, label="late").columns["price"].type == "double"
    shifted = rows.set_column(rows.column_names.index("price"), "price", pc.add(rows["price"], 500.0))
    assert [column.name for column in compare(reference, profile(shifted, DRIFT)).alarming] == ["price"]
    assert not [note for note in made.notes if "digits" in note]


def test_numeric_with_more_digits_than_a_double_is_told_by_each_data_set_that_has_it(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    made = of_numeric(database, world, ("a", "1", "9007199254740993"), ("b", "1", "0.12345678901234567890"))
    told = "2 values of 'total' have more digits than a double holds, and are rounded"
    assert told in made.notes
    assert told in world.make(time=None).notes, "also where nothing is read anew"
    (tmp_path / "other").mkdir()
    other = World(monkeypatch, tmp_path / "other")
    with pytest.raises(PermanentError, match=r"the column 'total' of the query is not double: .* beyond 1.8e308; CAST it"):
        of_numeric(database, other, ("a", "1", "1e400"))


def test_numeric_tells_rows_apart_and_is_read_on_from_as_long_as_a_double_holds_it(database, monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    of_numeric(database, world)
    world.source |= {"cursor": "total", "lateness": "PT0S"}
    world.make(time=None, key=["price"])
    run(database, "INSERT INTO fares VALUES ('next', true, now(), 700, 9.95)")
    assert "next" in world.all(world.make(time=None, key=["price"]))["id"].to_pylist()
    run(database, "INSERT INTO fares VALUES ('last', true, now(), 800, 123456789.12345678901)")
    with pytest.raises(PermanentError, match="1 values of 'total', by which rows are told apart or read on"):
        world.make(time=None, key=["price"])
