"""SQL databases: rows are read in one transaction and in turns, and tables change at once or not at all."""

from __future__ import annotations

import io
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from heliostat.spec.batch import PostgresDatabase, SqliteDatabase
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

if TYPE_CHECKING:
    import pyarrow as pa

_SECONDS = 10
_STEPS = 100_000
"""Of SQLite's machine, after each of which the time is looked at."""
_QUOTING = ("22", "23")
"""Classes of SQLSTATE: data that do not fit, and rows that break a rule."""


class Rows(NamedTuple):
    """A query's result that is being read."""

    names: tuple[str, ...]
    batches: Iterator[Sequence[Sequence[Any]]]
    first: Callable[[str], Sequence[Any]]
    """The first row of another query, of the same moment; called once all batches are read."""
    types: Mapping[str, pa.DataType] = {}
    """What the database says of columns, for those whose values tell nothing; SQLite's columns have no types."""


@contextmanager
def reading(database: SqliteDatabase | PostgresDatabase, query: str, batch_rows: int) -> Iterator[Rows]:
    """Run a query; its rows come in batches, all of one moment.

    Raises:
        PermanentError: the database or the query is not right.
        RetryableError: it does not answer.
    """
    with (
        _read_sqlite(database, query, batch_rows)
        if isinstance(database, SqliteDatabase)
        else _read_postgres(database, query, batch_rows) as rows
    ):
        yield rows


def first_row(database: SqliteDatabase | PostgresDatabase, query: str, seconds: int) -> Sequence[Any]:
    """The first row of a query that is given up after so many seconds.

    Raises:
        PermanentError: the database or the query is not right.
        RetryableError: it does not answer, or not in time.
    """
    if isinstance(database, SqliteDatabase):
        with _read_sqlite(database, query, 1, seconds) as rows:
            return next(rows.batches)[0]
    with connected(database) as connection:
        connection.set_session(readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = %s", (seconds * 1_000,))
            cursor.execute(query)
            return cursor.fetchone()  # type: ignore[no-any-return]


def _sqlite(database: SqliteDatabase) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(database.path)}?mode=ro", uri=True, timeout=_SECONDS, isolation_level=None)


@contextmanager
def _read_sqlite(database: SqliteDatabase, query: str, batch_rows: int, seconds: int | None = None) -> Iterator[Rows]:
    if not Path(database.path).is_file():
        raise PermanentError(f"there is no SQLite database {database.path} on this node: put it there, or correct the path")
    try:
        with closing(_sqlite(database)) as connection:
            if seconds is not None:
                ends = time.monotonic() + seconds
                connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
            connection.execute("BEGIN")  # what is asked later is of the same moment
            cursor = connection.execute(query)
            rows = iter(lambda: cursor.fetchmany(batch_rows), [])
            yield Rows(_names(cursor, query), rows, lambda asked: connection.execute(asked).fetchone())
    except sqlite3.OperationalError as error:
        kind = RetryableError if "locked" in str(error) or "interrupted" in str(error) else PermanentError
        raise kind(f"{database.path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise PermanentError(f"{database.path}: {error}") from None


@contextmanager
def _read_postgres(database: PostgresDatabase, query: str, batch_rows: int) -> Iterator[Rows]:
    with connected(database) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor("heliostat_rows") as cursor:  # one with a name hands its rows out in turns
            cursor.itersize = batch_rows
            cursor.execute(query)
            first = cursor.fetchmany(batch_rows)
            yield Rows(
                _names(cursor, query), _turns(cursor, first, batch_rows), partial(_first, connection), _postgres_types(cursor)
            )


def _turns(cursor: Any, first: Sequence[Sequence[Any]], batch_rows: int) -> Iterator[Sequence[Sequence[Any]]]:
    while first:
        yield first
        first = cursor.fetchmany(batch_rows)


def _first(connection: Any, query: str) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()  # type: ignore[no-any-return]


def _postgres_types(cursor: Any) -> dict[str, pa.DataType]:
    """Types of a query's columns, by the numbers that PostgreSQL has for its own for good (`pg_type.dat`)."""
    import pyarrow as pa

    moment = pa.timestamp("us")
    numbers = {16: pa.bool_(), 17: pa.binary(), 20: pa.int64(), 21: pa.int64(), 23: pa.int64()}
    more = {700: pa.float64(), 701: pa.float64(), 1082: pa.date32(), 1083: pa.time64("us"), 1114: moment}
    texts = dict.fromkeys((18, 19, 25, 1042, 1043), pa.string())
    # `numeric` has values that no decimal of Arrow has: NaN, and more digits.
    known = {**numbers, **more, **texts, 1184: pa.timestamp("us", "UTC"), 1700: pa.float64()}
    return {column[0]: known[column[1]] for column in cursor.description or () if column[1] in known}


def _names(cursor: Any, query: str) -> tuple[str, ...]:
    if cursor.description is None:
        raise PermanentError(f"{query[:80]!r} gives no rows: give a SELECT")
    return tuple(column[0] for column in cursor.description)


@contextmanager
def connected(database: PostgresDatabase) -> Iterator[Any]:
    """Connect to a PostgreSQL database; what is done is kept where the block ends well, else undone.

    Raises:
        NoAccessError: the password's environment variable is not set.
        PermanentError: it refuses what is asked.
        RetryableError: it does not answer.
    """
    try:
        import psycopg2
    except ModuleNotFoundError:
        text = "psycopg2 is not installed, which speaks to PostgreSQL: name heliostat[postgres] in the requirements"
        raise PermanentError(text) from None
    where = f"{database.host}:{database.port}/{database.database}"
    given: dict[str, Any] = {"password": _password(database, where)} if database.password_variable else {}
    try:
        connection = psycopg2.connect(
            host=database.host,
            port=database.port,
            dbname=database.database,
            user=database.user,
            connect_timeout=_SECONDS,
            application_name="heliostat",
            **given,
        )
    except psycopg2.OperationalError as error:
        kind = PermanentError if "authentication" in str(error) or "does not exist" in str(error) else RetryableError
        raise kind(f"PostgreSQL at {where}: {str(error).strip()}") from None
    try:
        with closing(connection), connection:
            yield connection
    except psycopg2.OperationalError as error:
        raise RetryableError(f"PostgreSQL at {where}: {_told(error)}") from None
    except psycopg2.Error as error:
        raise PermanentError(f"PostgreSQL at {where}: {_told(error)}") from None


def _told(error: Any) -> str:
    """What PostgreSQL says of an error. Of values that do not fit, and rows that break a rule, its words quote them."""
    if (error.pgcode or "")[:2] not in _QUOTING:
        return str(error).strip()
    return f"{type(error).__name__} (SQLSTATE {error.pgcode}); its words quote rows, and are not told here: ask it yourself"


def _password(database: PostgresDatabase, where: str) -> str:
    found = os.environ.get(database.password_variable or "")
    if not found:
        raise NoAccessError(f"{database.password_variable} is not set on this node: PostgreSQL at {where} is entered with it")
    return found


def copy_rows(cursor: Any, table: str, key: Sequence[str], rows: pa.Table) -> None:
    """Append an Arrow table of numbers, texts, booleans and times to one of the same columns and the primary key `key`.

    A row that is there already, with all its values, is not put there again.

    Raises:
        PermanentError: another row has the same key.
    """
    import pyarrow.csv as csv

    buffer = io.BytesIO()
    csv.write_csv(rows, buffer, csv.WriteOptions(include_header=False))
    buffer.seek(0)
    names, keys = _quoted(rows.column_names), _quoted(key)
    cursor.execute(f'CREATE TEMP TABLE heliostat_rows (LIKE "{table}") ON COMMIT DROP')
    cursor.copy_expert(f"COPY heliostat_rows ({names}) FROM STDIN WITH (FORMAT csv)", buffer)
    cursor.execute(f'INSERT INTO "{table}" SELECT * FROM heliostat_rows ON CONFLICT DO NOTHING')  # noqa: S608 - checked names
    cursor.execute(
        f'SELECT {keys} FROM heliostat_rows n JOIN "{table}" o USING ({keys}) '  # noqa: S608 - checked names
        "WHERE ROW(n.*) IS DISTINCT FROM ROW(o.*) LIMIT 1"
    )
    if (other := cursor.fetchone()) is not None:
        raise _same_key(key, other)
    cursor.execute("DROP TABLE heliostat_rows")


def write_sqlite(path: Path, key: Sequence[str], columns: Sequence[str], parts: Iterable[Sequence[Sequence[Any]]]) -> None:
    """Write a new SQLite file with one table, `predictions`, whose rows are found by `key`; a part is all its columns.

    A row that is there already, with all its values, is not put there again.

    Raises:
        PermanentError: two different rows have the same key.
    """
    marks = ", ".join("?" * len((*key, *columns)))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Whoever is killed here begins a new file.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        names, keys = _quoted((*key, *columns)), _quoted(key)
        connection.execute(f"CREATE TABLE predictions ({names}, PRIMARY KEY ({keys})) WITHOUT ROWID")
        connection.execute("BEGIN")
        for part in parts:
            before = connection.total_changes
            connection.executemany(f"INSERT OR IGNORE INTO predictions VALUES ({marks})", zip(*part, strict=True))  # noqa: S608
            if connection.total_changes - before < len(part[0]):
                _require_alike(connection, key, part)
        connection.execute("COMMIT")


def _require_alike(connection: sqlite3.Connection, key: Sequence[str], part: Sequence[Sequence[Any]]) -> None:
    where = " AND ".join(f'"{name}" = ?' for name in key)
    for row in zip(*part, strict=True):
        given = row[: len(key)]
        found = connection.execute(f"SELECT * FROM predictions WHERE {where}", given).fetchone()  # noqa: S608 - checked names
        # A number that is none is null there, and equal to nothing, itself included.
        if found is None or any(a != b and not (b is None and a != a) for a, b in zip(row, found, strict=True)):
            raise _same_key(key, given)


def _same_key(key: Sequence[str], values: Sequence[Any]) -> PermanentError:
    told = ", ".join(f"{name} {value!r}" for name, value in zip(key, values, strict=True))
    return PermanentError(f"two different rows have the same key ({told}): name columns in `key` that tell all rows apart")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
