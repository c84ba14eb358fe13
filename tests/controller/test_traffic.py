"""Which changes bring HAProxy's servers to what they shall be."""

from __future__ import annotations

from heliostat.controller.traffic import Place, server_steps
from heliostat.systems.haproxy import ServerState
from heliostat.systems.haproxy_config import Server

R1, R2 = Server("r1", "127.0.0.1", 30001), Server("r2", "127.0.0.1", 30002)


def found(server: Server, *, answers: bool = True, draining: bool = False, in_flight: int = 0) -> dict[str, ServerState]:
    return {server.name: ServerState(server, answers and not draining, answers, draining, in_flight)}


def steps(place: Place, servers: dict[str, ServerState]) -> list[tuple[str, str]]:
    return [(step.what, step.server.name) for step in server_steps(place, servers)]


def test_nothing_is_done_where_all_is_as_it_shall_be() -> None:
    assert steps(Place((R1,), frozenset({"r1"})), found(R1)) == []
    assert steps(Place((R1,)), found(R1, draining=True)) == []
    assert steps(Place(), {}) == []


def test_a_new_replica_is_added_without_being_let_in() -> None:
    assert steps(Place((R1,), frozenset({"r1"})), {}) == [("add", "r1")]


def test_a_replica_is_let_in_once_its_probe_was_answered() -> None:
    place = Place((R1,), frozenset({"r1"}))
    assert steps(place, found(R1, answers=False, draining=True)) == []
    assert steps(place, found(R1, draining=True)) == [("admit", "r1")]


def test_a_replica_that_is_ill_for_a_while_keeps_its_place() -> None:
    assert steps(Place((R1,), frozenset({"r1"})), found(R1, answers=False)) == []


def test_a_replica_that_may_not_be_used_any_more_is_drained_at_once() -> None:
    assert steps(Place((R1,)), found(R1)) == [("drain", "r1")]


def test_a_replica_that_is_gone_is_drained_and_removed_only_when_it_has_answered() -> None:
    assert steps(Place(), found(R1, in_flight=1)) == [("drain", "r1")]
    assert steps(Place(), found(R1, draining=True, in_flight=1)) == []
    assert steps(Place(), found(R1, draining=True)) == [("remove", "r1")]


def test_a_name_with_another_address_is_another_replica() -> None:
    moved = Server("r1", "127.0.0.1", 30009)
    assert steps(Place((moved,), frozenset({"r1"})), found(R1, draining=True)) == [("remove", "r1")]


def test_several_replicas_are_changed_in_one_go() -> None:
    servers = {**found(R1), **found(R2, draining=True)}
    assert steps(Place((R2,), frozenset({"r2"})), servers) == [("drain", "r1"), ("admit", "r2")]
