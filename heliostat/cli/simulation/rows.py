"""A workload's rows by the month that they are of: what was known by a moment, and what came in a month. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.ml.datasets import Tables
from heliostat.monitoring.windows import micros, numbers_of, to_micros, window
from heliostat.spec.watches import Calendar

_DAY_US = 86_400_000_000
KNOWN_AFTER = timedelta(days=1)
"""How long after a prediction its label comes."""


def month_of(text: str) -> int:
    """The number of a month that is written as `2013-01`.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    return int(numbers_of(np.array([to_micros(moment)]), Calendar.MONTH)[0])


def start_of(month: int) -> datetime:
    """The first moment of a month."""
    return window(month, Calendar.MONTH).start


def name_of(month: int) -> str:
    """As it is written."""
    return window(month, Calendar.MONTH).name


def time_column(rows: pa.Table, asked: str | None) -> str:
    """The column that says when a row happened: the one that is asked for, or the first of times.

    Raises:
        ValueError: there is none.
    """
    times = [each.name for each in rows.schema if pa.types.is_timestamp(each.type)]
    if asked is not None and asked not in times:
        raise ValueError(f"the data have no column of times {asked!r}; they have {', '.join(times) or 'none'}")
    if not times:
        raise ValueError("the data have no column of times: nothing of them can be simulated month by month")
    return asked or times[0]


def until(rows: pa.Table, column: str, month: int, label: str) -> Tables:
    """What is known when a month begins, split by whole days: one in seven is test, one validation."""
    times, there = micros(rows[column])
    known = there & (times < to_micros(start_of(month)))
    day = times // _DAY_US
    turn = (day + day // 7) % 7
    train, validation, test = (rows.filter(pa.array(known & chosen)) for chosen in (turn > 1, turn == 1, turn == 0))
    return Tables(train, validation, test, label)


def of_month(rows: pa.Table, column: str, month: int) -> pa.Table:
    """The rows of a month."""
    times, there = micros(rows[column])
    return rows.filter(pa.array(there & (numbers_of(times, Calendar.MONTH) == month)))


def ids_of(rows: pa.Table, month: int) -> pa.Array:
    """The ids of requests about the rows of a month."""
    return pa.array([f"{start_of(month):%Y%m}-{number}" for number in range(rows.num_rows)])


def logged(
    rows: pa.Table, column: str, ids: pa.Array, inputs: tuple[str, ...], answers: pa.Array, field: str, version: str
) -> bytes:
    """A file of the prediction log: each row a request at its own time."""
    moments = pa.array(micros(rows[column])[0], pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "request_id": ids,
            "row": pa.array(np.zeros(rows.num_rows), pa.int32()),
            "time": moments,
            "version": [version] * rows.num_rows,
            f"prediction_{field}": answers,
            **{f"input_{name}": rows[name] for name in inputs if name in rows.column_names},
        }
    )
    return _parquet(table)


def labelled(rows: pa.Table, column: str, ids: pa.Array, label: str) -> bytes:
    """What turned out to be true of these rows, a day later."""
    known = pa.array(micros(rows[column])[0] + KNOWN_AFTER // timedelta(microseconds=1), pa.timestamp("us", "UTC"))
    truth = rows[label].combine_chunks()
    truth = truth.cast(pa.float64()) if not pa.types.is_string(truth.type) else truth
    return _parquet(pa.table({"request_id": ids, "label": truth, "time": known}))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def months(first: int, last: int) -> Iterator[int]:
    """Every month from the first to the last, both in it."""
    yield from range(first, last + 1)
