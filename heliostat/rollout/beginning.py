"""How a declaration becomes a rollout, or changes the one that is on its way."""

from __future__ import annotations

from heliostat.rollout.model import GATHERING, SETTLED, Colour, Observed, Progress, State, Step, identity
from heliostat.rollout.shares import share_of
from heliostat.rollout.shifting import analyse
from heliostat.rollout.stages import begins_anew, besides, followed_on, present
from heliostat.rollout.turns import enter
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.strategies import Rolling, Strategy


def start(state: State, observed: Observed, now: float) -> Step:
    """The rollout of what is declared; none where it serves already."""
    declared = declared_of(state)
    before = state.rollout
    carried = before if before is not None and before.phase is Phase.SUPERSEDED and not before.deleted else None
    previous, home = _previous(state, carried)
    live = state.slot(state.live).desired if state.live is not None else None
    in_place = live is not None and identity(live) == identity(declared)
    if in_place and state.live is not None and nothing_to_do(state, declared, observed):
        return Step(state.with_slot(state.live, desired=declared).but(pending=False, returning=False))
    candidate = state.live if in_place and state.live is not None else _candidate(state, declared, home)
    # What is still there from before, and was through, need not prove itself again.
    held = state.slot(candidate).desired
    retained = held is not None and identity(held) == identity(declared) and _was_through(before)
    rollout = Progress(
        number=before.number + 1 if before is not None else 1,
        phase=Phase.PENDING,
        strategy=declared.strategy,
        candidate=candidate,
        target=declared,
        previous=previous,
        previous_colour=home,
        origin=state.origin,
        in_place=in_place,
        direct=not in_place and (retained or state.returning),
        way_back=_way_back(declared, carried),
        started_at=now,
        since=now,
        gap_since=carried.gap_since if carried is not None and state.live is None else None,
    )
    text = _opening(rollout)
    return Step(state.but(pending=False, returning=False, rollout=rollout), ((Phase.PENDING, text),))


def declared_meanwhile(state: State, rollout: Progress, now: float) -> Step | None:
    """What a new declaration makes of a rollout on its way; None where it has to go its way first."""
    declared = declared_of(state)
    if rollout.phase is Phase.ROLLING_BACK:
        return None
    text = f"{declared.version.label} is declared"
    if identity(declared) == identity(rollout.target) and not rollout.in_place:
        if not begins_anew(rollout, declared.strategy):
            return _adopt(state, rollout, declared, now)
        text += f" by {declared.strategy.kind}: it begins anew"
    return enter(state, end_of(rollout), now, text)


def end_of(rollout: Progress) -> Phase:
    """How a rollout ends that does not come to its own end."""
    if rollout.phase in SETTLED:
        return Phase.SUCCEEDED
    return Phase.FAILED if rollout.phase is Phase.ROLLING_BACK else Phase.SUPERSEDED


def nothing_to_do(state: State, declared: Desired, observed: Observed) -> bool:
    """Whether what serves is as declared, healthy, and alone or beside a version that its own rollout keeps."""
    if state.live is None:
        return False
    slot, seen = state.slot(state.live), observed.seen(state.live)
    same = slot.desired is not None and slot.desired.max_ongoing_requests == declared.max_ongoing_requests
    as_many = slot.replicas == declared.replicas == seen.replicas and len(seen.healthy) >= declared.replicas
    alone = state.slot(state.live.other).desired is None and observed.share == state.live.full_share
    kept = state.rollout is not None and state.rollout.phase in SETTLED
    return same and as_many and (alone or kept)


def declared_of(state: State) -> Desired:
    """What is declared.

    Raises:
        ValueError: nothing is.
    """
    if state.declared is None:
        raise ValueError(f"{state.name} has nothing declared")
    return state.declared


def _adopt(state: State, rollout: Progress, declared: Desired, now: float) -> Step:
    """The same version with another number of replicas, other steps, or the like."""
    slot = state.slot(rollout.candidate)
    if slot.desired is not None and identity(slot.desired) == identity(declared):
        whole = slot.replicas == rollout.target.replicas or rollout.phase in SETTLED
        replicas = declared.replicas if whole else min(slot.replicas, declared.replicas)
        state = state.with_slot(rollout.candidate, desired=declared, replicas=replicas)
    state = state.but(pending=False, returning=False)
    changed = rollout.model_copy(update={"target": declared, "origin": state.origin})
    if besides(declared.strategy) and besides(rollout.strategy):
        shifts = rollout.phase is Phase.SHIFTING or rollout.phase in GATHERING
        part = share_of(rollout.candidate, state.share) if shifts else 0
        changed = followed_on(changed, declared.strategy, part)
    elif declared.strategy.kind == rollout.strategy.kind and rollout.phase not in SETTLED:
        changed = changed.model_copy(update={"strategy": declared.strategy})
    # Otherwise how it got there, or is on its way, does not change any more; the declaration's other parts do.
    anew = present(changed).analysis not in (present(rollout).analysis, None)
    state = state.but(rollout=changed)
    if rollout.phase in GATHERING and changed.stage_at is None:
        return enter(state, Phase.SHIFTING, now, "its strategy changed; it goes on by the new one")
    if rollout.phase in GATHERING and anew:
        return analyse(state, now, "it is analysed as now declared")
    return Step(state, ((rollout.phase, "it goes on as now declared"),))


def _previous(state: State, carried: Progress | None) -> tuple[Desired | None, Colour | None]:
    """What serves, or served until a recreate that did not end stopped it."""
    live = state.slot(state.live).desired if state.live is not None else None
    if live is not None:
        before = carried.previous if carried is not None and carried.in_place else None
        # A change in place that did not end is not what served.
        whole = before is not None and identity(before) == identity(live)
        return (before if whole else live), state.live
    return (carried.previous, carried.previous_colour) if carried is not None else (None, None)


def _was_through(before: Progress | None) -> bool:
    """Whether the rollout before ended well, so that what it kept beside is what served before it."""
    return before is not None and before.phase is Phase.SUCCEEDED


def _way_back(declared: Desired, carried: Progress | None) -> Strategy:
    ways = (carried.strategy, carried.way_back) if carried is not None else ()
    return next((way for way in ways if isinstance(way, Rolling)), declared.strategy)


def _candidate(state: State, declared: Desired, home: Colour | None) -> Colour:
    for colour in Colour:
        desired = state.slot(colour).desired
        if desired is not None and colour is not state.live and identity(desired) == identity(declared):
            return colour
    return home.other if home is not None else Colour.BLUE


def _opening(rollout: Progress) -> str:
    label = rollout.target.version.label
    if rollout.in_place:
        return f"{label} stays; its configuration changes"
    if rollout.previous is None:
        return f"{label} is the first version"
    back = ", back to what served before" if rollout.direct else ""
    before, after = rollout.previous.cluster, rollout.target.cluster
    moves = f", and from the cluster {before} to {after}" if before != after else ""
    return f"from {rollout.previous.version.label} to {label} by {rollout.strategy.kind}{moves}{back}"


__all__ = ["declared_meanwhile", "declared_of", "end_of", "nothing_to_do", "start"]
