"""While a candidate waits for nodes that an autoscaler brings. Its own time to start begins once they are there."""

from __future__ import annotations

from heliostat.rollout.capacity import awaits
from heliostat.rollout.model import Condition, Observed, State, Step
from heliostat.rollout.observed import AwaitedNodes
from heliostat.rollout.turns import enter, fail, progress
from heliostat.spec.formatting import duration
from heliostat.spec.rollouts import Phase


def waiting(state: State, observed: Observed, now: float) -> Step | None:
    """What follows where nodes have to come, or have just come; None where the candidate's own time to start counts."""
    rollout = progress(state)
    seen = observed.seen(rollout.candidate)
    if seen.wrong or seen.condition is Condition.FAILED:
        return None
    if seen.awaits is None:
        return _came(state, now) if rollout.awaits else None
    if seen.awaits.groups != rollout.awaits:
        return _begin(state, seen.awaits, now)
    until = rollout.nodes_until if rollout.nodes_until is not None else now + seen.awaits.timeout_seconds
    # Nobody saw what happened before the cluster was looked at again.
    if now <= max(until, observed.watched_since + rollout.target.startup_timeout_seconds):
        return Step(state)
    limit = f"{duration(seen.awaits.timeout_seconds)} (controller.nodeTimeoutSeconds)"
    text = (
        f"no node of group {rollout.awaits} came within {limit}: the cloud may have none left, or the quota is used up; the "
        "autoscaler's log says which"
    )
    return fail(state, now, text, held=False)


def settled(state: State) -> State:
    """The same once everything has started: what waits later has its own patience."""
    rollout = progress(state)
    if not rollout.awaits and rollout.nodes_until is None:
        return state
    return state.with_rollout(awaits="", nodes_until=None)


def _begin(state: State, wait: AwaitedNodes, now: float) -> Step:
    rollout = progress(state)
    until = rollout.nodes_until if rollout.nodes_until is not None else now + wait.timeout_seconds
    state = state.with_rollout(awaits=wait.groups, nodes_until=until)
    return enter(state, Phase.STARTING, now, f"{awaits((wait.groups,))}, within {duration(max(0.0, until - now))}")


def _came(state: State, now: float) -> Step:
    rollout = progress(state)
    # How long a start takes is not how long a node takes to come.
    cold = now if rollout.cold_since is not None else None
    state = state.with_rollout(awaits="", cold_since=cold)
    return enter(state, Phase.STARTING, now, f"the nodes of group {rollout.awaits} that it waited for are there")
