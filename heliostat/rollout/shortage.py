"""Whether the cluster holds what a declaration needs at its peak, and what stays of it."""

from __future__ import annotations

from heliostat.rollout.capacity import Held, Need, Node, awaited, freed, shortage
from heliostat.rollout.model import Colour, State, identity
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import Recreate, Rolling

_SMALLER = "or ask for fewer replicas or less for each"


def shortage_of(state: State, desired: Desired, extra: int, nodes: tuple[Node, ...], held: tuple[Held, ...]) -> str | None:
    """Why `extra` replicas on top, or all of them in the end, do not fit, and what to do; None where they do."""
    live = state.slot(state.live).desired if state.live is not None else None
    candidate = state.live.other if state.live is not None else Colour.BLUE
    in_place = live is not None and identity(live) == identity(desired)
    nodes = _without_leftovers(state, candidate, desired, nodes, held)
    need = _needed(state, desired, extra, held)
    if need.asks and not isinstance(desired.strategy, Recreate):
        short = shortage(nodes, need, _SMALLER if live is None or in_place else _way_out(desired))
        if short is not None:
            return short
    if live is None or in_place or state.live is None:
        return None
    whole = _needed(state, desired, desired.replicas, held)
    return shortage(freed(nodes, held, state.live, live), whole, _SMALLER)


def awaited_by(state: State, desired: Desired, extra: int, nodes: tuple[Node, ...], held: tuple[Held, ...]) -> tuple[str, ...]:
    """The groups of which nodes have to come before `extra` replicas on top have a place."""
    candidate = state.live.other if state.live is not None else Colour.BLUE
    return awaited(_without_leftovers(state, candidate, desired, nodes, held), _needed(state, desired, extra, held).asks)


def workers_on_top(state: State, desired: Desired) -> int:
    """Replicas of workers that start beside those of what serves: all of a new version, with its first replica.

    They are the fewest that it has; what a long queue adds takes what room there is then.
    """
    live = state.slot(state.live).desired if state.live is not None else None
    queue = desired.version.queue
    return 0 if queue is None or (live is not None and identity(live) == identity(desired)) else queue.workers.replicas


def _needed(state: State, desired: Desired, replicas: int, held: tuple[Held, ...]) -> Need:
    """What is to have a place, without what is in the candidate's colour already."""
    workers, live = workers_on_top(state, desired), state.slot(state.live).desired if state.live is not None else None
    if live is not None and identity(live) == identity(desired):
        return Need(replicas, desired)
    candidate = state.live.other if state.live is not None else Colour.BLUE
    there = _there(state, candidate, desired, held)
    return Need(
        max(0, replicas - sum(each.replicas for each in there)),
        desired,
        max(0, workers - sum(each.workers for each in there)),
    )


def _there(state: State, candidate: Colour, desired: Desired, held: tuple[Held, ...]) -> tuple[Held, ...]:
    """What of the very version is in the candidate's colour already."""
    slot = state.slot(candidate).desired
    if slot is None or identity(slot) != identity(desired):
        return ()
    return tuple(each for each in held if each.colour is candidate)


def _without_leftovers(
    state: State, candidate: Colour, desired: Desired, nodes: tuple[Node, ...], held: tuple[Held, ...]
) -> tuple[Node, ...]:
    """The nodes once another version, kept or still stopping, has left the colour that the candidate takes."""
    rollout, left = state.rollout, state.slot(candidate).desired
    if left is None and rollout is not None:
        left = rollout.target if rollout.candidate is candidate else rollout.previous
    if left is None or (state.slot(candidate).desired is not None and identity(left) == identity(desired)):
        return nodes
    return freed(nodes, held, candidate, left)


def _way_out(desired: Desired) -> str:
    if isinstance(desired.strategy, Rolling):
        return "or take a lower maxSurge, which needs less on top (0 nothing, with minHealthyPercentage below 100)"
    return "ask for fewer replicas, or choose `rolling` or `recreate`, which need less on top"
