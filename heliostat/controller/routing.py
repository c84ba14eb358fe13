"""From what a decision says of an application to what its place in the traffic plane shall be. Pure."""

from __future__ import annotations

from heliostat.controller.observing import serve_name
from heliostat.controller.traffic import Place, Wanted
from heliostat.rollout.actions import admitted
from heliostat.rollout.model import SHARES, Colour, Observed, State
from heliostat.spec.strategies import Affinity, Canary
from heliostat.systems.haproxy_config import Server
from heliostat.systems.ray_serve import ServeInstance

Known = tuple[Affinity | None, str]
"""What clients are known by, and the salt that deals them."""


def wanted(state: State, observed: Observed, serve: ServeInstance, before: Known) -> Wanted:
    """One application's place."""

    def place(colour: Colour) -> Place:
        found = serve.applications.get(serve_name(state.name, colour))
        servers = tuple(Server(each.name, each.host, each.port) for each in found.replicas) if found else ()
        return Place(servers, admitted(state.slot(colour), observed.seen(colour)))

    affinity, salt = known_by(state, observed, before)
    return Wanted(state.share, place(Colour.BLUE), place(Colour.GREEN), affinity, salt)


def known_by(state: State, observed: Observed, before: Known) -> Known:
    """What an application's clients are known by.

    They are dealt anew only while all of them are on one colour, so that nobody moves; and the way back, which is to be
    fast, reloads nothing.
    """
    rollout = state.rollout
    if rollout is None or rollout.direct:
        return before
    affinity = rollout.strategy.affinity if isinstance(rollout.strategy, Canary) else None
    whole = observed.share == state.share and state.share in (0, SHARES)
    if affinity is None or rollout.ended or (before[1] and not whole):
        return affinity, before[1]
    return affinity, rollout.target.version.digest
