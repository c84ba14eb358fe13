"""When a member does what is wanted, and when clients had better go to another one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot
from heliostat.spec.latencies import Counts
from heliostat.spec.routes import PREDICT
from heliostat.spec.strategies import Affinity
from heliostat.traffic.messages import Sight
from heliostat.traffic.readiness import is_applied, is_sighted, shape, share_moves, worse_off
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

A = Endpoint("a", "10.0.0.1", 80)
WANTED = {"flights": ApplicationRoute(2_500, ColourRoute((A,), frozenset({"a"})), ColourRoute())}
WELL = EndpointState(A, True, True, False, 0, "L7OK 200")


def found(state: EndpointState | None = WELL, share: int = 2_500) -> TrafficSnapshot:
    servers = {state.endpoint.name: state} if state is not None else {}
    return TrafficSnapshot({"flights-blue": servers, "flights-green": {}}, {"flights": share})


def test_all_of_it_is_so() -> None:
    assert is_applied(WANTED, found())
    assert is_applied({}, TrafficSnapshot({}, {}))


@pytest.mark.parametrize(
    "seen",
    [
        found(share=0),
        found(None),
        found(replace(WELL, draining=True, usable=False)),
        found(replace(WELL, answers=False, probe="INI")),
        found(replace(WELL, answers=False, probe="")),
        found(replace(WELL, endpoint=Endpoint("a", "10.0.0.2", 80))),
        found(replace(WELL, endpoint=Endpoint("b", "10.0.0.2", 80))),
        TrafficSnapshot({}, {}),
        replace(found(), affinities={"flights": Affinity(header="x")}),
        replace(found(), shares={"flights": 2_500, "trains": 0}),
    ],
)
def test_something_is_not_so_yet(seen: TrafficSnapshot) -> None:
    assert not is_applied(WANTED, seen)


def test_a_replica_that_is_ill_keeps_no_member_from_being_ready() -> None:
    assert is_applied(WANTED, found(replace(WELL, answers=False, usable=False, probe="L4CON")))


def test_only_shares_that_differ_are_moved_and_none_of_what_is_not_there_yet() -> None:
    assert share_moves(WANTED, found(share=0)) == {"flights": 2_500}
    assert share_moves(WANTED, found()) == {}
    assert share_moves(WANTED, TrafficSnapshot({}, {})) == {}


def test_a_member_that_reaches_no_replica_is_blind_unless_there_shall_be_none() -> None:
    assert is_sighted(WANTED, found())
    assert not is_sighted(WANTED, found(replace(WELL, answers=False)))
    assert not is_sighted(WANTED, found(None))
    assert is_sighted({}, TrafficSnapshot({}, {}))


BOTH = (True, False)
ALL = [Sight(serves=True, sighted=a, leased=b, current=c) for a, b, c in product(BOTH, repeat=3)]


@pytest.mark.parametrize(("one", "other"), [*product(ALL, repeat=2)])
def test_of_two_members_never_both_send_their_clients_away(one: Sight, other: Sight) -> None:
    away = [worse_off(one, [other]), worse_off(other, [one])]
    assert None in away
    assert (away == [None, None]) is (one == other)


def test_why_is_told() -> None:
    best = Sight(serves=True, sighted=True, leased=True, current=True)
    for lacks, text in (("sighted", "reaches no replica"), ("leased", "hear from"), ("current", "cannot do what")):
        assert text in (worse_off(best.model_copy(update={lacks: False}), [best]) or "")


def test_a_member_that_could_have_no_clients_is_no_alternative() -> None:
    alone = Sight(serves=True, sighted=True, leased=False, current=True)
    assert worse_off(alone, []) is None
    assert worse_off(alone, [Sight(serves=False, sighted=True, leased=True, current=True)]) is None


def test_what_is_counted_and_on_its_way_is_no_news_but_the_end_of_what_drains_is() -> None:
    counts = {"flights-blue": {PREDICT: Counts(requests=1)}}
    assert shape(found()) == shape(replace(found(replace(WELL, in_flight=7)), counts=counts))
    drains = replace(WELL, draining=True, usable=False)
    assert shape(found(replace(drains, in_flight=7))) == shape(found(replace(drains, in_flight=1))) != shape(found(drains))
