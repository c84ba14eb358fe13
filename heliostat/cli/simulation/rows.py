"""A workload's rows by the month that they are of: what was known by a moment, and what came in a month. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heliostat.ml.datasets import Tables
from heliostat.monitoring.windows import Micros, micros, numbers_of, to_micros, window
from heliostat.spec.watches import Calendar

_DAY_US = 86_400_000_000
KNOWN_AFTER = timedelta(days=1)
"""How long after a prediction its label comes, where nothing says when it came."""
KNOWN_AFTER_US = KNOWN_AFTER // timedelta(microseconds=1)


@dataclass(frozen=True)
class Happened:
    """Rows that clients ask about."""

    rows: pa.Table
    at: Micros
    """When each was asked about."""
    known: Micros
    """When the label of each came."""

    @property
    def told(self) -> str:
        """From when to when they are."""
        if not len(self.at):
            return "the data have no row with a time"
        first, last = (datetime.fromtimestamp(int(each) / 1e6, UTC) for each in (self.at.min(), self.at.max()))
        return f"the data are of {first:%Y-%m} to {last:%Y-%m}"

    def where(self, chosen: NDArray[np.bool_]) -> Happened:
        """Some of them."""
        return Happened(self.rows.filter(pa.array(chosen)), self.at[chosen], self.known[chosen])

    def between(self, first: int, last: int) -> Happened:
        """Those of the months from the first to the last, both in it."""
        months = numbers_of(self.at, Calendar.MONTH)
        return self.where((months >= first) & (months <= last))


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


def by_days(rows: pa.Table, column: str, label: str) -> Tables:
    """Rows split by whole days: one in seven is test, one validation. Those without a time are in none."""
    times, there = micros(rows[column])
    day = times // _DAY_US
    turn = (day + day // 7) % 7
    train, validation, test = (rows.filter(pa.array(there & chosen)) for chosen in (turn > 1, turn == 1, turn == 0))
    return Tables(train, validation, test, label)


def ids_of(count: int, month: int) -> pa.Array:
    """The ids of requests about the rows of a month."""
    return pa.array([f"{start_of(month):%Y%m}-{number}" for number in range(count)], pa.string())


def logged(asked: Happened, ids: pa.Array, inputs: tuple[str, ...], answers: pa.Array, field: str, version: str) -> bytes:
    """A file of the prediction log: each row a request at its own time."""
    rows = asked.rows
    table = pa.table(
        {
            "request_id": ids,
            "row": pa.array(np.zeros(rows.num_rows), pa.int32()),
            "time": pa.array(asked.at, pa.timestamp("us", "UTC")),
            "version": [version] * rows.num_rows,
            f"prediction_{field}": answers,
            **{f"input_{name}": rows[name] for name in inputs if name in rows.column_names},
        }
    )
    return _parquet(table)


def labelled(happened: Happened, ids: pa.Array, label: str) -> bytes:
    """What turned out to be true of these rows, with when it came."""
    truth = happened.rows[label].combine_chunks()
    truth = truth.cast(pa.float64()) if not pa.types.is_string(truth.type) else truth
    known = pa.array(happened.known, pa.timestamp("us", "UTC"))
    return _parquet(pa.table({"request_id": ids, "label": truth, "time": known}))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def months(first: int, last: int) -> Iterator[int]:
    """Every month from the first to the last, both in it."""
    yield from range(first, last + 1)
