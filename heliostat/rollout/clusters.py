"""Which cluster an application is on and shall be on, where there is more than one. Pure.

An upgrade of Ray makes a cluster beside the first. What is declared from then on is for the new one, and comes there by the
application's own strategy; what serves stays where it is until then. A cluster that is gone all of a sudden leaves its
applications to the one that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from heliostat.rollout.model import SETTLED, Colour, State, identity
from heliostat.rollout.orders import OrderError
from heliostat.rollout.shares import scale_down
from heliostat.spec.rollouts import Desired


def aimed(desired: Desired, clusters: Sequence[str]) -> Desired:
    """A declaration for the cluster that the controller works on, the first of `clusters`.

    Raises:
        OrderError: it is for one that the controller knows nothing of, so that it would come to lie where nobody meant it.
    """
    if desired.cluster and clusters[0] and desired.cluster not in clusters:
        raise OrderError(
            f"it is declared for the cluster {desired.cluster}, and the controller works on {clusters[0]}: run `up` in the "
            "stack that makes the platform first, then here again"
        )
    return onto(desired, clusters[0])


def aimed_back(state: State, desired: Desired, clusters: Sequence[str]) -> Desired:
    """What a rollback goes to: where it still runs, or else the cluster that the controller works on."""
    slots = [state.slot(colour).desired for colour in Colour]
    there = any(slot is not None and identity(slot) == identity(desired) for slot in slots)
    return desired if there and desired.cluster in clusters else onto(desired, clusters[0])


def onto(desired: Desired, cluster: str) -> Desired:
    """The same on a cluster."""
    return desired if desired.cluster == cluster else desired.model_copy(update={"cluster": cluster})


def named(state: State, cluster: str) -> State:
    """The state that an earlier release kept, which knew of one cluster, and did not name it."""
    return _changed(state, lambda each: each if each.cluster else onto(each, cluster))


def used(state: State) -> frozenset[str]:
    """The clusters that something of an application shall be on."""
    slots = [state.slot(colour).desired for colour in Colour]
    return frozenset(each.cluster for each in slots if each is not None)


def let_go(state: State, silent: Collection[str]) -> State:
    """`state` without what it only keeps for its window, on a cluster that does not answer: that is no way back."""
    kept = _kept(state)
    desired = state.slot(kept).desired if kept is not None else None
    return scale_down(state, kept) if kept is not None and desired is not None and desired.cluster in silent else state


def awaiting(state: State, silent: Collection[str]) -> tuple[Colour, ...]:
    """The colours that serve, or are about to, on a cluster that does not answer."""
    slots = [(colour, state.slot(colour).desired) for colour in Colour if colour is not _kept(state)]
    return tuple(colour for colour, desired in slots if desired is not None and desired.cluster in silent)


def begun_anew(state: State, lost: Collection[str], cluster: str) -> State:
    """`state` of which all that was on the `lost` clusters shall be on another one: it starts there as after a crash."""
    return _changed(state, lambda each: onto(each, cluster) if each.cluster in lost else each)


def _kept(state: State) -> Colour | None:
    """What takes no requests any more."""
    rollout = state.rollout
    through = rollout is None or rollout.ended or rollout.phase in SETTLED
    return state.live.other if through and state.live is not None else None


def _changed(state: State, change: Callable[[Desired], Desired]) -> State:
    """`state` with every declaration in it changed."""
    for colour in Colour:
        desired = state.slot(colour).desired
        if desired is not None:
            state = state.with_slot(colour, desired=change(desired))
    if state.declared is not None:
        state = state.but(declared=change(state.declared))
    rollout = state.rollout
    if rollout is None:
        return state
    previous = change(rollout.previous) if rollout.previous is not None else None
    return state.with_rollout(target=change(rollout.target), previous=previous)


__all__ = ["aimed", "aimed_back", "awaiting", "begun_anew", "let_go", "named", "onto", "used"]
