"""A traffic plane of several members is told as one, no better than the worst that may have clients."""

from __future__ import annotations

from dataclasses import replace

from heliostat.controller.backends.fleet_view import merged
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot
from heliostat.spec.strategies import Affinity
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

WANTED = {"flights": ApplicationRoute(5_000, ColourRoute(), ColourRoute(), Affinity(header="x"), "f" * 64)}


def state(answers: bool = True, in_flight: int = 0, draining: bool = False, usable: bool | None = None) -> EndpointState:
    usable = (answers and not draining) if usable is None else usable
    return EndpointState(Endpoint("a", "10.0.0.1", 80), usable, answers, draining, in_flight, "L7OK" if answers else "L4TOUT")


def member(share: int = 5_000, **servers: EndpointState) -> TrafficSnapshot:
    return TrafficSnapshot({"flights-blue": servers, "flights-green": {}}, {"flights": share})


def blue(*members: TrafficSnapshot) -> dict[str, EndpointState]:
    return merged(members, WANTED).backends["flights-blue"]


def test_one_member_is_told_as_it_is() -> None:
    only = member(a=state(in_flight=3))
    assert merged([only], WANTED) == only


def test_a_share_is_as_wanted_once_it_is_for_all() -> None:
    assert merged([member(5_000), member(5_000)], WANTED).shares == {"flights": 5_000}
    for shares in ((5_000, 2_500), (2_500, 5_000), (2_500, 2_500), (2_500, 0)):
        assert merged([member(each) for each in shares], WANTED).shares == {"flights": 2_500}, shares


def test_a_replica_is_well_once_it_is_for_all_and_used_as_long_as_it_is_by_any() -> None:
    found = blue(member(a=state(), b=state()), member(a=state(answers=False), b=state()))
    assert (found["a"].answers, found["a"].usable, found["a"].probe) == (False, True, "L4TOUT")
    assert found["b"].answers
    assert not blue(member(a=state()), member(b=state()))["a"].answers, "one does not have it yet"


def test_a_replica_drains_once_it_does_at_all_and_what_it_has_is_added_up() -> None:
    found = blue(member(a=state(in_flight=2, draining=True)), member(a=state(in_flight=1)))["a"]
    assert (found.draining, found.in_flight, found.usable) == (False, 3, True)
    found = blue(member(a=state(in_flight=2, draining=True)), member(a=state(in_flight=1, draining=True)))["a"]
    assert (found.draining, found.in_flight, found.usable) == (True, 3, False)
    assert blue(member(a=state(draining=True)), member())["a"].draining, "the other one has removed it"


def test_a_member_that_reaches_nothing_says_nothing_of_replicas_but_what_it_may_still_send_counts() -> None:
    blind = member(2_500, a=state(answers=False, usable=True, in_flight=1), b=state(answers=False))
    found = merged([member(a=state(), b=state()), blind], WANTED)
    assert all(each.answers for each in found.backends["flights-blue"].values())
    assert found.backends["flights-blue"]["a"].in_flight == 1
    assert found.shares == {"flights": 2_500}


def test_where_no_member_reaches_anything_nothing_is_well() -> None:
    assert not blue(member(a=state(answers=False)), member(a=state(answers=False)))["a"].answers


def test_clients_are_known_by_what_all_know_them_by() -> None:
    knows = replace(member(), affinities={"flights": Affinity(header="x")}, salts={"flights": "f" * 64})
    assert merged([knows, knows], WANTED).affinities == {"flights": Affinity(header="x")}
    assert merged([knows, member()], WANTED).affinities == {}
    assert merged([knows, member()], {}).affinities == {"flights": Affinity(header="x")}, "one does not forget it yet"


def test_what_any_member_still_has_is_there() -> None:
    assert merged([TrafficSnapshot({}, {}), member()], {}).backends.keys() == {"flights-blue", "flights-green"}
    assert merged([TrafficSnapshot({}, {}), TrafficSnapshot({}, {})], {}) == TrafficSnapshot({}, {})
