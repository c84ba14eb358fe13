"""What is left to do until a member does what is wanted, and whether clients had better go to another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import EndpointState, TrafficSnapshot, backend_name
from heliostat.traffic.messages import Sight
from heliostat.traffic.routes import ApplicationRoute, endpoint_steps

_UNPROBED = ("", "INI")
"""How HAProxy says that no probe of a replica has ended yet."""


def share_moves(routes: Mapping[str, ApplicationRoute], found: TrafficSnapshot) -> dict[str, int]:
    """The shares that are not as they shall be, by application; one that is not there yet comes with its share."""
    return {name: each.share for name, each in routes.items() if found.shares.get(name, each.share) != each.share}


def is_applied(routes: Mapping[str, ApplicationRoute], found: TrafficSnapshot) -> bool:
    """Whether all of it is so; of a replica that shall be used, that it was probed: whether it is well is another matter."""
    known = {name: each.affinity for name, each in routes.items() if each.affinity is not None}
    if found.shares.keys() != routes.keys() or share_moves(routes, found) or found.affinities != known:
        return False
    return all(
        _is_applied(each, colour, found.backends.get(backend_name(name, colour), {}))
        for name, each in routes.items()
        for colour in Colour
    )


def _is_applied(route: ApplicationRoute, colour: Colour, found: dict[str, EndpointState]) -> bool:
    wanted = route.of(colour)
    # One that goes may have requests yet: it gets no new ones, and that is what was asked for.
    probed = all(found[name].probe not in _UNPROBED for name in wanted.admitted & found.keys())
    return probed and not endpoint_steps(wanted, found)


def is_sighted(routes: Mapping[str, ApplicationRoute], found: TrafficSnapshot) -> bool:
    """Whether any replica answers, where any shall be used."""
    expected = any(each.of(colour).admitted for each in routes.values() for colour in Colour)
    return not expected or any(state.answers for backend in found.backends.values() for state in backend.values())


def worse_off(own: Sight, peers: Iterable[Sight]) -> str | None:
    """Why clients had better go to one of the `peers`; None where none is better off.

    Members are in one order, those that reach replicas first, and of these those that hear from the controller and do what
    it wants, so that never all of them send their clients away.
    """
    best = max((each for each in peers if each.serves), key=_rank, default=None)
    if best is None or _rank(best) <= _rank(own):
        return None
    if best.sighted and not own.sighted:
        return "it reaches no replica, and another member does"
    if best.leased and not own.leased:
        return "it does not hear from the controller, and another member does"
    return "it cannot do what the controller wants, and another member does"


def is_best(sight: Sight) -> bool:
    """Whether no other member can be better off."""
    return all(_rank(sight))


def _rank(sight: Sight) -> tuple[bool, bool, bool]:
    return sight.sighted, sight.leased, sight.current


def shape(found: TrafficSnapshot) -> TrafficSnapshot:
    """What of it a controller is told of at once, when it changes: all but what is counted, and how much is on its way."""

    def of(state: EndpointState) -> EndpointState:
        return replace(state, in_flight=min(1, state.in_flight) if state.draining else 0)

    backends = {name: {server: of(each) for server, each in servers.items()} for name, servers in found.backends.items()}
    return replace(found, backends=backends, counts={})
