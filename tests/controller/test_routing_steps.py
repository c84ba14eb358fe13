"""Which changes bring HAProxy's servers to what they shall be."""

from __future__ import annotations

from heliostat.spec.endpoints import Endpoint, EndpointState
from heliostat.traffic.routes import ColourRoute, endpoint_steps

R1, R2 = Endpoint("r1", "127.0.0.1", 30001), Endpoint("r2", "127.0.0.1", 30002)


def found(server: Endpoint, *, answers: bool = True, draining: bool = False, in_flight: int = 0) -> dict[str, EndpointState]:
    return {server.name: EndpointState(server, answers and not draining, answers, draining, in_flight)}


def steps(route: ColourRoute, servers: dict[str, EndpointState]) -> list[tuple[str, str]]:
    return [(step.what, step.endpoint.name) for step in endpoint_steps(route, servers)]


def test_nothing_is_done_where_all_is_as_it_shall_be() -> None:
    assert steps(ColourRoute((R1,), frozenset({"r1"})), found(R1)) == []
    assert steps(ColourRoute((R1,)), found(R1, draining=True)) == []
    assert steps(ColourRoute(), {}) == []


def test_a_new_replica_is_added_without_being_let_in() -> None:
    assert steps(ColourRoute((R1,), frozenset({"r1"})), {}) == [("add", "r1")]


def test_a_replica_is_let_in_once_its_probe_was_answered() -> None:
    place = ColourRoute((R1,), frozenset({"r1"}))
    assert steps(place, found(R1, answers=False, draining=True)) == []
    assert steps(place, found(R1, draining=True)) == [("admit", "r1")]


def test_a_replica_that_is_ill_for_a_while_keeps_its_place() -> None:
    assert steps(ColourRoute((R1,), frozenset({"r1"})), found(R1, answers=False)) == []


def test_a_replica_that_may_not_be_used_any_more_is_drained_at_once() -> None:
    assert steps(ColourRoute((R1,)), found(R1)) == [("drain", "r1")]


def test_a_replica_that_is_gone_is_drained_and_removed_only_when_it_has_answered() -> None:
    assert steps(ColourRoute(), found(R1, in_flight=1)) == [("drain", "r1")]
    assert steps(ColourRoute(), found(R1, draining=True, in_flight=1)) == []
    assert steps(ColourRoute(), found(R1, draining=True)) == [("remove", "r1")]


def test_a_name_with_another_address_is_another_replica() -> None:
    moved = Endpoint("r1", "127.0.0.1", 30009)
    assert steps(ColourRoute((moved,), frozenset({"r1"})), found(R1, draining=True)) == [("remove", "r1")]


def test_several_replicas_are_changed_in_one_go() -> None:
    servers = {**found(R1), **found(R2, draining=True)}
    assert steps(ColourRoute((R2,), frozenset({"r2"})), servers) == [("drain", "r1"), ("admit", "r2")]
