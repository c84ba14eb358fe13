"""What is next for an application: an ordered list of small questions, the first one that applies answers."""

from __future__ import annotations

from heliostat.rollout import phases
from heliostat.rollout.actions import actions
from heliostat.rollout.model import (
    ENDS,
    SETTLED,
    Action,
    Colour,
    Condition,
    Decision,
    Observed,
    Progress,
    RetireColour,
    State,
    Step,
    identity,
)
from heliostat.rollout.shares import put_away
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.strategies import Rolling, Strategy

HEAL_SECONDS = 30.0
"""How long a broken colour is left to Serve before it is made anew."""

_PHASES = {
    Phase.PENDING: phases.pending,
    Phase.STARTING: phases.starting,
    Phase.TESTING: phases.testing,
    Phase.SHIFTING: phases.shifting,
    Phase.RETAINING: phases.retaining,
    Phase.RETIRING: phases.retiring,
    Phase.ROLLING_BACK: phases.rolling_back,
}


def declare(state: State, desired: Desired, observed: Observed) -> State:
    """`state` with a new declaration. The same one again changes nothing while it is on its way or serves well."""
    rollout = state.rollout
    if rollout is not None and not rollout.ended and rollout.target == desired and not state.deleting:
        return state.but(declared=desired, pending=False)
    if state.declared == desired and not state.pending and not state.deleting and _serves(state, desired, observed):
        return state
    return state.but(declared=desired, pending=True)


def delete(state: State) -> State:
    """`state` of an application that shall not be."""
    return state.but(declared=None, pending=False, deleting=True)


def decide(state: State, observed: Observed, now: float) -> Decision:
    """The next state, what to do about it now, and what people should know."""
    step = _step(state, observed, now)
    heal: tuple[Action, ...] = ()
    if step.state.heal_after != state.heal_after and step.state.live is not None:
        heal = (RetireColour(step.state.live),)
    return Decision(step.state, (*heal, *actions(step.state, observed)), step.events, gone=step.gone)


def _step(state: State, observed: Observed, now: float) -> Step:
    rollout = state.rollout
    active = rollout is not None and not rollout.ended
    if state.deleting:
        return _delete(state, observed, now)
    if state.pending and active and rollout is not None:
        return _declared_meanwhile(state, rollout, observed, now)
    if state.pending:
        return _start(state, observed, now)
    if active and rollout is not None:
        return _PHASES[rollout.phase](state, rollout, observed, now)
    return Step(_heal(state, observed, now))


def _delete(state: State, observed: Observed, now: float) -> Step:
    rollout = state.rollout
    if rollout is not None and not rollout.ended:
        return phases.enter(state, _end_of(rollout), now, "the application is deleted")
    for colour in Colour:
        state = put_away(state, colour)
    state = state.but(live=None)
    if any(observed.seen(colour).condition is not Condition.ABSENT for colour in Colour):
        return Step(state)
    # Declared again while it went: it begins anew.
    return Step(state.but(deleting=False)) if state.pending else Step(state, gone=True)


def _declared_meanwhile(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """A new declaration while a rollout is on its way."""
    declared = _declared(state)
    if identity(declared) == identity(rollout.target) and not rollout.in_place:
        if rollout.phase is Phase.ROLLING_BACK:
            return Step(state.but(pending=False))
        return Step(_adopt(state, rollout, declared))
    if rollout.phase is Phase.ROLLING_BACK:
        return phases.rolling_back(state, rollout, observed, now)
    text = f"{declared.version.label} is declared"
    return phases.enter(state, _end_of(rollout), now, text)


def _adopt(state: State, rollout: Progress, declared: Desired) -> State:
    """The same version with another number of replicas, or the like."""
    slot = state.slot(rollout.candidate)
    if slot.desired is not None and identity(slot.desired) == identity(declared):
        whole = slot.replicas == rollout.target.replicas or rollout.phase in SETTLED
        replicas = declared.replicas if whole else min(slot.replicas, declared.replicas)
        state = state.with_slot(rollout.candidate, desired=declared, replicas=replicas)
    if rollout.phase in SETTLED or declared.strategy.kind != rollout.strategy.kind:
        # How it got there, or is on its way, does not change any more; the declaration's other parts do.
        return state.with_rollout(target=declared).but(pending=False)
    return state.with_rollout(target=declared, strategy=declared.strategy).but(pending=False)


def _start(state: State, observed: Observed, now: float) -> Step:
    declared = _declared(state)
    before = state.rollout
    carried = before if before is not None and before.phase is Phase.SUPERSEDED else None
    previous, home = _previous(state, carried)
    live = state.slot(state.live).desired if state.live is not None else None
    in_place = live is not None and identity(live) == identity(declared)
    if in_place and state.live is not None and _nothing_to_do(state, declared, observed):
        return Step(state.with_slot(state.live, desired=declared).but(pending=False))
    rollout = Progress(
        number=before.number + 1 if before is not None else 1,
        phase=Phase.PENDING,
        strategy=declared.strategy,
        candidate=state.live if in_place and state.live is not None else _candidate(state, declared, home),
        target=declared,
        previous=previous,
        previous_colour=home,
        in_place=in_place,
        way_back=_way_back(declared, carried),
        started_at=now,
        since=now,
        gap_since=carried.gap_since if carried is not None and state.live is None else None,
    )
    text = _opening(rollout)
    return Step(state.but(pending=False, rollout=rollout), ((Phase.PENDING, text),))


def _heal(state: State, observed: Observed, now: float) -> State:
    """Serve gives up on an application that failed to start; what serves must come back all the same."""
    if state.live is None:
        return state
    seen = observed.seen(state.live)
    if seen.condition is not Condition.FAILED or seen.healthy:
        return state.but(heal_after=0.0) if state.heal_after and seen.healthy else state
    if state.heal_after == 0.0 or now >= state.heal_after:
        return state.but(heal_after=now + HEAL_SECONDS)
    return state


def _previous(state: State, carried: Progress | None) -> tuple[Desired | None, Colour | None]:
    """What serves, or served until a recreate that did not end stopped it."""
    if state.live is not None and state.slot(state.live).desired is not None:
        return state.slot(state.live).desired, state.live
    return (carried.previous, carried.previous_colour) if carried is not None else (None, None)


def _way_back(declared: Desired, carried: Progress | None) -> Strategy:
    ways = (carried.strategy, carried.way_back) if carried is not None else ()
    return next((way for way in ways if isinstance(way, Rolling)), declared.strategy)


def _candidate(state: State, declared: Desired, home: Colour | None) -> Colour:
    for colour in Colour:
        desired = state.slot(colour).desired
        if desired is not None and colour is not state.live and identity(desired) == identity(declared):
            return colour
    return home.other if home is not None else Colour.BLUE


def _serves(state: State, desired: Desired, observed: Observed) -> bool:
    return state.live is not None and state.slot(state.live).desired == desired and _nothing_to_do(state, desired, observed)


def _nothing_to_do(state: State, declared: Desired, observed: Observed) -> bool:
    """Whether what serves is as declared, healthy, and alone or beside a version that its own rollout keeps."""
    if state.live is None:
        return False
    slot, seen = state.slot(state.live), observed.seen(state.live)
    same = slot.desired is not None and slot.desired.max_ongoing_requests == declared.max_ongoing_requests
    as_many = slot.replicas == declared.replicas == seen.replicas and len(seen.healthy) >= declared.replicas
    alone = state.slot(state.live.other).desired is None and observed.share == state.live.full_share
    kept = state.rollout is not None and state.rollout.phase in SETTLED
    return same and as_many and (alone or kept)


def _end_of(rollout: Progress) -> Phase:
    """How a rollout ends that does not come to its own end."""
    if rollout.phase in SETTLED:
        return Phase.SUCCEEDED
    return Phase.FAILED if rollout.phase is Phase.ROLLING_BACK else Phase.SUPERSEDED


def _opening(rollout: Progress) -> str:
    label = rollout.target.version.label
    if rollout.in_place:
        return f"{label} stays; its configuration changes"
    if rollout.previous is None:
        return f"{label} is the first version"
    return f"from {rollout.previous.version.label} to {label} by {rollout.strategy.kind}"


def _declared(state: State) -> Desired:
    if state.declared is None:
        raise ValueError(f"{state.name} has nothing declared")
    return state.declared


__all__ = ["ENDS", "decide", "declare", "delete"]
