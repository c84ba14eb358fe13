"""What is next for an application: an ordered list of small questions, the first one that applies answers."""

from __future__ import annotations

from dataclasses import replace

from heliostat.rollout import ending, phases, shifting
from heliostat.rollout.actions import actions, closed
from heliostat.rollout.beginning import declared_meanwhile, end_of, start
from heliostat.rollout.model import (
    ENDS,
    GATHERING,
    SHARES,
    Action,
    Admission,
    Colour,
    Condition,
    Decision,
    Observed,
    Record,
    RetireColour,
    State,
    Step,
)
from heliostat.rollout.orders import declare, delete
from heliostat.rollout.refusals import forgiven
from heliostat.rollout.shares import scale_down, share_of
from heliostat.rollout.turns import enter, fail
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Phase

HEAL_SECONDS = 30.0
"""How long a broken colour is left to Serve before it is made anew."""
_AT_ONCE = 8
"""Phases that one look may pass, at most: what is true already is not looked for again."""

_PHASES = {
    Phase.PENDING: phases.pending,
    Phase.STARTING: phases.starting,
    Phase.TESTING: phases.testing,
    Phase.SHIFTING: shifting.shifting,
    Phase.ANALYSING: shifting.analysing,
    Phase.PAUSED: shifting.paused,
    Phase.WAITING: shifting.waiting,
    Phase.RETAINING: ending.retaining,
    Phase.RETIRING: ending.retiring,
    Phase.ROLLING_BACK: ending.rolling_back,
}
_TIMES = ("started_at", "since", "cold_since", "gap_since", "sick_since", "stage_at", "analysis_at", "shift_at")


def decide(state: State, observed: Observed, now: float) -> Decision:
    """The next state, what to do about it now, and what people should know."""
    state = _in_time(state, now)
    if observed.watched_since > now:
        observed = replace(observed, watched_since=0.0)
    step = _steps(state, observed, now)
    after, told = records(step, observed)
    after = forgiven(closed(after, observed, now))
    heal: tuple[Action, ...] = ()
    if after.heal_after > state.heal_after and after.live is not None:
        heal = (RetireColour(after.live),)
    return Decision(after, (*heal, *actions(after, observed, now)), step.events, told, gone=step.gone)


def _steps(state: State, observed: Observed, now: float) -> Step:
    """One step, and those that follow from it at once: traffic does not wait for another look."""
    events: list[tuple[Phase, str]] = []
    moved = False
    for _ in range(_AT_ONCE):
        step = _step(state, observed, now)
        events += step.events
        moved |= step.moved
        state = step.state
        if not step.events or step.gone or state.rollout is None or state.rollout.ended:
            break
    return Step(_heal(state, observed, now) if _lasts(state, observed) else state, tuple(events), moved, step.gone)


def _step(state: State, observed: Observed, now: float) -> Step:
    rollout = state.rollout
    active = rollout is not None and not rollout.ended
    if state.deleting:
        return _delete(state, observed, now)
    if active and rollout is not None and rollout.aborted is not None and rollout.phase is not Phase.ROLLING_BACK:
        # It was held against the candidate with the word; who ships it again all the same does so after that.
        return fail(state, now, rollout.aborted, held=False)
    if state.pending and active and rollout is not None:
        step = declared_meanwhile(state, rollout, now)
        return step if step is not None else _PHASES[rollout.phase](state, observed, now)
    if state.pending:
        return start(state, observed, now)
    if active and rollout is not None:
        return _PHASES[rollout.phase](state, observed, now)
    return Step(_heal(state, observed, now))


def _delete(state: State, observed: Observed, now: float) -> Step:
    rollout = state.rollout
    if rollout is not None and not rollout.ended:
        return enter(state, end_of(rollout), now, "the application is deleted")
    for colour in Colour:
        state = scale_down(state, colour)
    state = state.but(live=None)
    if any(observed.seen(colour).condition is not Condition.ABSENT for colour in Colour):
        return Step(state)
    if not state.pending:
        return Step(state, gone=True)
    # Declared again while it went.
    return Step((state.with_rollout(deleted=True) if rollout is not None else state).but(deleting=False))


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


def _lasts(state: State, observed: Observed) -> bool:
    """Whether a rollout is where it may stay for days, and nobody else would heal what serves."""
    rollout = state.rollout
    if rollout is None or state.deleting or state.live is None:
        return False
    kept = observed.seen(state.live.other).healthy
    return rollout.phase in GATHERING or (rollout.phase is Phase.RETAINING and not kept)


def _in_time(state: State, now: float) -> State:
    """`state` without times that are yet to come: a clock that was set back must not make anything wait for it."""
    if state.heal_after and state.heal_after > now + HEAL_SECONDS:
        state = state.but(heal_after=now + HEAL_SECONDS)
    for colour in Colour:
        if (state.slot(colour).closed_at or 0.0) > now:
            state = state.with_slot(colour, closed_at=now)
    rollout = state.rollout
    if rollout is None or rollout.ended:
        return state
    ahead = {name: now for name in _TIMES if (getattr(rollout, name) or 0.0) > now}
    return state.with_rollout(**ahead) if ahead else state


def records(step: Step, observed: Observed) -> tuple[State, tuple[Record, ...]]:
    """What the ledger is told: that traffic moved, that a rollout ended, that the application is gone."""
    state, found = step.state, []
    rollout = state.rollout
    if rollout is None:
        return state, ()
    weights = _weights(state, observed)
    if weights != state.entered and not state.deleting and (step.moved or _has_moved(state, observed)):
        found.append(Record(EntryKind.SHIFT, weights))
        state = state.but(entered=weights)
    if any(phase in ENDS for phase, _ in step.events):
        found.append(Record(EntryKind.END, weights))
    if step.gone:
        found.append(Record(EntryKind.REMOVED, {}))
    return state, tuple(found)


def _has_moved(state: State, observed: Observed) -> bool:
    """Whether the traffic is where it shall be, and no batch is on its way."""
    if state.rollout is None or observed.share != state.share:
        return False
    between = state.rollout.phase in (Phase.PENDING, Phase.SHIFTING, Phase.ROLLING_BACK)
    arriving = state.rollout.phase is Phase.SHIFTING
    return not arriving and (not between or state.share in (0, SHARES))


def _weights(state: State, observed: Observed) -> dict[str, float]:
    """Shares of the traffic by version, as the traffic plane has them."""
    weights: dict[str, float] = {}
    for colour in Colour:
        slot, part = state.slot(colour), share_of(colour, observed.share)
        if slot.desired is not None and slot.access is not Admission.CLOSED and part:
            digest = slot.desired.version.digest
            weights[digest] = round(weights.get(digest, 0.0) + part / SHARES, 4)
    return weights


__all__ = ["ENDS", "decide", "declare", "delete"]
