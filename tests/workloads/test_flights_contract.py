"""What the flights application takes and refuses."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from heliostat.serving.grpc.definition import define
from heliostat.spec.proto import parse, text_of
from workloads.flights.contract import CONTRACT, Flight, respond
from workloads.flights.data_parameters import Data
from workloads.flights.parameters import Training

GOOD = CONTRACT.examples[0].model_dump(mode="json")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"carrier": "ZZ"}, ("carrier",)),
        ({"destination": "QQQ"}, ("destination",)),
        ({"origin": 7}, ("origin",)),
        ({"distance_miles": 0}, ("distance_miles",)),
        ({"distance_miles": float("nan")}, ("distance_miles",)),
        ({"distance_miles": float("inf")}, ("distance_miles",)),
        ({"scheduled_departure": "tomorrow"}, ("scheduled_departure",)),
        ({"scheduled_departure": "2013-07-09T19:30:00Z"}, ()),
        ({"scheduled_arrival": "2013-07-08T19:30:00"}, ()),
        ({"dep_delay": 3}, ("dep_delay",)),
    ],
)
def test_what_is_no_flight_is_refused_where_it_is_wrong(changes, where):
    with pytest.raises(ValidationError) as caught:
        Flight.model_validate({**GOOD, **changes})
    assert [error["loc"] for error in caught.value.errors()] == [where]


def test_late_begins_at_one_half():
    assert respond(0.5).late
    assert not respond(0.499999).late


def test_training_parameters_are_checked_all_at_once():
    with pytest.raises(ValidationError) as caught:
        Training.model_validate({"rounds": 1.5, "num_leaves": "many", "lerning_rate": 0.1})
    assert {error["loc"] for error in caught.value.errors()} == {("rounds",), ("num_leaves",), ("lerning_rate",)}


def test_parameters_come_back_from_a_job_s_json_as_they_were():
    for parameters in (Training(learning_rate=1.0), Data(last_day=dt.date(2013, 2, 1))):
        assert type(parameters).model_validate(json.loads(json.dumps(parameters.values()))) == parameters


def test_a_window_of_data_begins_before_it_ends():
    with pytest.raises(ValidationError, match="last_day 2013-01-01 is before first_day 2013-02-01"):
        Data.model_validate({"first_day": "2013-02-01", "last_day": "2013-01-01"})


def test_its_definition_for_grpc_is_the_contracts() -> None:
    kept = Path(__file__).parents[2].joinpath("workloads", "flights", "contract.proto").read_text()
    assert text_of(define(CONTRACT, "flights", parse(kept))) == kept
