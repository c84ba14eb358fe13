"""What the flights workload sees of a flight: nothing that is known only after the departure."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml.contracts import columns_of
from workloads.flights import dataset, domain
from workloads.flights.contract import CONTRACT, Flight
from workloads.flights.features import FEATURES, INPUTS, LABEL, transform

POST_DEPARTURE = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"}


def raw(**changes: list[object]) -> pa.Table:
    """Two flights as the package has them; the second lands after midnight."""
    columns = {
        "year": [2013, 2013], "month": [7, 12], "day": [9, 24], "sched_dep_time": [1930, 2359], "sched_arr_time": [2205, 310],
        "carrier": ["EV", "B6"],
        "origin": ["EWR", "JFK"], "dest": ["ATL", "SJU"], "distance": [746, 1598], "arr_delay": [16, 15],
        **changes,
    }  # fmt: skip
    return pa.table(columns)


def test_no_column_of_after_the_departure_reaches_the_snapshot():
    given = raw(dep_delay=[500, 500], air_time=[1, 2], tailnum=["N1", "N2"], dep_time=[1, 2], arr_time=[3, 4])
    cleaned = dataset.clean(given)
    assert cleaned.column_names == [*INPUTS, LABEL]
    assert cleaned.equals(dataset.clean(raw())), "columns beyond the inputs changed the snapshot"
    assert not POST_DEPARTURE & set(INPUTS)


def test_no_column_beyond_the_inputs_changes_a_feature():
    columns = dict(columns_of(dataset.clean(raw())))
    expected = transform(columns)
    for name in (*POST_DEPARTURE, LABEL):
        assert (transform({**columns, name: np.array([9e9, -9e9])}) == expected).all(), f"{name} reaches the features"
    for name in INPUTS:
        with pytest.raises(KeyError):
            transform({key: value for key, value in columns.items() if key != name})


def test_no_field_beyond_the_inputs_can_be_sent():
    assert tuple(Flight.model_fields) == INPUTS
    assert Flight.model_config["extra"] == "forbid"


def test_training_and_serving_give_the_same_features():
    table = dataset.clean(raw())
    rows = [Flight.model_validate({name: row[name] for name in INPUTS}) for row in table.to_pylist()]
    assert (transform(CONTRACT.columns(rows)) == transform(columns_of(table))).all()


def test_the_features_are_what_a_timetable_says():
    first, second = (dict(zip(FEATURES, row, strict=True)) for row in transform(columns_of(dataset.clean(raw()))))
    assert first["departure_minute"] == 19 * 60 + 30
    assert first["planned_minutes"] == 155
    assert first["weekday"] == dt.date(2013, 7, 9).weekday()
    assert second["planned_minutes"] == 3 * 60 + 11, "an arrival after midnight is on the next day"
    assert second["arrival_minute"] == 3 * 60 + 10


def test_late_is_more_than_the_declared_minutes():
    assert dataset.clean(raw())[LABEL].to_pylist() == [True, False]
    assert dataset.clean(raw(), 14)[LABEL].to_pylist() == [True, True]


def test_an_airport_beyond_the_contract_is_refused_with_its_name():
    with pytest.raises(ValueError, match=r"dest .*: QQQ; add them to workloads/flights/domain.py"):
        dataset.clean(raw(dest=["ATL", "QQQ"]))


def test_the_domain_is_that_of_the_data():
    table = dataset._read()
    assert set(table["carrier"].unique().to_pylist()) == set(domain.CARRIERS)
    assert set(table["origin"].unique().to_pylist()) == set(domain.ORIGINS)
    assert set(table["dest"].unique().to_pylist()) == set(domain.DESTINATIONS)


def test_a_day_is_whole_in_one_split_and_cancelled_flights_are_counted():
    tables = dataset.snapshot({"first_day": "2013-02-01", "last_day": "2013-02-28"})
    days = [{time.date() for time in table["scheduled_departure"].to_pylist()} for _, table in tables]
    assert not (days[0] & days[1] or days[0] & days[2] or days[1] & days[2])
    assert [len(found) for found in days] == [21, 3, 4]
    assert tables.train.num_rows + tables.validation.num_rows + tables.test.num_rows == 23611
    assert tables.notes == ("1340 of 24951 flights were cancelled or diverted: no arrival, left out",)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"first_day": "yesterday"}, "Input should be a valid date"),
        ({"days": 3}, "Extra inputs are not permitted"),
        ({"first_day": "2014-01-01", "last_day": "2014-02-01"}, "no flight between"),
    ],
)
def test_data_parameters_that_do_not_fit_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        dataset.snapshot(parameters)
