"""The demand workload: counts of departures by airport and hour, of which newer days count for more."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml.contracts import columns_of
from workloads.demand.contract import CONTRACT, Hour
from workloads.demand.dataset import counted
from workloads.demand.features import LABEL, transform
from workloads.demand.parameters import Training
from workloads.demand.train import fitted


def flights(*rows: tuple[int, int, int, str]) -> pa.Table:
    """Flights as (month, day, hour, origin)."""
    months, days, hours, origins = zip(*rows, strict=True)
    return pa.table({"year": [2013] * len(rows), "month": months, "day": days, "hour": hours, "origin": origins})


def rows(days: range, count: int) -> pa.Table:
    """`count` departures at EWR in each hour of some days."""
    first = dt.datetime(2013, 1, 1)
    hours = [first + dt.timedelta(days=day, hours=hour) for day in days for hour in range(24)]
    return pa.table({
        "origin": ["EWR"] * len(hours), "hour": pa.array(hours, pa.timestamp("s")), LABEL: [count] * len(hours),
    })  # fmt: skip


def test_every_hour_of_every_airport_is_a_row_also_where_nothing_departs() -> None:
    tables = counted(flights((1, 1, 6, "EWR"), (1, 1, 6, "EWR"), (1, 1, 7, "LGA"), (12, 31, 23, "JFK")))
    assert sum(table.num_rows for _, table in tables) == 3 * 365 * 24
    found = {(row["origin"], row["hour"].hour): row[LABEL] for row in tables.train.slice(0, 24).to_pylist()}
    assert found["EWR", 6] == 2
    assert found["EWR", 7] == 0
    assert sum(table[LABEL].to_numpy().sum() for _, table in tables) == 4


def test_the_splits_follow_each_other_in_time() -> None:
    tables = counted(flights((1, 1, 0, "EWR"), (12, 31, 23, "EWR")))
    last = {split: max(table["hour"].to_pylist()) for split, table in tables}
    first = {split: min(table["hour"].to_pylist()) for split, table in tables}
    assert last["train"] < first["validation"] <= last["validation"] < first["test"]


def test_features_tell_the_airport_the_hour_and_the_weekday() -> None:
    monday, sunday = dt.datetime(2013, 1, 7, 8), dt.datetime(2013, 1, 6, 8)
    asked = [Hour(origin="EWR", hour=monday), Hour(origin="EWR", hour=sunday), Hour(origin="JFK", hour=monday)]
    found = transform(CONTRACT.columns(asked))
    assert found.shape == (3, 3 * 2 * 24 + 7 + 4)
    assert len({tuple(row) for row in found[:, :144]}) == 3
    assert found[:, 144:151].argmax(axis=1).tolist() == [0, 6, 0]


@pytest.mark.parametrize(("half_life", "expected"), [(1.0, 8.0), (10_000.0, 5.0)])
def test_newer_days_count_for_more_the_shorter_the_half_life(half_life: float, expected: float) -> None:
    table = pa.concat_tables([rows(range(28), 2), rows(range(28, 56), 8)])
    model = fitted(table, Training(half_life_days=half_life, alpha=10.0))
    asked = columns_of(rows(range(28, 56), 0))
    assert float(np.mean(model.predict(asked))) == pytest.approx(expected, rel=0.15)


def test_a_time_with_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="leave the zone out"):
        Hour(origin="EWR", hour=dt.datetime(2013, 1, 1, tzinfo=dt.UTC))
