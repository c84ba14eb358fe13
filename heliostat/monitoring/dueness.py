"""Which windows there are in a joined log, what they hold, and which are to be looked at now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from heliostat.monitoring.state import Closed, MonitorState
from heliostat.monitoring.windows import (
    OUTSIDE,
    Looked,
    Micros,
    Window,
    assign,
    by_count,
    due,
    from_micros,
    held,
    numbers_of,
    open_window,
    silent,
    to_micros,
    window,
    within,
)
from heliostat.spec.watches import CalendarWindows, CountWindows, Windows

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Windowed:
    """The windows of a log."""

    held: Mapping[int, Looked]
    """What each holds by now."""
    due: tuple[int, ...]
    """Those to look at, the oldest first."""
    number_of: Callable[[Micros, Flags], NDArray[np.int64]]
    name_of: Callable[[int], Window]
    next_due: datetime | None = None
    """When the next window is over; None where nothing is held, or a window is as many rows."""
    closed: Mapping[int, Closed] = field(default_factory=dict)
    """Windows of so many rows that became full."""
    dropped: tuple[int, ...] = ()
    """Windows that were looked at and begin before what is read."""
    late: int = 0
    """Rows that came after their window of so many rows was full."""
    early: int = 0
    """Rows from before what is read: a file holds the rows of its own day."""
    untimed: int = 0
    ahead: int = 0
    ahead_seconds: float = 0.0


def windowed(
    windows: Windows, times: Micros, timed: Flags, labelled: Flags, state: MonitorState, first: datetime, now: datetime
) -> Windowed:
    """The windows of a log.

    Args:
        windows: As they are declared.
        times: Of each row, microseconds since 1970.
        timed: Which rows have a time.
        labelled: Which rows have a label.
        state: What was looked at before.
        first: The first moment of what was read: an older window is not whole.
        now: The time by our clock.
    """
    if isinstance(windows, CalendarWindows):
        return _by_calendar(windows, times, timed, labelled, state, first, now)
    return _by_count(windows, times, timed, labelled, state, first)


def _by_calendar(
    windows: CalendarWindows, times: Micros, timed: Flags, labelled: Flags, state: MonitorState, first: datetime, now: datetime
) -> Windowed:
    every, grace = windows.every, timedelta(seconds=windows.grace_seconds)
    assigned = assign(times, timed, every, now)
    least = int(numbers_of(np.array([to_micros(first) - 1]), every)[0]) + 1
    here = {number: each for number, each in held(assigned.numbers, labelled).items() if number >= least}
    before = {number: each for number, each in state.looked.items() if number >= least}
    # What was deleted of the log is no news.
    found = [
        number
        for number in due(here, before, every, now, grace)
        if number not in before or (number in here and here[number].rows >= before[number].rows)
    ]
    found += silent(here, before, every, now, grace)
    return Windowed(
        here,
        tuple(sorted(found)),
        lambda some, there: assign(some, there, every, now).numbers,
        lambda number: window(number, every),
        next_due=next_end(windows, now) if here else None,
        dropped=tuple(number for number in state.looked if number < least),
        early=_early(times, timed, first),
        untimed=assigned.untimed,
        ahead=assigned.ahead,
        ahead_seconds=assigned.ahead_seconds,
    )


def next_end(windows: Windows, now: datetime) -> datetime | None:
    """When the oldest window that is not over has waited for its last rows; None where windows are of so many rows."""
    if not isinstance(windows, CalendarWindows):
        return None
    grace = timedelta(seconds=windows.grace_seconds)
    return window(open_window(windows.every, now, grace), windows.every).end + grace


def _by_count(
    windows: CountWindows, times: Micros, timed: Flags, labelled: Flags, state: MonitorState, first: datetime
) -> Windowed:
    known = {number: each for number, each in state.closed.items() if each.start >= to_micros(first)}
    newest = max(state.closed, default=-1)
    since = state.closed[newest].end if newest >= 0 else OUTSIDE
    assigned = by_count(times, timed, windows.rows, newest + 1, since)
    fresh = _closed(assigned.numbers, times, assigned.open)
    edges = {**known, **fresh}
    numbers = np.array(sorted(edges), dtype=np.int64)
    starts = np.array([edges[number].start for number in sorted(edges)], dtype=np.int64)
    last = max((each.end for each in edges.values()), default=OUTSIDE)

    def number_of(some: Micros, there: Flags) -> NDArray[np.int64]:
        return within(some, there & (some <= last), starts, numbers)

    here = held(number_of(times, timed), labelled)
    again = [
        number
        for number in known
        if number in here and number in state.looked and here[number].labels != state.looked[number].labels
    ]
    there = int((timed & (times <= since)).sum()) if newest >= 0 else 0
    return Windowed(
        here,
        tuple(sorted({*fresh, *again})),
        number_of,
        lambda number: _named(number, edges[number], windows.rows),
        closed=fresh,
        dropped=tuple(number for number in state.closed if number not in known and number != newest),
        late=max(0, there - sum(each.rows for each in known.values())) if len(known) == len(state.closed) else 0,
        early=_early(times, timed, first),
        untimed=assigned.untimed,
    )


def _early(times: Micros, timed: Flags, first: datetime) -> int:
    return int((timed & (times < to_micros(first))).sum())


def _closed(numbers: NDArray[np.int64], times: Micros, open_number: int) -> dict[int, Closed]:
    """The windows that are full, with their first and last moments."""
    full = (numbers != OUTSIDE) & (numbers < open_number)
    found, rows = np.unique(numbers[full], return_counts=True)
    times = times[full][np.lexsort((times[full], numbers[full]))]
    ends = np.cumsum(rows)
    edges = zip(found.tolist(), times[ends - rows].tolist(), times[ends - 1].tolist(), rows.tolist(), strict=True)
    return {number: Closed(start=start, end=end, rows=count) for number, start, end, count in edges}


def _named(number: int, edge: Closed, rows: int) -> Window:
    name = f"rows {number * rows}-{(number + 1) * rows - 1}"
    return Window(from_micros(edge.start), from_micros(edge.end + 1), name)
