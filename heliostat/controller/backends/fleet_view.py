"""One traffic plane, out of what each of its members does. Pure.

Nothing here is better than the worst member that may have clients: a share is moved once all have it, a replica is well once
it is for all, and whatever one of them may still send somewhere counts. A member that reaches no replica at all says nothing
of them: it is that member which is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from heliostat.spec.endpoints import EndpointState, TrafficSnapshot
from heliostat.traffic.routes import ApplicationRoute

T = TypeVar("T")


def merged(members: Sequence[TrafficSnapshot], wanted: Mapping[str, ApplicationRoute]) -> TrafficSnapshot:
    """What the plane does, while `wanted` is what it shall do; without counts."""
    voters = [each for each in members if _is_sighted(each)] or list(members)
    shares = {name: each.share for name, each in wanted.items()}
    affinities = {name: each.affinity for name, each in wanted.items() if each.affinity is not None}
    salts = {name: each.salt for name, each in wanted.items() if each.affinity is not None}
    return TrafficSnapshot(
        backends={
            backend: {
                name: _state(backend, name, members, voters)
                for name in sorted({name for each in members for name in each.backends.get(backend, {})})
            }
            for backend in sorted({name for each in members for name in each.backends})
        },
        shares=_agreed((each.shares for each in members), shares),
        affinities=_known([(each.shares, each.affinities) for each in members], affinities),
        salts=_known([(each.shares, each.salts) for each in members], salts),
    )


def _agreed(found: Iterable[Mapping[str, T]], wanted: Mapping[str, T]) -> dict[str, T]:
    """What all of them have; where some differ, what the first of these has that is not as wanted."""
    values = dict[str, T]()
    for each in found:
        for name, value in each.items():
            if name not in values or values[name] == wanted.get(name):
                values[name] = value
    return values


def _known(found: Sequence[tuple[Mapping[str, int], Mapping[str, T]]], wanted: Mapping[str, T]) -> dict[str, T]:
    """The same of what only some applications have: what one member does not have yet is not there yet."""
    late = {name for shares, values in found for name in wanted if name in shares and name not in values}
    return {name: value for name, value in _agreed((values for _, values in found), wanted).items() if name not in late}


def _is_sighted(member: TrafficSnapshot) -> bool:
    return any(state.answers for servers in member.backends.values() for state in servers.values())


def _state(backend: str, name: str, members: Sequence[TrafficSnapshot], voters: Sequence[TrafficSnapshot]) -> EndpointState:
    found = [state for each in members if (state := each.backends.get(backend, {}).get(name)) is not None]
    votes = [each.backends.get(backend, {}).get(name) for each in voters]
    ill = next((each for each in votes if each is not None and not each.answers), None)
    return EndpointState(
        endpoint=found[0].endpoint,
        usable=any(each.usable for each in found),
        answers=all(each is not None and each.answers for each in votes),
        draining=all(each.draining for each in found),
        in_flight=sum(each.in_flight for each in found),
        probe=(ill or found[0]).probe,
    )
