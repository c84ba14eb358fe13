"""What the demand application promises: how many flights leave an airport in an hour."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from heliostat.ml.contracts import Contract, Golden
from workloads.demand.predictor import Model


class Hour(BaseModel):
    """One hour at one airport."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    origin: Literal["EWR", "JFK", "LGA"]
    """IATA code of the airport."""
    hour: dt.datetime
    """When the hour begins, local time, without a zone."""

    @field_validator("hour")
    @classmethod
    def _is_local(cls, hour: dt.datetime) -> dt.datetime:
        if hour.tzinfo:
            raise ValueError("hour is local time of the airport: leave the zone out")
        return hour


class Demand(BaseModel):
    """The answer to one hour."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    departures: Annotated[float, Field(ge=0)]
    """How many flights leave, on average."""


def respond(rate: float) -> Demand:
    """The answer that a model's rate means."""
    return Demand(departures=round(rate, 3))


_MORNING = Hour(origin="EWR", hour=dt.datetime(2013, 11, 12, 8))
_NIGHT = Hour(origin="EWR", hour=dt.datetime(2013, 11, 12, 3))


def _one(row: Hour, **changes: Any) -> dict[str, Any]:
    return {**row.model_dump(mode="json"), **changes}


def _morning_is_busier(answer: Any) -> bool:
    night, morning = (row["departures"] for row in answer["rows"])
    return bool(night < morning)


CONTRACT = Contract(
    title="Demand",
    description="How many flights leave an airport of New York in an hour.",
    row=Hour,
    answer=Demand,
    predictor=Model,
    respond=respond,
    examples=(_MORNING, _NIGHT),
    golden=(
        Golden("one hour", _one(_MORNING), 200, lambda answer: answer["departures"] > 1, "more than 1 departure"),
        Golden(
            "a morning is busier than a night",
            {"rows": [_one(_NIGHT), _one(_MORNING)]}, 200, _morning_is_busier, "the second above the first",
        ),
        Golden("an unknown airport", _one(_MORNING, origin="ZZZ"), 422, expected="a refusal that names the field"),
        Golden("no JSON", "{", 422, expected="a refusal"),
    ),
)  # fmt: skip
