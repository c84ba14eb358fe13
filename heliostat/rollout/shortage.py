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
    there = 0 if in_place else _there(state, candidate, desired, held)
    nodes = _without_leftovers(state, candidate, desired, nodes, held)
    if extra > there and not isinstance(desired.strategy, Recreate):
        short = shortage(nodes, Need(extra - there, desired), _SMALLER if live is None or in_place else _way_out(desired))
        if short is not None:
            return short
    if live is None or in_place or state.live is None:
        return None
    return shortage(freed(nodes, held, state.live, live), Need(max(0, desired.replicas - there), desired), _SMALLER)


def awaited_by(state: State, desired: Desired, extra: int, nodes: tuple[Node, ...], held: tuple[Held, ...]) -> tuple[str, ...]:
    """The groups of which nodes have to come before `extra` replicas on top have a place."""
    candidate = state.live.other if state.live is not None else Colour.BLUE
    live = state.slot(state.live).desired if state.live is not None else None
    in_place = live is not None and identity(live) == identity(desired)
    need = Need(extra - (0 if in_place else _there(state, candidate, desired, held)), desired)
    return awaited(_without_leftovers(state, candidate, desired, nodes, held), need.ask, need.replicas)


def _there(state: State, candidate: Colour, desired: Desired, held: tuple[Held, ...]) -> int:
    """Replicas of the very version that are in the candidate's colour already."""
    slot = state.slot(candidate).desired
    if slot is None or identity(slot) != identity(desired):
        return 0
    return sum(each.replicas for each in held if each.colour is candidate)


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
