"""What the flights application takes and refuses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from workloads.flights.contract import CONTRACT, Flight, respond
from workloads.flights.train import PARAMETERS, settled

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
    with pytest.raises(ValueError, match=r"lerning_rate is unknown.*num_leaves is 'many'.*rounds is 1.5") as caught:
        settled({"rounds": 1.5, "num_leaves": "many", "lerning_rate": 0.1})
    assert "there are rounds" in str(caught.value)


def test_training_parameters_keep_their_types():
    assert settled({"rounds": 10.0, "learning_rate": 1}) == {**PARAMETERS, "rounds": 10, "learning_rate": 1.0}
    assert isinstance(settled({"rounds": 10.0})["rounds"], int)
