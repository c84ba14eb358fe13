"""Rows of a real PostgreSQL and of a bucket, kept in a bucket: tables change their form, runs meet and are killed. Only with
--long, as other tests that need a database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_batch_postgres import database as database
from test_ingested_postgres import run
from test_ingested_snapshots import DAY, World

from heliostat.jobs import ingested_rows
from heliostat.spec import ingested
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

pytestmark = pytest.mark.long
pytest.importorskip("psycopg2")


class Table:
    """A table of PostgreSQL, and a data set of it in a bucket."""

    def __init__(self, world: World, database, name: str) -> None:
        self.world, self.database, self.name = world, database, name
        columns = "id text, at timestamptz, size double precision, late boolean, changed timestamptz"
        run(database, f"CREATE TABLE {name} ({columns})")
        world.source = {
            "kind": "query", "database": database.model_dump(mode="json"), "query": f"SELECT * FROM {name}",
            "cursor": "changed", "lateness": "PT30S",
        }  # fmt: skip
        world.functions["w.d:snapshot"] = lambda parameters, rows: rows.drop_columns(["at", "changed"])

    def insert(self, first: int, last: int, day: int = 0, **more: str) -> None:
        """Rows that happened on a day, and were written a second after each other from the first day's beginning on."""
        at, begin = f"'{(DAY + timedelta(days=day)).isoformat()}'::timestamptz", f"'{DAY.isoformat()}'::timestamptz"
        names = "".join(f", {name}" for name in more)
        values = "".join(f", {value}" for value in more.values())
        run(
            self.database,
            f"INSERT INTO {self.name} (id, at, size, late, changed{names}) SELECT 'r' || n, {at} + n * interval '1 second', "
            f"n, n % 2 = 0, {begin} + n * interval '1 second'{values} FROM generate_series({first}, {last}) n",
        )

    def ids(self, manifest) -> list[str]:
        return sorted(self.world.all(manifest)["id"].to_pylist())


@pytest.fixture
def world(monkeypatch, tmp_path, s3_address):
    found = World(monkeypatch, tmp_path)
    found.address = s3_address
    return found


@pytest.fixture
def trips(world, database, request):
    name = f"t{abs(hash(request.node.name)) % 10**9}"
    yield Table(world, database, name)
    run(database, f"DROP TABLE {name}")


def whole(first: int, last: int) -> list[str]:
    return sorted(f"r{n}" for n in range(first, last + 1))


def test_a_column_that_is_empty_at_first_has_values_later(trips, monkeypatch):
    monkeypatch.setattr(ingested_rows, "_BATCH_ROWS", 40)
    run(trips.database, f"ALTER TABLE {trips.name} ADD COLUMN tip double precision, ADD COLUMN driver text")
    trips.insert(0, 99)
    trips.insert(100, 149, tip="n / 2.0")
    make = trips.world.functions["w.d:snapshot"]
    trips.world.functions["w.d:snapshot"] = lambda parameters, rows: make(parameters, rows).drop_columns(["driver"])
    first = trips.world.make(until=DAY + timedelta(days=1))
    assert first.columns["tip"] == "double"
    trips.world.functions["w.d:snapshot"] = make
    trips.insert(150, 199, tip="n / 2.0", driver="'d' || n")
    rows = trips.world.all(trips.world.make(until=DAY + timedelta(days=2)))
    assert rows.num_rows == 200 and rows["tip"].null_count == 100 and rows["driver"].null_count == 150


def test_a_column_that_the_table_gets_later_is_in_the_next_data_set_and_one_that_goes_is_empty(trips):
    trips.insert(0, 99)
    trips.world.make(until=DAY + timedelta(days=1))
    run(trips.database, f"ALTER TABLE {trips.name} ADD COLUMN tip double precision")
    trips.insert(100, 149, tip="n / 2.0")
    rows = trips.world.all(trips.world.make(until=DAY + timedelta(days=2)))
    assert rows.num_rows == 150 and rows["tip"].null_count == 100
    run(trips.database, f"ALTER TABLE {trips.name} DROP COLUMN tip")
    trips.insert(150, 159)
    rows = trips.world.all(trips.world.make(until=DAY + timedelta(days=3)))
    assert rows.num_rows == 160


def test_decimals_of_any_length_fit_together(trips):
    run(trips.database, f"ALTER TABLE {trips.name} ADD COLUMN fare numeric")
    trips.world.functions["w.d:snapshot"] = lambda parameters, rows: rows.select(["id", "late", "fare"])
    trips.insert(0, 99, fare="1.5")
    trips.world.make(until=DAY + timedelta(days=1))
    trips.insert(100, 149, fare="123456.789")
    rows = trips.world.all(trips.world.make(until=DAY + timedelta(days=2)))
    assert float(max(rows["fare"].to_pylist())) == 123456.789
    assert float(min(rows["fare"].to_pylist())) == 1.5


def test_rows_without_a_cursor_are_told_for_they_would_never_be_read_again(trips):
    trips.insert(0, 99)
    run(trips.database, f"UPDATE {trips.name} SET changed = NULL WHERE id IN ('r3', 'r4')")
    with pytest.raises(PermanentError, match="2 rows have no 'changed'"):
        trips.world.make(until=DAY + timedelta(days=1))


def test_a_run_that_is_killed_for_good_goes_on_and_reads_no_row_twice(trips, tmp_path):
    trips.insert(0, 999)
    script = tmp_path / "ingest.py"
    script.write_text(
        "import sys, time\n"
        "from heliostat.data.ingestion import Ingestion\n"
        "from heliostat.jobs import ingested_rows\n"
        "from heliostat.spec.addresses import StoreAddress\n"
        "ingested_rows._BATCH_ROWS, ingested_rows._PART_BYTES = 100, 1\n"
        "def tell(text):\n"
        "    print(text, flush=True)\n"
        "    time.sleep(0.2)\n"
        "made = ingested_rows.Ingested('rows', Ingestion.model_validate_json(sys.argv[1]),"
        " StoreAddress.model_validate_json(sys.argv[2]), tell)\n"
        "made.rows()\n"
    )
    from heliostat.data.ingestion import Ingestion

    declared = Ingestion.model_validate(
        {"source": trips.world.source, "label": "late", "key": ["id"], "time": "at",
         "split": {"kind": "group", "column": "id", "validation": 0.3, "test": 0.3}}
    )  # fmt: skip
    given = [sys.executable, str(script), declared.model_dump_json(), trips.world.address.model_dump_json()]
    process = subprocess.Popen(given, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = open_store(trips.world.address)
    left = [info.key for info in store.list(ingested.top("rows"))]
    assert left and all("/parts/" in key for key in left), "parts, and nothing that names them"
    manifest = trips.world.make(until=DAY + timedelta(days=1))
    assert trips.ids(manifest) == whole(0, 999)
    assert manifest.made is not None and sum(source.rows or 0 for source in manifest.made.sources) == 1_000


def test_two_runs_at_once_make_what_one_makes(trips):
    trips.insert(0, 499)
    trips.world.make(until=DAY + timedelta(days=1))
    trips.insert(500, 799, day=1)
    found, wrong = [], []

    def make() -> None:
        try:
            found.append(trips.world.make(until=DAY + timedelta(days=2)).digest)
        except Exception as error:
            wrong.append(error)

    runs = [threading.Thread(target=make) for _ in range(4)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert not wrong and len({*found}) == 1
    trips.insert(800, 809, day=2)
    third = trips.world.make(until=DAY + timedelta(days=3))
    assert trips.ids(third) == whole(0, 809) and not [note for note in third.notes if "late" in note]


def test_objects_with_odd_names_are_read_and_those_of_a_prefix_that_only_begins_alike_are_not(world):
    top = world.address.uri.rpartition("/")[0]
    beside = open_store(StoreAddress(uri=f"{top}/trips", endpoint=world.address.endpoint))
    other = open_store(StoreAddress(uri=f"{top}/trips-of-others", endpoint=world.address.endpoint))
    names = ["a b.parquet", "ü/ß+&=.parquet", "day=1/%41.parquet", "x#y?.parquet"]
    for number, name in enumerate(names):
        sink = pa.BufferOutputStream()
        rows = pa.table({"id": [f"r{number}{n}" for n in range(20)], "size": [1.0] * 20, "late": [True, False] * 10})
        pq.write_table(rows, sink)
        beside.put(name, sink.getvalue().to_pybytes())
        other.put(name, sink.getvalue().to_pybytes())
    world.source = {"kind": "files", "uri": f"{top}/trips"}
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows
    manifest = world.make(time=None)
    assert sum(manifest.rows.values()) == 80
    assert manifest.made is not None and len(manifest.made.sources) == 4
