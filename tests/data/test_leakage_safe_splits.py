from datetime import datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from heliostat.data.leakage import groups_in_two
from heliostat.data.splits import GroupSplit, LatestSplit, Split, TimeSplit


def days(count: int = 100, zone: str | None = None) -> pa.Table:
    seconds = np.arange(count) * 86_400
    times = pa.array(seconds, pa.timestamp("s", zone))
    return pa.table({"day": times, "customer": [f"customer-{number % 30}" for number in range(count)]})


def split(**more) -> TimeSplit:
    return TimeSplit(column="day", validation_from=datetime(1970, 2, 1), test_from=datetime(1970, 3, 1), **more)


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_by_time_earlier_rows_predict_later_ones(zone):
    found = split().apply(days(zone=zone))

    assert [rows.num_rows for _, rows in found] == [31, 28, 41]
    assert found.notes == ()


def test_the_latest_rows_before_a_moment_are_tested_with_and_the_moment_moves_all_three():
    latest = LatestSplit(column="day", validation=timedelta(days=10), test=timedelta(days=20))
    first, second = (latest.before(datetime(1970, 1, 1) + timedelta(days=number)) for number in (60, 100))

    assert [rows.num_rows for _, rows in first.apply(days(60))] == [30, 10, 20]
    assert [rows.num_rows for _, rows in second.apply(days(100))] == [70, 10, 20]


def test_the_latest_rows_keep_a_gap_and_groups_apart():
    latest = LatestSplit(column="day", validation=timedelta(days=10), test=timedelta(days=20), gap=timedelta(days=2))
    assert [rows.num_rows for _, rows in latest.before(datetime(1970, 3, 2)).apply(days(60))] == [28, 8, 20]
    by_customer = latest.model_copy(update={"gap": timedelta(), "group": "customer"})
    assert not groups_in_two(dict(by_customer.before(datetime(1970, 3, 2)).apply(days(60))), "customer")


@pytest.mark.parametrize("wrong", [{"validation": timedelta()}, {"test": timedelta(days=-1)}, {"gap": timedelta(days=-1)}])
def test_a_split_of_the_latest_rows_has_some_of_each(wrong):
    with pytest.raises(ValidationError, match="greater than"):
        LatestSplit(**{"column": "day", "validation": timedelta(days=1), "test": timedelta(days=1), **wrong})


def test_a_date_is_a_time_as_well():
    rows = days()
    found = split().apply(rows.set_column(0, "day", rows["day"].cast(pa.date32())))

    assert [table.num_rows for _, table in found] == [31, 28, 41]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.timestamp("s"), [1, 2, 1]),
        (pa.timestamp("ms", "UTC"), [1, 2, 1]),
        (pa.date32(), [0, 3, 1]),  # of the day of UTC in which the moment lies
    ],
)
def test_moments_of_another_zone_are_those_of_utc(kind, expected):
    hours = [datetime(1970, 1, 31, 18), datetime(1970, 1, 31, 20), datetime(1970, 2, 1, 3), datetime(1970, 2, 28, 20)]
    rows = pa.table({"day": pa.array(hours, pa.timestamp("s"))})
    rows = rows.set_column(0, "day", rows["day"].cast(kind))
    east = timezone(timedelta(hours=5))
    declared = TimeSplit(
        column="day", validation_from=datetime(1970, 2, 1, tzinfo=east), test_from=datetime(1970, 3, 1, tzinfo=east)
    )
    assert [table.num_rows for _, table in declared.apply(rows)] == expected


def test_moments_with_and_without_a_zone_are_compared_as_of_utc():
    east = timezone(timedelta(hours=5))
    assert TimeSplit(column="day", validation_from=datetime(1970, 2, 1), test_from=datetime(1970, 2, 1, 6, tzinfo=east))
    with pytest.raises(ValidationError, match="is not after"):
        TimeSplit(column="day", validation_from=datetime(1970, 2, 1), test_from=datetime(1970, 2, 1, 5, tzinfo=east))


def test_a_gap_leaves_out_rows_whose_label_was_not_known_yet():
    found = split(gap=timedelta(days=3)).apply(days())

    assert [rows.num_rows for _, rows in found] == [28, 25, 41]
    assert "6 rows are in no split" in found.notes[0]


def test_a_row_without_a_time_is_in_no_split():
    rows = pa.table({"day": pa.array([None, 0, 86_400 * 40, 86_400 * 80], pa.timestamp("s"))})

    assert "1 rows are in no split: they have no time" in split().apply(rows).notes[0]


def test_by_time_and_group_no_group_is_in_two_splits():
    assert groups_in_two(dict(split().apply(days())), "customer")
    found = split(group="customer").apply(days())

    assert groups_in_two(dict(found), "customer") == ()
    assert found.test.num_rows == 41
    assert "their group in 'customer' is in a later one" in found.notes[0]


def test_by_group_a_group_is_in_one_split_whatever_is_beside_it():
    rows = pa.table({"customer": np.random.default_rng(0).integers(0, 5_000, 20_000)})
    found = GroupSplit(column="customer", validation=0.2, test=0.1).apply(rows)

    assert groups_in_two(dict(found), "customer") == ()
    assert sum(table.num_rows for _, table in found) == 20_000
    assert found.test.num_rows / 20_000 == pytest.approx(0.1, abs=0.03)
    assert found.validation.num_rows / 20_000 == pytest.approx(0.2, abs=0.03)
    alone = GroupSplit(column="customer", validation=0.2, test=0.1).apply(found.test)
    assert alone.test.num_rows == found.test.num_rows
    assert GroupSplit(column="customer", seed=1).apply(found.test).train.num_rows


def test_a_row_without_a_group_is_in_no_split():
    found = GroupSplit(column="customer").apply(pa.table({"customer": ["a", None]}))

    assert sum(table.num_rows for _, table in found) == 1
    assert "have no group" in found.notes[0]


def test_a_split_is_a_value_that_a_file_declares():
    declared = {"kind": "time", "column": "day", "validationFrom": "2013-07-01", "testFrom": "2013-10-01", "gap": "P1D"}

    assert TypeAdapter(Split).validate_python(declared).gap == timedelta(days=1)
    for wrong, words in (
        ({**declared, "testFrom": "2013-01-01"}, "which is not after"),
        ({**declared, "gap": "-P1D"}, "cannot be negative"),
        ({"kind": "group", "column": "x", "validation": 0.6, "test": 0.5}, "leave none to train on"),
    ):
        with pytest.raises(ValidationError, match=words):
            TypeAdapter(Split).validate_python(wrong)


def test_columns_that_are_not_there_or_no_time_are_told():
    with pytest.raises(ValueError, match="are not there: 'day', 'shop'"):
        split(group="shop").apply(pa.table({"x": [1]}))
    with pytest.raises(ValueError, match="is of type int64: a time is needed"):
        split().apply(pa.table({"day": [1]}))
