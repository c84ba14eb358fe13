"""After the last stage, and the way back."""

from __future__ import annotations

from heliostat.rollout import rolling
from heliostat.rollout.model import Admission, Colour, Condition, Observed, Progress, State, Step, identity
from heliostat.rollout.shares import scale_down
from heliostat.rollout.stages import retention
from heliostat.rollout.turns import SICK_SECONDS, enter, fail, patient_since, progress
from heliostat.spec.rollouts import Phase


def retaining(state: State, observed: Observed, now: float) -> Step:
    """Keep the old version for its window, and go back to it where the new one dies altogether."""
    rollout = progress(state)
    new, old = observed.seen(rollout.candidate), observed.seen(rollout.candidate.other)
    sick = not new.healthy and bool(old.healthy)
    if sick and rollout.sick_since is None:
        return Step(state.with_rollout(sick_since=now))
    if sick and rollout.sick_since is not None:
        error = f"no replica of {rollout.target.version.label} was healthy any more. {new.error}".strip()
        ill = now - max(rollout.sick_since, observed.watched_since)
        return fail(state, now, error) if ill >= SICK_SECONDS else Step(state)
    if rollout.sick_since is not None:
        state = state.with_rollout(sick_since=None)
    # Replicas that were declared in the window come while there is still something to go back to.
    grows = len(new.healthy) < state.slot(rollout.candidate).replicas
    patience = rollout.target.startup_timeout_seconds if grows else 0.0
    if now - rollout.since < retention(rollout.strategy) + patience:
        return Step(state)
    label = rollout.previous.version.label if rollout.previous is not None else "nothing"
    return enter(scale_down(state, rollout.candidate.other), Phase.RETIRING, now, f"{label} is put away")


def retiring(state: State, observed: Observed, now: float) -> Step:
    """Wait until nothing of the old version is left."""
    rollout = progress(state)
    if observed.seen(rollout.candidate.other).condition is not Condition.ABSENT:
        return Step(state)
    return enter(state, Phase.SUCCEEDED, now, f"{rollout.target.version.label} serves")


def rolling_back(state: State, observed: Observed, now: float) -> Step:
    """Traffic back first; then the candidate goes; then, where it was stopped for it, the old version comes again."""
    rollout = progress(state)
    home, previous = rollout.previous_colour, rollout.previous
    late = now > patient_since(rollout, observed) + (previous or rollout.target).startup_timeout_seconds
    absent = observed.seen(rollout.candidate).condition is Condition.ABSENT
    if home is None or previous is None:
        state = scale_down(state, rollout.candidate)
        return enter(state, Phase.FAILED, now, "nothing serves, as before") if absent or late else Step(state)
    if rollout.gap_since is not None:
        state = scale_down(state, rollout.candidate)
        return _restart(state, rollout, observed, now, late) if absent or late else Step(state)
    if late and observed.seen(rollout.candidate).usable and not observed.seen(home).usable:
        return _stays(state, rollout, home, now)
    state = rolling.go_home(state, observed, home, previous, rollout.strategy, patient=not late).but(live=home)
    if observed.share == state.share == home.full_share:
        state = arrived(state, observed, now)
    whole = late or len(observed.seen(home).usable) >= previous.replicas
    if (absent or late) and whole and state.slot(rollout.candidate).desired is None:
        return enter(state, Phase.FAILED, now, f"{previous.version.label} goes on serving")
    return Step(state)


def arrived(state: State, observed: Observed, now: float) -> State:
    """All traffic is home again: how long that took, where it is not known yet."""
    rollout = progress(state)
    if rollout.shift_at is None:
        return state
    known = observed.shift_milliseconds
    took = round(known if known is not None else (now - rollout.shift_at) * 1000, 1)
    return state.with_rollout(shift_at=None, figures={**rollout.figures, "back_milliseconds": took})


def _stays(state: State, rollout: Progress, home: Colour, now: float) -> Step:
    """The old version does not come back: whatever is wrong with the candidate, it is all that answers."""
    before = rollout.previous.version.label if rollout.previous is not None else "what served"
    text = f"{before} did not come back; {rollout.target.version.label} keeps the traffic"
    state = scale_down(state, home).but(live=rollout.candidate, share=rollout.candidate.full_share)
    state = state.with_slot(rollout.candidate, desired=rollout.target, replicas=rollout.target.replicas, access=Admission.OPEN)
    return enter(state.with_rollout(error=f"{rollout.error}\n{text}"), Phase.FAILED, now, text)


def _restart(state: State, rollout: Progress, observed: Observed, now: float, late: bool) -> Step:
    """Deploy the old version again: recreate stopped it."""
    home, previous = rollout.previous_colour, rollout.previous
    if home is None or previous is None:
        raise ValueError("nothing served before")
    label, seen = previous.version.label, observed.seen(home)
    if state.slot(home).desired is None:
        state = state.with_slot(home, desired=previous, replicas=previous.replicas, access=Admission.OPEN)
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
