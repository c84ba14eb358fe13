"""The cursor of a query: how far it was read, and what is asked from there on."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pyarrow as pa

from heliostat.spec.ingestion import IncrementalQuery
from heliostat.systems.errors import PermanentError

Cursor = int | float | str
"""A number, or a time as ISO 8601 writes it."""


def asked(source: IncrementalQuery, since: Cursor | None, key: tuple[str, ...]) -> str:
    """The query from where the last run ended. Rows with the same cursor come in the order of their key: a database may have
    them in another one each time."""
    order = ", ".join([source.cursor, *map(_quoted, key)])
    return f"SELECT * FROM {_rows(source, since)} ORDER BY {order}"  # noqa: S608 - the config's own query


def counted(source: IncrementalQuery, since: Cursor | None, label: str) -> str:
    """How many of its rows have a label, from where the last run ended."""
    return f"SELECT count({_quoted(label)}) FROM {_rows(source, since)}"  # noqa: S608 - the same


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _rows(source: IncrementalQuery, since: Cursor | None) -> str:
    """What is written into it is a number or a time that the database gave."""
    query = source.query.rstrip("; \n\t")
    if since is None:
        return f"({query}) AS ingested"
    if isinstance(since, str):
        value = f"'{(datetime.fromisoformat(since) - source.lateness).isoformat(sep=' ')}'"
    else:
        value = repr(since - source.behind)
    return f"({query}) AS ingested WHERE {source.cursor} >= {value}"


def later(one: Cursor | None, other: Cursor) -> Cursor:
    """The greater of two cursors, of which none is there at first; both are numbers, or both times."""
    if isinstance(one, str) and isinstance(other, str):
        return max(one, other, key=datetime.fromisoformat)
    return max(one, other) if isinstance(one, int | float) and isinstance(other, int | float) else other


def greatest(name: str, column: pa.ChunkedArray) -> Cursor:
    """The last cursor of some rows.

    Raises:
        PermanentError: it is neither a number nor a time, or a row has none.
    """
    from pyarrow import compute

    if column.null_count and column.null_count < len(column):
        raise PermanentError(
            f"{column.null_count:,} rows have no {name!r}, from which a query is read on: whatever changes of them would "
            f"never be read; leave them out of the query (WHERE {name} IS NOT NULL), or COALESCE to a column that each has"
        )
    found: Any = compute.max(column).as_py()
    if isinstance(found, datetime):
        return found.isoformat()
    if isinstance(found, str):
        try:
            return datetime.fromisoformat(found).isoformat()  # SQLite has times as text
        except ValueError:
            pass  # what it is instead may be personal
    if isinstance(found, int | float) and math.isfinite(found):
        return found
    raise PermanentError(
        f"the cursor holds {column.type}: it must be a finite number or a time in each row; CAST it in the query"
    )
