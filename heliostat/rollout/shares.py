"""How many replicas and how much traffic each colour has while both answer."""

from __future__ import annotations

from math import ceil

from heliostat.rollout.model import SHARES, Access, Colour, Observed, State
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import Rolling, Strategy


def least_healthy(strategy: Strategy, replicas: int) -> int:
    """Replicas that are healthy at any time while `strategy` moves an application of `replicas`."""
    if isinstance(strategy, Rolling):
        return max(1, ceil(strategy.min_healthy_percentage * replicas / 100))
    return replicas


def problem(desired: Desired) -> str | None:
    """Why the strategy cannot work with this number of replicas; None where it can."""
    strategy = desired.strategy
    floor = least_healthy(strategy, desired.replicas)
    if isinstance(strategy, Rolling) and strategy.max_surge == 0 and floor >= desired.replicas:
        return (
            f"rolling {desired.replicas} replica(s) with maxSurge 0 and minHealthyPercentage "
            f"{strategy.min_healthy_percentage} keeps at least {floor} healthy, so none can move: "
            "give maxSurge 1 or more, or a lower minHealthyPercentage with at least 2 replicas"
        )
    return None


def share_between(observed: Observed, colour: Colour) -> int:
    """The share of green at which `colour` and the other one get traffic by their usable replicas."""
    mine, others = len(observed.seen(colour).usable), len(observed.seen(colour.other).usable)
    if others == 0:
        return colour.full_share
    part = round(SHARES * mine / (mine + others))
    return part if colour is Colour.GREEN else SHARES - part


def put_away(state: State, colour: Colour) -> State:
    """Nothing shall be in `colour`: it takes no new request, and goes once it has answered what it has."""
    return state.with_slot(colour, access=Access.CLOSED, desired=None, replicas=0)


def only(state: State, observed: Observed, home: Colour) -> State:
    """All traffic to `home`, and once that is so, nothing in the other colour."""
    state = state.but(share=home.full_share)
    return put_away(state, home.other) if observed.share == home.full_share else state
