"""From a scheduled flight to the numbers that a model sees: the one piece of code for training and for serving.

Only what is known when a flight is put into the timetable goes in, and `INPUTS` is the whole of it. Not known then, and
so not here: the aircraft (tail numbers are assigned days, sometimes minutes before), the weather, and everything that
happens from the departure on. The date counts only as a day of the week: with one year of data a model that is given
the day of the year learns that year's weather, which looks well in a test (neighbouring days are alike) and is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workloads.flights.domain import CARRIERS, DESTINATIONS, ORIGINS

INPUTS: Final = ("carrier", "origin", "destination", "scheduled_departure", "scheduled_arrival", "distance_miles")
"""The columns that a prediction is made of, in the snapshot and in a request. Times are local to their airport."""

LABEL: Final = "late"
"""Whether the flight arrived more than 15 minutes after its time."""

FEATURES: Final = (
    "carrier", "origin", "destination", "departure_minute", "arrival_minute", "planned_minutes", "distance_miles", "weekday",
)  # fmt: skip
CATEGORICAL: Final = ("carrier", "origin", "destination")

_DAY = 86_400
_CARRIER = {code: float(number) for number, code in enumerate(CARRIERS)}
_ORIGIN = {code: float(number) for number, code in enumerate(ORIGINS)}
_DESTINATION = {code: float(number) for number, code in enumerate(DESTINATIONS)}


def transform(columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.float64]:
    """The feature matrix (rows x FEATURES) of flights given by column; columns beyond INPUTS are not looked at.

    Times are whole seconds since 1970-01-01T00:00 on the local clock of their airport.

    Raises:
        KeyError: a carrier or airport that is not in the domain, or a missing column.
    """
    departure = np.asarray(columns["scheduled_departure"], dtype=np.int64)
    arrival = np.asarray(columns["scheduled_arrival"], dtype=np.int64)
    matrix = np.empty((len(departure), len(FEATURES)))
    matrix[:, 0] = [_CARRIER[code] for code in columns["carrier"]]
    matrix[:, 1] = [_ORIGIN[code] for code in columns["origin"]]
    matrix[:, 2] = [_DESTINATION[code] for code in columns["destination"]]
    matrix[:, 3] = departure % _DAY // 60
    matrix[:, 4] = arrival % _DAY // 60
    matrix[:, 5] = (arrival - departure) // 60
    matrix[:, 6] = columns["distance_miles"]
    matrix[:, 7] = (departure // _DAY + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    return matrix
