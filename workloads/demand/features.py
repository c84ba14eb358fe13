"""What a rate of departures depends on: the airport, the hour of the day, the day of the week and the season."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.contracts import Columns

ORIGINS = ("EWR", "JFK", "LGA")
ORIGIN, HOUR, LABEL = "origin", "hour", "departures"
_DAY, _HOUR_SECONDS, _HOURS, _WEEK = 86_400, 3600, 24, 7
_THURSDAY = 3
"""The day of 1970-01-01, from Monday as 0."""
_YEAR_DAYS = 365.2425


def transform(columns: Columns) -> NDArray[np.float64]:
    """The features of some rows: hours of each airport and kind of day one by one, weekdays, and two waves of the year."""
    seconds = np.asarray(columns[HOUR], dtype=np.int64)
    days, hours = seconds // _DAY, seconds % _DAY // _HOUR_SECONDS
    weekdays = (days + _THURSDAY) % _WEEK
    airport = np.array([ORIGINS.index(origin) for origin in columns[ORIGIN]], dtype=np.int64)
    weekend = (weekdays >= 5).astype(np.int64)
    slots = (airport * 2 + weekend) * _HOURS + hours
    season = 2 * np.pi * days / _YEAR_DAYS
    waves = [wave(turns * season) for turns in (1, 2) for wave in (np.sin, np.cos)]
    return np.column_stack([_one_hot(slots, len(ORIGINS) * 2 * _HOURS), _one_hot(weekdays, _WEEK), *waves])


def _one_hot(values: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    found = np.zeros((len(values), size))
    found[np.arange(len(values)), values] = 1.0
    return found
