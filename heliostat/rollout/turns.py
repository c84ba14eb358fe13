"""From one phase to another, and what a candidate can die of."""

from __future__ import annotations

from heliostat.rollout.model import ENDS, Admission, ColourStatus, Condition, Observed, Progress, State, Step, identity
from heliostat.rollout.refusals import hold
from heliostat.rollout.shares import scale_down
from heliostat.rollout.stages import present
from heliostat.spec.formatting import duration, share
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Rolling

DEAD_SECONDS = 2.0
"""How long a candidate with a share of the traffic may be without a replica that answers before it is rolled back."""
SICK_SECONDS = 10.0
"""The same where it has no share yet, or all of it for good: there it is given the time to come back."""


def enter(state: State, phase: Phase, now: float, text: str) -> Step:
    """Begin `phase`."""
    state = state.with_rollout(phase=phase, since=now, sick_since=None, **({"ended_at": now} if phase in ENDS else {}))
    return Step(state, ((phase, text),))


def fail(state: State, now: float, error: str, held: bool = True) -> Step:
    """Turn back because of `error`, which is `held` against the candidate or not."""
    rollout = progress(state)
    first = error.splitlines()[0]
    state = state.with_rollout(error=error, aborted=None, shift_at=now, stage_at=None, analysis_at=None)
    if rollout.in_place:
        if rollout.previous is not None:
            replicas = rollout.previous.replicas
            state = state.with_slot(rollout.candidate, desired=rollout.previous, replicas=replicas)
        state = state.but(share=rollout.candidate.full_share)
        return enter(scale_down(state, rollout.candidate.other), Phase.FAILED, now, first)
    if held:
        state = hold(state, rollout, now, first)
    return enter(state, Phase.ROLLING_BACK, now, first)


def progress(state: State) -> Progress:
    """The rollout that is on its way.

    Raises:
        ValueError: there is none.
    """
    if state.rollout is None:
        raise ValueError(f"{state.name} has no rollout")
    return state.rollout


def patient_since(rollout: Progress, observed: Observed) -> float:
    """From when on patience counts: nobody could see what happened before."""
    return max(rollout.since, observed.watched_since)


def access(rollout: Progress) -> Admission:
    """Who of the candidate may answer at the present stage.

    Each replica that comes later, for one that died, has to answer the golden requests too until the candidate is through.
    Without a share nobody: not even where nobody else can.
    """
    return Admission.TESTED if present(rollout).weight else Admission.CLOSED


def is_rolling(state: State, rollout: Progress) -> bool:
    """Whether replicas move a share at a time: a first version has nothing to move from."""
    return isinstance(rollout.strategy, Rolling) and state.live is not None


def all_wanted(state: State, rollout: Progress) -> int:
    """How many replicas have to be healthy before they are tested: a batch where they roll, else all that are declared."""
    return state.slot(rollout.candidate).replicas if is_rolling(state, rollout) else rollout.target.replicas


def as_wanted(state: State, seen: ColourStatus) -> bool:
    """Whether Serve was asked for the candidate as it shall be."""
    slot = state.slot(progress(state).candidate)
    return slot.desired is not None and seen.identity == identity(slot.desired) and seen.replicas == slot.replicas


def or_fail(state: State, observed: Observed, now: float) -> Step:
    """`state`, or the turn back where the candidate is beyond hope."""
    rollout = progress(state)
    seen = observed.seen(rollout.candidate)
    wanted = all_wanted(state, rollout)
    label, limit = rollout.target.version.label, rollout.target.startup_timeout_seconds
    if seen.wrong:
        return fail(state, now, f"{label} answers its golden requests wrongly: {seen.wrong}")
    if seen.condition is Condition.FAILED and seen.identity == identity(rollout.target):
        return fail(state, now, f"{label} did not start. {seen.error}".strip())
    if now > patient_since(rollout, observed) + limit:
        text = f"{len(seen.healthy)} of {wanted} replicas of {label} were healthy after {limit:g} s (startupTimeoutSeconds)"
        # Where the cluster was away meanwhile, it may be the cluster that does not come back.
        held = observed.watched_since <= rollout.started_at
        return fail(state, now, f"{text}. {seen.error}".strip(), held)
    return Step(state)


def ill(state: State, observed: Observed, now: float) -> Step | None:
    """What follows where the candidate answers its golden requests wrongly, or no replica of it answers any more."""
    rollout = progress(state)
    new, old = observed.seen(rollout.candidate), observed.seen(rollout.candidate.other)
    if new.wrong:
        return or_fail(state, observed, now)
    unused = state.share == rollout.candidate.other.full_share
    if (new.right if unused else new.usable) or not old.usable:
        # Where nothing answers, it is the cluster or the traffic plane.
        return Step(state.with_rollout(sick_since=None)) if rollout.sick_since is not None else None
    label, at = rollout.target.version.label, share(present(rollout).weight)
    if new.condition is Condition.FAILED:
        return fail(state, now, f"{label} died with {at} of the traffic. {new.error}".strip())
    if rollout.sick_since is None:
        return Step(state.with_rollout(sick_since=now))
    limit = DEAD_SECONDS if present(rollout).weight else SICK_SECONDS
    if now - max(rollout.sick_since, observed.watched_since) < limit:
        return Step(state)
    text = f"no replica of {label} answered for {duration(limit)}, with {at} of the traffic on it"
    return fail(state, now, f"{text}. {new.error}".strip())
