"""Rows that are taken out of tables of predictions: of a SQLite file that nobody has open, or of PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from heliostat.spec.batch import PostgresSink
from heliostat.systems import databases
from heliostat.systems.errors import PermanentError


def delete_sqlite(path: Path, column: str, values: Sequence[str | int]) -> int:
    """Delete rows from a file of `databases.write_sqlite`, with their bytes, and return how many there were.

    Raises:
        PermanentError: it is no such file.
    """
    marks = ", ".join("?" * len(values))
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(predictions)")]
            if column not in columns:
                return 0
            query = f'DELETE FROM predictions WHERE "{column}" IN ({marks})'  # noqa: S608 - a name that the table has
            count = connection.execute(query, values).rowcount
            if count:
                connection.execute("VACUUM")
            return count
    except sqlite3.DatabaseError as error:
        raise PermanentError(f"{path.name} is no table of predictions: {error}") from None


def count_postgres(sink: PostgresSink, column: str, values: Sequence[str | int]) -> dict[str, int]:
    """How many rows have one of these values, by the tables behind a view that have the column.

    Raises:
        NoAccessError, PermanentError, RetryableError: as `databases.connected` does.
    """
    with databases.connected(sink.database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name ~ %s AND column_name = %s ORDER BY 1",
            (f"^{sink.table}__[0-9a-f]{{16}}$", column),
        )
        tables = [name for (name,) in cursor.fetchall()]
        found = {}
        for table in tables:
            query = f'SELECT count(*) FROM "{table}" WHERE "{column}"::text = ANY(%s)'  # noqa: S608 - names that are there
            cursor.execute(query, (list(map(str, values)),))
            (found[table],) = cursor.fetchone()
        return found


def delete_postgres(sink: PostgresSink, table: str, column: str, values: Sequence[str | int]) -> None:
    """Delete the rows that `count_postgres` found in a table; no load of the same view runs meanwhile."""
    with databases.connected(sink.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (sink.table,))
        query = f'DELETE FROM "{table}" WHERE "{column}"::text = ANY(%s)'  # noqa: S608 - names that are there
        cursor.execute(query, (list(map(str, values)),))
