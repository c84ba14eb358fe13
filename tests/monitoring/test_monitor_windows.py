from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from heliostat.monitoring.windows import (
    OUTSIDE,
    Looked,
    Why,
    assign,
    by_count,
    by_window,
    counts,
    due,
    micros,
    numbers_of,
    open_window,
    silent,
    window,
)
from heliostat.spec.watches import Calendar

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def times(*given):
    return micros(pa.array(given, pa.timestamp("us", "UTC")))


def test_rows_are_parted_by_their_windows_in_their_order_and_those_of_none_are_left_out():
    table = pa.table({"row": range(6)})
    found = by_window(table, np.array([2, OUTSIDE, 1, 2, OUTSIDE, 1]))
    assert [(number, part["row"].to_pylist()) for number, part in found] == [(1, [2, 5]), (2, [0, 3])]
    assert [(number, part.num_rows) for number, part in by_window(table, np.full(6, -3))] == [(-3, 6)]
    assert list(by_window(table, np.full(6, OUTSIDE))) == [] == list(by_window(table.slice(0, 0), np.zeros(0, dtype=np.int64)))


@pytest.mark.parametrize(
    ("every", "name", "start", "end"),
    [
        (Calendar.HOUR, "2025-12-31T23", datetime(2025, 12, 31, 23), datetime(2026, 1, 1)),
        (Calendar.DAY, "2025-12-31", datetime(2025, 12, 31), datetime(2026, 1, 1)),
        (Calendar.WEEK, "2026-W01", datetime(2025, 12, 29), datetime(2026, 1, 5)),
        (Calendar.MONTH, "2025-12", datetime(2025, 12, 1), datetime(2026, 1, 1)),
    ],
)
def test_a_window_has_its_first_moment_and_not_its_last(every, name, start, end):
    start, end = (each.replace(tzinfo=UTC) for each in (start, end))
    moment = timedelta(microseconds=1)
    numbers = numbers_of(times(start, end - moment, end, start - moment)[0], every)
    assert numbers[0] == numbers[1] == numbers[2] - 1 == numbers[3] + 1
    found = window(int(numbers[0]), every)
    assert (found.name, found.start, found.end) == (name, start, end)


def test_windows_before_1970_are_windows_as_well():
    found = window(int(numbers_of(times(datetime(1969, 12, 31, 23, 30, tzinfo=UTC))[0], Calendar.MONTH)[0]), Calendar.MONTH)
    assert found.name == "1969-12"


def test_rows_without_a_time_and_rows_from_the_future_are_in_no_window_and_told():
    moments, there = times(NOW - HOUR, None, NOW + timedelta(seconds=30), NOW + 2 * HOUR)
    found = assign(moments, there, Calendar.HOUR, NOW)
    assert (found.numbers == OUTSIDE).tolist() == [False, True, False, True]
    assert (found.untimed, found.ahead, found.ahead_seconds) == (1, 1, 7200)
    assert len(found.problems) == 2 and "7200 s in the future" in found.problems[1]
    assert assign(moments[:1], there[:1], Calendar.HOUR, NOW).problems == ()


def test_times_without_a_zone_are_those_of_utc_and_seconds_are_enough():
    moments, there = micros(pa.array([datetime(2026, 1, 1), None], pa.timestamp("s")))
    assert moments[0] == 1767225600 * 10**6 and there.tolist() == [True, False]


def test_a_window_waits_for_its_grace_and_is_looked_at_once():
    held = counts(numbers_of(times(NOW - 3 * HOUR, NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR)[0], Calendar.HOUR))
    held = {number: Looked(rows, 0) for number, rows in held.items()}
    first, second, third = sorted(held)
    assert due(held, {}, Calendar.HOUR, NOW, timedelta()) == {first: Why.CLOSED, second: Why.CLOSED, third: Why.CLOSED}
    assert due(held, {}, Calendar.HOUR, NOW, HOUR / 2) == {first: Why.CLOSED, second: Why.CLOSED}
    assert due(held, held, Calendar.HOUR, NOW, timedelta()) == {}
    assert due({}, held, Calendar.HOUR, NOW, timedelta()) == {}


def test_late_rows_and_late_labels_have_a_window_looked_at_again():
    before = {0: Looked(10, 5), 1: Looked(10, 5), 2: Looked(10, 5)}
    held = {0: Looked(11, 5), 1: Looked(10, 6), 2: Looked(10, 5)}
    assert due(held, before, Calendar.DAY, NOW, timedelta()) == {0: Why.LATE_ROWS, 1: Why.LABELS}


def test_a_window_in_which_nothing_was_logged_is_due_too():
    held = {0: Looked(10, 0), 2: Looked(10, 0)}
    assert due(held, {}, Calendar.DAY, NOW, timedelta()) == {0: Why.CLOSED, 1: Why.CLOSED, 2: Why.CLOSED}


def test_windows_of_rows_follow_the_time_and_the_newest_stays_open():
    moments, there = times(*(NOW + number * HOUR for number in (3, 0, 1, 2, 4)))
    found = by_count(moments, there, 2)
    assert found.numbers.tolist() == [1, 0, 0, 1, 2] and found.open == 2
    assert by_count(moments[:4], there[:4], 2).open == 1, "a row of the same moment may still come"
    nothing = by_count(moments[:0], there[:0], 2, first=7)
    assert nothing.open == 7 and len(nothing.numbers) == 0


def test_rows_of_one_moment_are_in_one_window():
    moments, there = times(*([NOW] * 3), NOW + HOUR)
    assert by_count(moments, there, 2).numbers.tolist() == [0, 0, 0, 1]


def test_a_closed_window_of_rows_keeps_its_rows_and_what_comes_late_is_counted():
    moments, there = times(NOW - HOUR, NOW, NOW + HOUR, None)
    found = by_count(moments, there, 1, first=5, since=int(times(NOW)[0][0]))
    assert found.numbers.tolist() == [OUTSIDE, OUTSIDE, 5, OUTSIDE]
    assert (found.late, found.untimed) == (2, 1)


def test_windows_far_apart_are_not_filled_one_by_one():
    held = {number: Looked(1, 0) for number in range(0, 400_000, 2)}
    assert len(due(held, {}, Calendar.HOUR, NOW, timedelta())) == 200_000


def test_counts_are_of_windows_alone():
    assert counts(np.array([1, OUTSIDE, 1, 2])) == {1: 2, 2: 1}


def test_a_silence_is_told_window_by_window_and_a_long_one_by_its_last_hundred():
    last = open_window(Calendar.DAY, NOW, timedelta())
    held = {last - 4: Looked(10, 0), last - 2: Looked(10, 0)}
    assert silent(held, {}, Calendar.DAY, NOW, timedelta()) == [last - 1], "the gap before the newest rows is due by itself"
    assert silent(held, {last - 1: Looked(0, 0)}, Calendar.DAY, NOW, timedelta()) == [], "once"
    assert silent({}, {}, Calendar.DAY, NOW, timedelta()) == []
    assert silent({last: Looked(1, 0)}, {}, Calendar.DAY, NOW, timedelta()) == [], "the open window is not over"
    assert silent({0: Looked(10, 0)}, {}, Calendar.DAY, NOW, timedelta()) == [*range(last - 100, last)]
