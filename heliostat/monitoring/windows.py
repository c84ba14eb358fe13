"""Windows over what is logged: by the calendar in UTC, or by a number of rows; and which of them are due to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.spec.watches import Calendar

Micros = NDArray[np.int64]
"""Times in microseconds since 1970, UTC."""

OUTSIDE: Final = np.iinfo(np.int64).min
"""The number of no window: of a row without a time, or whose time is still to come."""
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_MONDAY: Final = 4 * _DAY
"""1970 began on a Thursday; this is its first Monday."""
_EVERY: Final[Mapping[Calendar, int]] = {
    Calendar.HOUR: 3_600 * _SECOND,
    Calendar.DAY: _DAY,
    Calendar.WEEK: 7 * _DAY,
}


@dataclass(frozen=True, order=True)
class Window:
    """A stretch of time: its start belongs to it, its end to the next one."""

    start: datetime
    end: datetime
    name: str
    """As people say it: `2013-07`, `2013-W27`, `2013-07-04`, `2013-07-04T09`, or `rows 0-9999`."""


@dataclass(frozen=True)
class Assigned:
    """Rows by their windows, and those that are in none."""

    numbers: NDArray[np.int64]
    """The number of each row's window, `OUTSIDE` for none."""
    untimed: int
    """Rows without a time."""
    ahead: int
    """Rows from the future: whoever logged them has a clock that is ahead of ours."""
    ahead_seconds: float
    """How far the most of them are, 0 where none is."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is to be told of the rows that are in no window."""
        told = []
        if self.untimed:
            told.append(f"{self.untimed} rows have no time and are in no window")
        if self.ahead:
            told.append(
                f"{self.ahead} rows are up to {self.ahead_seconds:.0f} s in the future and wait for their window: clocks are "
                "apart, have them set by NTP on every node"
            )
        return tuple(told)


def micros(column: pa.ChunkedArray | pa.Array) -> tuple[Micros, NDArray[np.bool_]]:
    """A column of times, and which rows have one that a calendar has; what has no zone is taken as UTC.

    Raises:
        pyarrow.ArrowException: it holds no times.
    """
    column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    times = np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))
    there = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), dtype=bool)
    there = there & (times >= _FIRST) & (times <= _LAST)
    return np.where(there, times, 0), there


def assign(
    times: Micros, there: NDArray[np.bool_], every: Calendar, now: datetime, tolerance: timedelta = timedelta(seconds=60)
) -> Assigned:
    """Give each row the number of its calendar window; what is further ahead of `now` than `tolerance` is in none."""
    limit = to_micros(now + tolerance)
    ahead = there & (times > limit)
    numbers = np.where(there & ~ahead, numbers_of(times, every), OUTSIDE)
    most = float(times[ahead].max() - to_micros(now)) / _SECOND if ahead.any() else 0.0
    return Assigned(numbers, int((~there).sum()), int(ahead.sum()), most)


def numbers_of(times: Micros, every: Calendar) -> NDArray[np.int64]:
    """The numbers of the windows that times are in; those of one calendar follow each other."""
    if every is Calendar.MONTH:
        return np.asarray(times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64))
    offset = _MONDAY if every is Calendar.WEEK else 0
    return np.asarray((times - offset) // _EVERY[every], dtype=np.int64)


def window(number: int, every: Calendar) -> Window:
    """The window of a number."""
    if every is Calendar.MONTH:
        start, end = (_date(1970 + month // 12, month % 12 + 1) for month in (number, number + 1))
        return Window(start, end, f"{start:%Y-%m}")
    offset = _MONDAY if every is Calendar.WEEK else 0
    start, end = (from_micros(each * _EVERY[every] + offset) for each in (number, number + 1))
    return Window(start, end, start.strftime(_NAMES[every]))


_NAMES: Final[Mapping[Calendar, str]] = {Calendar.HOUR: "%Y-%m-%dT%H", Calendar.DAY: "%Y-%m-%d", Calendar.WEEK: "%G-W%V"}


@dataclass(frozen=True)
class CountAssigned:
    """Rows by windows of so many rows."""

    numbers: NDArray[np.int64]
    """The number of each row's window, `OUTSIDE` for none."""
    untimed: int
    late: int
    """Rows that are older than what was closed already, and are in no window."""
    open: int
    """The number of the newest window; those before it are full."""


def by_count(times: Micros, there: NDArray[np.bool_], rows: int, first: int = 0, since: int = OUTSIDE) -> CountAssigned:
    """Give each row the number of its window of so many rows, in the order of their times.

    Rows of one moment stay together, or a later look would not know which of them a closed window had. So a window may hold a
    few more rows than it is declared to, and is full only when a later row is there.

    Args:
        times: The rows' times.
        there: Which rows have a time.
        rows: How many a window holds.
        first: The number of the first window that is not closed yet.
        since: The time of the last row of the last closed window. What is not newer came late: a closed window keeps its rows.
    """
    late = there & (times <= since)
    order = np.flatnonzero(there & ~late)
    order = order[np.argsort(times[order], kind="stable")]
    together = np.searchsorted(times[order], times[order], side="left")
    numbers = np.full(len(times), OUTSIDE, dtype=np.int64)
    numbers[order] = first + together // rows
    newest = int(numbers[order[-1]]) if len(order) else first
    return CountAssigned(numbers, int((~there).sum()), int(late.sum()), newest)


def within(times: Micros, there: NDArray[np.bool_], starts: Micros, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each row's window, `OUTSIDE` for none, by the windows' first moments."""
    places = np.searchsorted(starts, times, side="right")
    found = np.concatenate([[OUTSIDE], numbers])[places]
    return np.where(there, found, OUTSIDE)


class Why(StrEnum):
    """Why a window is looked at."""

    CLOSED = "closed"
    """It is over, and was not looked at before."""
    LATE_ROWS = "late rows"
    LABELS = "labels came"


@dataclass(frozen=True)
class Looked:
    """What a window held when it was looked at last."""

    rows: int
    labels: int


def due(
    held: Mapping[int, Looked], before: Mapping[int, Looked], every: Calendar, now: datetime, grace: timedelta
) -> dict[int, Why]:
    """The windows to look at now, the oldest first: those that are over, and those that something came for since.

    Args:
        held: What each window holds by now. A window between them that nothing was logged in is due as well: silence is
            something to tell.
        before: What each held when it was looked at last.
        every: The calendar.
        now: The time by our clock.
        grace: How long after its end a window waits for rows that are still on their way.
    """
    if not held:
        return {}
    found = {}
    last = open_window(every, now, grace) - 1
    for number in range(min(held), min(last, max(held)) + 1) if len(held) < _MOST_WINDOWS else sorted(held):
        if number > last:
            continue
        there, known = held.get(number, Looked(0, 0)), before.get(number)
        if known is None:
            found[number] = Why.CLOSED
        elif there.rows != known.rows:
            found[number] = Why.LATE_ROWS
        elif there.labels != known.labels:
            found[number] = Why.LABELS
    return found


def silent(
    held: Mapping[int, Looked], before: Mapping[int, Looked], every: Calendar, now: datetime, grace: timedelta
) -> list[int]:
    """The windows behind the newest one that holds rows which are over and were not looked at, the oldest first.

    Nobody asks, or nothing is logged: what was found before says nothing of them. Of a long silence the last hundred are told.
    """
    if not held:
        return []
    end = open_window(every, now, grace)
    return [number for number in range(max(max(held) + 1, end - _MOST_SILENT), end) if number not in before]


def open_window(every: Calendar, now: datetime, grace: timedelta) -> int:
    """The number of the oldest window that is not over yet, or waits for rows that are on their way."""
    return int(numbers_of(np.array([to_micros(now - grace)]), every)[0])


_MOST_WINDOWS: Final = 100_000
_MOST_SILENT: Final = 100
"""Windows of a silence that are told in one look."""


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, without a float's rounding."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_micros(time: int) -> datetime:
    """The time that so many microseconds since 1970 are."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)


_FIRST: Final = to_micros(datetime.min.replace(tzinfo=UTC))
_LAST: Final = to_micros(datetime.max.replace(tzinfo=UTC))
"""The last time of the calendar: a clock that is not set, or a time in another unit, may be beyond it."""


def _date(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def by_window(table: pa.Table, numbers: NDArray[np.int64]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each window, in their order; those of none are left out. Each row is moved once, however many windows."""
    inside = numbers != OUTSIDE
    if not inside.all():
        table, numbers = table.filter(pa.array(inside)), numbers[inside]
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=OUTSIDE))
    table = table.take(pa.array(order)) if len(starts) > 1 else table
    for start, end in pairwise([*starts.tolist(), len(ordered)]):
        yield int(ordered[start]), table.slice(start, end - start)


def held(numbers: NDArray[np.int64], labelled: NDArray[np.bool_]) -> dict[int, Looked]:
    """What each window holds, by the windows of rows and which of these have a label."""
    labels = counts(np.where(labelled, numbers, OUTSIDE))
    return {number: Looked(rows, labels.get(number, 0)) for number, rows in counts(numbers).items()}


def counts(numbers: NDArray[Any]) -> dict[int, int]:
    """How many rows each window has."""
    values, rows = np.unique(numbers[numbers != OUTSIDE], return_counts=True)
    return dict(zip(values.tolist(), rows.tolist(), strict=True))
