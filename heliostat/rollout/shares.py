"""How many replicas and how much traffic each colour has while both answer."""

from __future__ import annotations

from math import ceil

from heliostat.rollout.model import SHARES, Admission, Colour, Observed, State
from heliostat.spec.analysis import Latency
from heliostat.spec.latencies import BOUNDS_MS
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import Canary, Rolling, Strategy


def least_healthy(strategy: Strategy, replicas: int) -> int:
    """Replicas that are healthy at any time while `strategy` moves an application of `replicas`."""
    if isinstance(strategy, Rolling):
        return max(1, ceil(strategy.min_healthy_percentage * replicas / 100))
    return replicas


def problem(desired: Desired) -> str | None:
    """Why the strategy cannot work as declared; None where it can."""
    strategy = desired.strategy
    found = [_stuck(strategy, desired.replicas)] if isinstance(strategy, Rolling) else []
    if isinstance(strategy, Canary) and strategy.affinity is not None and strategy.steps[0].weight == 100:
        found.append(
            "an affinity keeps clients on one of two versions, and this canary's first step has weight 100: give a "
            "step below 100, or leave `affinity` out"
        )
    texts = dict.fromkeys(text for text in (*found, *map(_unmeasurable, _latencies(strategy))) if text)
    return "; ".join(texts) or None


def _stuck(strategy: Rolling, replicas: int) -> str | None:
    floor = least_healthy(strategy, replicas)
    if strategy.max_surge > 0 or floor < replicas:
        return None
    return (
        f"rolling {replicas} replica(s) with maxSurge 0 and minHealthyPercentage "
        f"{strategy.min_healthy_percentage} keeps at least {floor} healthy, so none can move: "
        "give maxSurge 1 or more, or a lower minHealthyPercentage with at least 2 replicas"
    )


def _latencies(strategy: Strategy) -> tuple[Latency, ...]:
    analyses = [getattr(strategy, name, None) for name in ("analysis", "before", "after")]
    if isinstance(strategy, Canary):
        analyses += [step.analysis for step in strategy.steps]
    return tuple(check for each in analyses if each is not None for check in each.checks if isinstance(check, Latency))


def _unmeasurable(check: Latency) -> str | None:
    if check.at_most_ms is None or check.at_most_ms <= BOUNDS_MS[-1]:
        return None
    return (
        f"a latency limit of {check.at_most_ms:g} ms is beyond what is measured, {BOUNDS_MS[-1]:g} ms: give a lower atMostMs"
    )


def share_between(observed: Observed, colour: Colour) -> int:
    """The share of green at which `colour` and the other one get traffic by their usable replicas."""
    mine, others = len(observed.seen(colour).usable), len(observed.seen(colour.other).usable)
    if others == 0:
        # Where nobody is, as while the traffic plane starts, it stays as it is.
        return colour.full_share if mine else observed.share
    return share_of(colour, round(SHARES * mine / (mine + others)))


def share_of(colour: Colour, part: int) -> int:
    """The share of green at which `colour` has `part`; and the other way round."""
    return part if colour is Colour.GREEN else SHARES - part


def scale_down(state: State, colour: Colour) -> State:
    """Nothing shall be in `colour`: it takes no new request, and goes once it has answered what it has."""
    return state.with_slot(colour, access=Admission.CLOSED, desired=None, replicas=0)


def only(state: State, observed: Observed, home: Colour) -> State:
    """All traffic to `home`, and once that is so, nothing in the other colour."""
    state = state.but(share=home.full_share)
    return scale_down(state, home.other) if observed.share == home.full_share else state
