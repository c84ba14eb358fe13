"""One function a phase: the next state of a rollout that is in it."""

from __future__ import annotations

from heliostat.rollout import rolling
from heliostat.rollout.model import Access, Condition, Observed, Progress, Seen, State, Step, identity
from heliostat.rollout.shares import put_away
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling

CLEARING_SECONDS = 120.0
"""How long the colour that a candidate needs may take to be free, on top of its own time to start."""
SICK_SECONDS = 10.0
"""How long what has all traffic may be without a healthy replica before its predecessor, where it is there, comes back."""


def pending(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Make room for the candidate."""
    if now > rollout.since + rollout.target.startup_timeout_seconds + CLEARING_SECONDS:
        return fail(state, rollout, now, f"the colour {rollout.candidate} was not free after {now - rollout.since:.0f} s")
    state = _clear(state, rollout, observed, now)
    if rollout.in_place:
        return _change_in_place(state, rollout, now)
    if not _is_free(state, rollout, observed):
        return Step(state)
    slot = state.slot(rollout.candidate)
    replicas = rollout.target.replicas
    if is_rolling(state, rollout) and slot.desired is not None:
        # It is still there from before: it begins with what it has.
        replicas = max(1, min(replicas, slot.replicas))
    elif is_rolling(state, rollout):
        state, replicas = rolling.first_batch(state, _move(rollout), observed)
        if replicas == 0:
            return Step(state)
    return _begin(state, rollout, observed.seen(rollout.candidate), replicas, now)


def starting(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Wait until the candidate's replicas are healthy."""
    seen, wanted = observed.seen(rollout.candidate), state.slot(rollout.candidate).replicas
    surplus = rollout.in_place and len(seen.running) > wanted
    if surplus or not _as_wanted(state, rollout, seen) or len(seen.healthy) < wanted:
        return _or_fail(Step(state), rollout, seen, wanted, now)
    text = f"{wanted} of {wanted} replicas are healthy"
    if rollout.in_place:
        return enter(state, Phase.SUCCEEDED, now, text)
    if rollout.cold_since is not None:
        figures = {**rollout.figures, "startup_seconds": round(now - rollout.cold_since, 3)}
        state = state.with_rollout(figures=figures)
    return enter(state, Phase.TESTING, now, text)


def testing(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Wait until each of the candidate's replicas answered the golden requests."""
    seen, wanted = observed.seen(rollout.candidate), state.slot(rollout.candidate).replicas
    if not _as_wanted(state, rollout, seen) or len(seen.right) < wanted or seen.wrong:
        return _or_fail(Step(state), rollout, seen, wanted, now)
    access = Access.TESTED if is_rolling(state, rollout) else Access.OPEN
    state = state.with_slot(rollout.candidate, access=access)
    return enter(state, Phase.SHIFTING, now, f"{len(seen.right)} replicas answer the golden requests rightly")


def shifting(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Move the traffic."""
    seen, wanted = observed.seen(rollout.candidate), state.slot(rollout.candidate).replicas
    step = Step(state)
    if seen.wrong:
        return _or_fail(step, rollout, seen, wanted, now)
    if is_rolling(state, rollout):
        step = _roll(state, rollout, observed, now)
        done = rolling.complete(step.state, _move(rollout), observed)
    else:
        ready = len(seen.usable) >= wanted
        step = Step(state.but(share=rollout.candidate.full_share)) if ready else step
        done = ready and observed.share == rollout.candidate.full_share
    return _shifted(step.state, rollout, observed, now) if done else _or_fail(step, rollout, seen, wanted, now)


def retaining(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Keep the old version for its window, and go back to it where the new one dies altogether."""
    new, old = observed.seen(rollout.candidate), observed.seen(rollout.candidate.other)
    sick = not new.healthy and bool(old.healthy)
    if sick and rollout.sick_since is None:
        return Step(state.with_rollout(sick_since=now))
    if sick and rollout.sick_since is not None:
        error = f"no replica of {rollout.target.version.label} was healthy any more. {new.error}".strip()
        return fail(state, rollout, now, error) if now - rollout.sick_since >= SICK_SECONDS else Step(state)
    if rollout.sick_since is not None:
        state = state.with_rollout(sick_since=None)
    if now - rollout.since < _retention(rollout):
        return Step(state)
    return enter(put_away(state, rollout.candidate.other), Phase.RETIRING, now, f"{_label(rollout.previous)} is put away")


def retiring(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Wait until nothing of the old version is left."""
    if observed.seen(rollout.candidate.other).condition is not Condition.ABSENT:
        return Step(state)
    return enter(state, Phase.SUCCEEDED, now, f"{rollout.target.version.label} serves")


def rolling_back(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """Traffic back first; then the candidate goes; then, where it was stopped for it, the old version comes again."""
    late = now > rollout.since + (rollout.previous or rollout.target).startup_timeout_seconds
    home, previous = rollout.previous_colour, rollout.previous
    absent = observed.seen(rollout.candidate).condition is Condition.ABSENT
    if home is None or previous is None:
        state = put_away(state, rollout.candidate)
        return enter(state, Phase.FAILED, now, "nothing serves, as before") if absent else Step(state)
    if rollout.gap_since is not None:
        state = put_away(state, rollout.candidate)
        return _restart(state, rollout, observed, now, late) if absent else Step(state)
    state = rolling.go_home(state, observed, home, previous, rollout.strategy, patient=not late).but(live=home)
    whole = late or len(observed.seen(home).usable) >= previous.replicas
    if absent and whole and state.slot(rollout.candidate).desired is None:
        return enter(state, Phase.FAILED, now, f"{previous.version.label} goes on serving")
    return Step(state)


def fail(state: State, rollout: Progress, now: float, error: str) -> Step:
    """Turn back because of `error`."""
    state = state.with_rollout(error=error)
    if not rollout.in_place:
        return enter(state, Phase.ROLLING_BACK, now, error.splitlines()[0])
    if rollout.previous is not None:
        state = state.with_slot(rollout.candidate, desired=rollout.previous, replicas=rollout.previous.replicas)
    state = put_away(state.but(share=rollout.candidate.full_share), rollout.candidate.other)
    return enter(state, Phase.FAILED, now, error.splitlines()[0])


def enter(state: State, phase: Phase, now: float, text: str) -> Step:
    """Begin `phase`."""
    return Step(state.with_rollout(phase=phase, since=now), ((phase, text),))


def is_rolling(state: State, rollout: Progress) -> bool:
    """Whether replicas move a share at a time: a first version has nothing to move from."""
    return isinstance(rollout.strategy, Rolling) and state.live is not None


def _clear(state: State, rollout: Progress, observed: Observed, now: float) -> State:
    """Put away what earlier attempts left; and recreate stops the old version here."""
    slot = state.slot(rollout.candidate)
    held = slot.desired is not None and identity(slot.desired) == identity(rollout.target)
    live = state.live
    if live is None:
        state = put_away(state, rollout.candidate.other)
        return state if held else put_away(state, rollout.candidate)
    previous = state.slot(live).desired or rollout.previous or rollout.target
    leftover = state.slot(live.other).desired is not None or observed.share != live.full_share
    if leftover and (rollout.in_place or not held):
        state = rolling.go_home(state, observed, live, previous, rollout.way_back, patient=True)
    elif not isinstance(rollout.strategy, Rolling):
        # A rolling update that made room for its first replica, and went no further, may have left too few.
        state = state.with_slot(live, desired=previous, replicas=previous.replicas, access=Access.OPEN)
    if isinstance(rollout.strategy, Recreate) and not rollout.in_place and state.slot(rollout.candidate).desired is None:
        return put_away(state.with_rollout(gap_since=now).but(live=None), live)
    return state


def _is_free(state: State, rollout: Progress, observed: Observed) -> bool:
    slot, seen = state.slot(rollout.candidate), observed.seen(rollout.candidate)
    wanted = identity(rollout.target)
    if slot.desired is not None:
        return identity(slot.desired) == wanted
    other = rollout.candidate.other
    if state.live is None and observed.seen(other).condition is not Condition.ABSENT:
        return False
    return seen.condition is Condition.ABSENT or (seen.identity == wanted and seen.condition is not Condition.STOPPING)


def _change_in_place(state: State, rollout: Progress, now: float) -> Step:
    if state.slot(rollout.candidate.other).desired is not None:
        return Step(state)
    replicas = rollout.target.replicas
    state = state.with_slot(rollout.candidate, desired=rollout.target, replicas=replicas, access=Access.OPEN)
    return enter(state, Phase.STARTING, now, f"{rollout.target.version.label} stays, with {replicas} replicas")


def _begin(state: State, rollout: Progress, seen: Seen, replicas: int, now: float) -> Step:
    warm = seen.identity == identity(rollout.target) and len(seen.healthy) >= replicas
    state = state.with_slot(rollout.candidate, desired=rollout.target, replicas=replicas)
    state = state.with_rollout(cold_since=None if warm else now)
    text = "is still there: no start is needed" if warm else f"starts with {replicas} replica(s)"
    return enter(state, Phase.STARTING, now, f"{rollout.target.version.label} {text} ({rollout.candidate})")


def _roll(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    before = state.slot(rollout.candidate).replicas
    state = rolling.advance(state, _move(rollout), observed)
    after = state.slot(rollout.candidate).replicas
    if after == before:
        return Step(state)
    text = f"{before} of {rollout.target.replicas} replicas moved; {after - before} more start"
    return Step(state.with_rollout(since=now), ((Phase.SHIFTING, text),))


def _as_wanted(state: State, rollout: Progress, seen: Seen) -> bool:
    slot = state.slot(rollout.candidate)
    return slot.desired is not None and seen.identity == identity(slot.desired) and seen.replicas == slot.replicas


def _or_fail(step: Step, rollout: Progress, seen: Seen, wanted: int, now: float) -> Step:
    """`step`, or the turn back where the candidate is beyond hope."""
    label, limit = rollout.target.version.label, rollout.target.startup_timeout_seconds
    error = None
    if seen.wrong:
        error = f"{label} answers its golden requests wrongly: {seen.wrong}"
    elif seen.condition is Condition.FAILED and seen.identity == identity(rollout.target):
        error = f"{label} did not start. {seen.error}"
    elif now > rollout.since + limit:
        text = f"{len(seen.healthy)} of {wanted} replicas of {label} were healthy after {limit:g} s (startupTimeoutSeconds)"
        error = f"{text}. {seen.error}"
    return fail(step.state, rollout, now, error.strip()) if error else step


def _shifted(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    """All traffic is on the candidate."""
    figures = {**rollout.figures, "shift_milliseconds": round((now - rollout.since) * 1000, 1)}
    text = f"all traffic is on {rollout.target.version.label}"
    if rollout.gap_since is not None:
        figures["gap_seconds"] = round(now - rollout.gap_since, 3)
        text += f", after {figures['gap_seconds']:.1f} s without service"
    state = state.with_rollout(figures=figures).but(live=rollout.candidate)
    state = state.with_slot(rollout.candidate, access=Access.OPEN)
    if state.slot(rollout.candidate.other).desired is not None:
        return enter(state, Phase.RETAINING, now, text)
    absent = observed.seen(rollout.candidate.other).condition is Condition.ABSENT
    return enter(state, Phase.SUCCEEDED if absent else Phase.RETIRING, now, text)


def _move(rollout: Progress) -> rolling.Move:
    if not isinstance(rollout.strategy, Rolling):
        raise TypeError(f"a rollout by {rollout.strategy.kind} does not roll")
    return rolling.move(rollout.strategy, rollout.candidate, rollout.target.replicas)


def _retention(rollout: Progress) -> float:
    return rollout.strategy.retention_seconds if isinstance(rollout.strategy, BlueGreen) else 0.0


def _restart(state: State, rollout: Progress, observed: Observed, now: float, late: bool) -> Step:
    """Deploy the old version again: recreate stopped it."""
    home, previous = rollout.previous_colour, rollout.previous
    if home is None or previous is None:
        raise ValueError("nothing served before")
    label, seen = previous.version.label, observed.seen(home)
    if state.slot(home).desired is None:
        state = state.with_slot(home, desired=previous, replicas=previous.replicas, access=Access.OPEN)
        return enter(state.but(live=home, share=home.full_share), Phase.ROLLING_BACK, now, f"{label} is deployed again")
    if observed.share == home.full_share and len(seen.usable) >= previous.replicas:
        return _returned(state, rollout, now, f"{label} was deployed again and serves")
    if late or (seen.condition is Condition.FAILED and seen.identity == identity(previous)):
        return _returned(state, rollout, now, f"{label} was deployed again, but is not healthy yet")
    return Step(state)


def _returned(state: State, rollout: Progress, now: float, text: str) -> Step:
    since = rollout.gap_since if rollout.gap_since is not None else now
    figures = {**rollout.figures, "gap_seconds": round(now - since, 3)}
    state = state.with_rollout(figures=figures, error=f"{rollout.error}\n{text}")
    return enter(state, Phase.FAILED, now, text)


def _label(desired: Desired | None) -> str:
    return desired.version.label if desired is not None else "nothing"
