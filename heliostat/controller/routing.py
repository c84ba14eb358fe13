"""From what a decision says of an application to what its place in the traffic plane shall be. Pure."""

from __future__ import annotations

from heliostat.controller.backends.serving import Deployments
from heliostat.rollout.actions import admitted
from heliostat.rollout.model import SHARES, Colour, Observed, State
from heliostat.spec.strategies import Affinity, Canary
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

Known = tuple[Affinity | None, str]
"""What clients are known by, and the salt that deals them."""


def wanted(state: State, observed: Observed, deployments: Deployments, before: Known) -> ApplicationRoute:
    """One application's place."""

    def route(colour: Colour) -> ColourRoute:
        admits = admitted(state.slot(colour), observed.seen(colour))
        return ColourRoute(deployments.endpoints(state.name, colour), admits)

    affinity, salt = known_by(state, observed, before)
    return ApplicationRoute(state.share, route(Colour.BLUE), route(Colour.GREEN), affinity, salt)


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
