"""Until a candidate may have traffic: room for it, its start, its golden requests."""

from __future__ import annotations

from heliostat.rollout import rolling
from heliostat.rollout.model import Admission, ColourStatus, Condition, Observed, Progress, State, Step, identity
from heliostat.rollout.nodes import settled, waiting
from heliostat.rollout.shares import scale_down
from heliostat.rollout.stages import is_alone
from heliostat.rollout.turns import access, all_wanted, as_wanted, enter, fail, is_rolling, or_fail, patient_since, progress
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Recreate, Rolling

CLEARING_SECONDS = 120.0
"""How long the colour that a candidate needs may take to be free, on top of its own time to start."""


def pending(state: State, observed: Observed, now: float) -> Step:
    """Make room for the candidate."""
    rollout = progress(state)
    waited = now - patient_since(rollout, observed)
    if waited > rollout.target.startup_timeout_seconds + CLEARING_SECONDS:
        return fail(state, now, f"the colour {rollout.candidate} was not free after {waited:.0f} s", held=False)
    state = _clear(state, rollout, observed, now)
    if rollout.in_place:
        return _change_in_place(state, rollout, now)
    if not _is_free(state, rollout, observed):
        return Step(state)
    slot, seen = state.slot(rollout.candidate), observed.seen(rollout.candidate)
    replicas = _at_first(state, rollout, seen)
    if is_rolling(state, rollout) and slot.desired is not None:
        # It is still there from before: it begins with what it has.
        replicas = max(1, min(replicas, slot.replicas))
    elif is_rolling(state, rollout):
        state, replicas = rolling.first_batch(state, rolling.move_of(rollout), observed)
        if replicas == 0:
            return Step(state)
    return _begin(state, rollout, seen, replicas, now)


def starting(state: State, observed: Observed, now: float) -> Step:
    """Wait until the candidate's replicas are healthy: the first, then the others."""
    rollout = progress(state)
    seen, wanted = observed.seen(rollout.candidate), state.slot(rollout.candidate).replicas
    surplus = rollout.in_place and len(seen.running) > wanted
    if surplus or not as_wanted(state, seen) or len(seen.healthy) < wanted:
        return waiting(state, observed, now) or or_fail(state, observed, now)
    total = all_wanted(state, rollout)
    text = f"{wanted} of {max(wanted, total)} replicas are healthy"
    if rollout.in_place:
        return enter(settled(state), Phase.SUCCEEDED, now, text)
    state = _started(state, rollout, now)
    if wanted < total:
        state = state.with_slot(rollout.candidate, replicas=total).with_rollout(cold_since=now)
        return enter(state, Phase.STARTING, now, f"{text}, the others start")
    return enter(settled(state), Phase.TESTING, now, text)


def testing(state: State, observed: Observed, now: float) -> Step:
    """Wait until each of the candidate's replicas answered the golden requests."""
    rollout = progress(state)
    seen, wanted = observed.seen(rollout.candidate), state.slot(rollout.candidate).replicas
    if not as_wanted(state, seen) or len(seen.right) < wanted or seen.wrong:
        return or_fail(state, observed, now)
    state = state.with_slot(rollout.candidate, access=access(rollout))
    return enter(state, Phase.SHIFTING, now, f"{len(seen.right)} replicas answer the golden requests rightly")


def _clear(state: State, rollout: Progress, observed: Observed, now: float) -> State:
    """Put away what earlier attempts left; and recreate stops the old version here."""
    slot = state.slot(rollout.candidate)
    held = slot.desired is not None and identity(slot.desired) == identity(rollout.target)
    live = state.live
    if live is None:
        state = scale_down(state, rollout.candidate.other)
        return state if held else scale_down(state, rollout.candidate)
    previous = state.slot(live).desired or rollout.previous or rollout.target
    leftover = state.slot(live.other).desired is not None or observed.share != live.full_share
    if leftover and not (held and rollout.direct):
        state = rolling.go_home(state, observed, live, previous, rollout.way_back, patient=True)
    elif not isinstance(rollout.strategy, Rolling):
        # A rolling update that made room for its first replica, and went no further, may have left too few.
        state = state.with_slot(live, desired=previous, replicas=previous.replicas, access=Admission.OPEN)
    if isinstance(rollout.strategy, Recreate) and not rollout.in_place and state.slot(rollout.candidate).desired is None:
        return scale_down(state.with_rollout(gap_since=now).but(live=None), live)
    return state


def _is_free(state: State, rollout: Progress, observed: Observed) -> bool:
    slot, seen = state.slot(rollout.candidate), observed.seen(rollout.candidate)
    wanted = identity(rollout.target)
    if slot.desired is not None:
        # What was interrupted keeps no share of the traffic, and has its replicas only as its strategy gives them.
        return identity(slot.desired) == wanted and (rollout.direct or state.live is None)
    other = rollout.candidate.other
    if state.live is None and observed.seen(other).condition is not Condition.ABSENT:
        return False
    return seen.condition is Condition.ABSENT or (seen.identity == wanted and seen.condition is not Condition.STOPPING)


def _change_in_place(state: State, rollout: Progress, now: float) -> Step:
    if state.slot(rollout.candidate.other).desired is not None:
        return Step(state)
    replicas = rollout.target.replicas
    state = state.with_slot(rollout.candidate, desired=rollout.target, replicas=replicas, access=Admission.OPEN)
    return enter(state, Phase.STARTING, now, f"{rollout.target.version.label} stays, with {replicas} replicas")


def _at_first(state: State, rollout: Progress, seen: ColourStatus) -> int:
    """How many replicas start at once: where others serve on the same machines, one and then the others.

    The first fetches the code and finds out whether the version starts at all, and less is computed at a time beside what
    serves. Nobody waits for that where nothing serves, or for what served before: all of it starts. Rolling has batches.
    """
    total = rollout.target.replicas
    if state.live is None or rollout.direct or is_alone(rollout) or is_rolling(state, rollout):
        return total
    return max(1, min(total, len(seen.healthy)))


def _started(state: State, rollout: Progress, now: float) -> State:
    """How long a start took that was not one of replicas that were still there: of several, the longest."""
    if rollout.cold_since is None:
        return state
    took = max(rollout.figures.get("startup_seconds", 0.0), round(now - rollout.cold_since, 3))
    return state.with_rollout(figures={**rollout.figures, "startup_seconds": took})


def _begin(state: State, rollout: Progress, seen: ColourStatus, replicas: int, now: float) -> Step:
    warm = seen.identity == identity(rollout.target) and len(seen.healthy) >= replicas
    state = state.with_slot(rollout.candidate, desired=rollout.target, replicas=replicas)
    state = state.with_rollout(cold_since=None if warm else now)
    text = "is still there: no start is needed" if warm else f"starts with {replicas} replica(s)"
    return enter(state, Phase.STARTING, now, f"{rollout.target.version.label} {text} ({rollout.candidate})")
