"""What the flights application promises: the request of one flight, the answer to it, and requests that prove it works."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from heliostat.ml.contracts import Contract, Golden
from workloads.flights.domain import Carrier, Destination, Origin
from workloads.flights.predictor import FlightsPredictor

LATE_FROM = 0.5
"""The probability from which an answer says `late`."""
_LONGEST = dt.timedelta(hours=24)
_WEST = dt.timedelta(hours=3)


class Flight(BaseModel):
    """One flight, as the timetable has it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    carrier: Carrier
    """IATA code of the airline."""
    origin: Origin
    """IATA code of the airport of departure."""
    destination: Destination
    """IATA code of the airport of arrival."""
    scheduled_departure: dt.datetime
    """Local time at the origin, without a zone."""
    scheduled_arrival: dt.datetime
    """Local time at the destination, without a zone."""
    distance_miles: Annotated[float, Field(gt=0, le=12_500, allow_inf_nan=False)]
    """Length of the route, in statute miles."""

    @model_validator(mode="after")
    def _is_a_flight(self) -> Self:
        if self.scheduled_departure.tzinfo or self.scheduled_arrival.tzinfo:
            raise ValueError("scheduled_departure and scheduled_arrival are local times of their airports: leave the zone out")
        planned = self.scheduled_arrival - self.scheduled_departure
        if not -_WEST < planned <= _LONGEST:
            raise ValueError(f"scheduled_arrival is {planned} after scheduled_departure: it must be within a day of it")
        return self


class Lateness(BaseModel):
    """The answer to one flight."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    late_probability: Annotated[float, Field(ge=0, le=1)]
    """Probability that it arrives more than 15 minutes after its time."""
    late: bool
    """Whether that is more likely than not."""


def respond(score: float) -> Lateness:
    """The answer that a model's score means."""
    return Lateness(late_probability=round(score, 6), late=score >= LATE_FROM)


_MORNING = Flight(
    carrier="UA", origin="EWR", destination="IAH", distance_miles=1400,
    scheduled_departure=dt.datetime(2013, 7, 9, 6, 0), scheduled_arrival=dt.datetime(2013, 7, 9, 8, 40),
)  # fmt: skip
_EVENING = Flight(
    carrier="EV", origin="EWR", destination="ATL", distance_miles=746,
    scheduled_departure=dt.datetime(2013, 7, 9, 19, 30), scheduled_arrival=dt.datetime(2013, 7, 9, 22, 5),
)  # fmt: skip


def _one(flight: Flight, **changes: Any) -> dict[str, Any]:
    return {**flight.model_dump(mode="json"), **changes}


def _probable(answer: Any) -> bool:
    return isinstance(answer, dict) and 0 < answer["late_probability"] < 1


def _evening_is_later(answer: Any) -> bool:
    morning, evening = (row["late_probability"] for row in answer["rows"])
    return bool(morning < evening)


CONTRACT = Contract(
    title="Flights",
    description="Will a flight from New York arrive more than 15 minutes late? Said when it is put into the timetable.",
    row=Flight,
    answer=Lateness,
    predictor=FlightsPredictor,
    respond=respond,
    examples=(_EVENING, _MORNING),
    golden=(
        Golden("one flight", _one(_EVENING), 200, _probable, "a probability between 0 and 1"),
        Golden(
            "an evening flight is late more often than a morning flight",
            {"rows": [_one(_MORNING), _one(_EVENING)]}, 200, _evening_is_later, "the second probability above the first",
        ),
        Golden("an unknown carrier", _one(_EVENING, carrier="ZZ"), 422, expected="a refusal that names the field"),
        Golden("no JSON", "{", 422, expected="a refusal"),
    ),
)  # fmt: skip
