"""Puts a result into a database: all of it at once, and once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import to_json

from heliostat.jobs.batch.rows import local
from heliostat.ml.contracts import columns_of
from heliostat.spec.batch import ANSWER, CHANGES, PREDICTION, PostgresSink
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import ResultPart, table_key
from heliostat.systems import databases
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import ObjectStore

_LOCK_SECONDS = 30.0
"""How long the view may wait for who reads it; then the run has failed, and the next goes on from there."""
_POSTGRES = {
    "bool": "boolean",
    "double": "double precision",
    "float": "real",
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
}
"""Arrow's types there; timestamps and all else follow below."""


def sqlite(specification: BatchSpecification, store: ObjectStore, run: str, parts: Sequence[ResultPart]) -> tuple[str, str]:
    """Write the SQLite file of a result, and return its key and SHA-256.

    Raises:
        PermanentError: two rows have the same key.
    """
    key = table_key(specification.name, run)
    answered = [ANSWER, CHANGES] if specification.postprocessing else []
    kept = [*specification.columns, PREDICTION, *answered]

    def columns() -> Iterator[list[Any]]:
        for table in _tables(store, parts):
            found = columns_of(table.select([*specification.key, *specification.columns]))
            values = [_values(found[name]) for name in (*specification.key, *specification.columns)]
            yield [*values, *(_values(_plain(table[name])) for name in (PREDICTION, *answered))]

    with tempfile.TemporaryDirectory(prefix="heliostat-table-") as folder:
        path = Path(folder, "table.sqlite")
        databases.write_sqlite(path, specification.key, kept, columns())
        digest = sha256_of(path)
        store.put_file(key, path)
    return key, digest


def postgres(
    specification: BatchSpecification, sink: PostgresSink, store: ObjectStore, run: str, parts: Sequence[ResultPart]
) -> None:
    """Load a result into a table of its own, part by part, then have the view show it; tables of results before go.

    A part is loaded and noted in one transaction: whoever comes after a kill goes on behind it.
    """
    table, noted = f"{sink.table}__{run[:16]}", f"{sink.table}__parts"
    with databases.connected(sink.database) as connection, connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE IF NOT EXISTS "{noted}" (run text, part text, PRIMARY KEY (run, part))')
    for part in parts:
        with databases.connected(sink.database) as connection, connection.cursor() as cursor:
            # The view's name stands for all of this: one at a time, whoever else loads.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (sink.table,))
            cursor.execute(f'SELECT 1 FROM "{noted}" WHERE run = %s AND part = %s', (run, part.key))  # noqa: S608 - checked names
            if cursor.fetchone() is not None:
                continue
            for rows in _tables(store, [part]):
                shown = rows.set_column(rows.column_names.index(PREDICTION), PREDICTION, _plain(rows[PREDICTION]))
                cursor.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({_definition(shown.schema, specification.key)})')
                databases.copy_rows(cursor, table, specification.key, shown)
            cursor.execute(f'INSERT INTO "{noted}" VALUES (%s, %s)', (run, part.key))  # noqa: S608
    with databases.connected(sink.database) as connection, connection.cursor() as cursor:
        # A reader that does not end would hold up this, and this every other reader.
        cursor.execute(f"SET LOCAL lock_timeout = {int(_LOCK_SECONDS * 1000)}")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (sink.table,))
        cursor.execute(f'DROP VIEW IF EXISTS "{sink.table}"')
        cursor.execute(f'CREATE VIEW "{sink.table}" AS SELECT * FROM "{table}"')  # noqa: S608
        cursor.execute(f'SELECT DISTINCT run FROM "{noted}" WHERE run <> %s', (run,))  # noqa: S608
        for (old,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE IF EXISTS "{sink.table}__{old[:16]}"')
        cursor.execute(f'DELETE FROM "{noted}" WHERE run <> %s', (run,))  # noqa: S608


def _tables(store: ObjectStore, parts: Sequence[ResultPart]) -> Iterator[pa.Table]:
    for part in parts:
        with local(store, part.key) as path, pq.ParquetFile(path) as file:
            for batch in file.iter_batches(65_536):
                yield pa.Table.from_batches([batch])


def _definition(schema: pa.Schema, key: Sequence[str]) -> str:
    columns = [f'"{field.name}" {_kind(field.type)}' for field in schema]
    primary = ", ".join(f'"{name}"' for name in key)
    return ", ".join([*columns, f"PRIMARY KEY ({primary})"])


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_date(kind):
        return "date"
    return _POSTGRES.get(str(kind), "text")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Predictions as a database takes them: several a row as JSON."""
    if pa.types.is_nested(column.type):
        return pa.chunked_array([pa.array([to_json(value).decode() for value in column.to_pylist()], pa.string())])
    return column


def _values(column: Any) -> list[Any]:
    if isinstance(column, pa.ChunkedArray):
        return list(column.to_pylist())
    return column if isinstance(column, list) else list(column.tolist())
