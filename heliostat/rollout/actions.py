"""The difference between what shall be and what is, as actions; and which replicas HAProxy may use."""

from __future__ import annotations

from heliostat.rollout.analysis import enough_traffic, needs_analysis_runner
from heliostat.rollout.model import (
    GATHERING,
    Action,
    Admission,
    Analyse,
    Colour,
    ColourSpec,
    ColourStatus,
    Condition,
    DeployColour,
    Observed,
    RetireColour,
    SetShare,
    State,
    TestGolden,
    identity,
)
from heliostat.rollout.shifting import gathers_since
from heliostat.rollout.stages import key, present
from heliostat.spec.rollouts import Phase

DRAIN_SECONDS = 300.0
"""How long what is to go may go on answering: a client that never ends its request must not keep a rollout from its end."""
_TESTED = frozenset({Phase.TESTING, Phase.SHIFTING}) | GATHERING


def actions(state: State, observed: Observed, now: float) -> tuple[Action, ...]:
    """What to do now. Traffic first, then what takes capacity away, then what needs it."""
    wanted: list[Action] = []
    if observed.share != state.share:
        wanted.append(SetShare(state.share))
    pairs = [(colour, state.slot(colour), observed.seen(colour)) for colour in Colour]
    wanted += [RetireColour(colour) for colour, slot, seen in pairs if _retires(slot, seen, now)]
    wanted += [deploy for colour, slot, seen in pairs if (deploy := _deploys(colour, slot, seen))]
    return (*wanted, *_golden(state, observed), *_analyses(state, observed, now))


def closed(state: State, observed: Observed, now: float) -> State:
    """`state` that knows since when what is to go takes no new request."""
    for colour in Colour:
        slot, seen = state.slot(colour), observed.seen(colour)
        goes = seen.condition is not Condition.ABSENT and not _is_that(slot, seen)
        if goes is not (slot.closed_at is not None):
            state = state.with_slot(colour, closed_at=now if goes else None)
    return state


def admitted(slot: ColourSpec, seen: ColourStatus) -> frozenset[str]:
    """The replicas of a colour that may take requests once they are healthy.

    One that was let in and is ill for a while keeps its right, so that HAProxy takes it back by itself.
    """
    if slot.desired is None or slot.access is Admission.CLOSED or not _is_that(slot, seen):
        return frozenset()
    return seen.passed if slot.access is Admission.TESTED else seen.running


def _is_that(slot: ColourSpec, seen: ColourStatus) -> bool:
    return slot.desired is not None and seen.identity == identity(slot.desired)


def _retires(slot: ColourSpec, seen: ColourStatus, now: float) -> bool:
    """What is to go, goes once HAProxy gives it nothing and it has answered what it had, or has had the time to."""
    if seen.condition in (Condition.ABSENT, Condition.STOPPING) or _is_that(slot, seen):
        return False
    drained = slot.closed_at is not None and now - slot.closed_at >= DRAIN_SECONDS
    return not seen.usable and (drained or seen.in_flight == 0)


def _deploys(colour: Colour, slot: ColourSpec, seen: ColourStatus) -> DeployColour | None:
    if slot.desired is None or seen.condition is Condition.STOPPING:
        return None
    absent = seen.condition is Condition.ABSENT
    as_asked = seen.replicas == slot.replicas and seen.max_ongoing_requests == slot.desired.max_ongoing_requests
    if absent or (_is_that(slot, seen) and not as_asked):
        return DeployColour(colour, slot.desired, slot.replicas)
    return None


def _golden(state: State, observed: Observed) -> tuple[Action, ...]:
    rollout = state.rollout
    if rollout is None or rollout.in_place or rollout.phase not in _TESTED:
        return ()
    seen = observed.seen(rollout.candidate)
    if not _is_that(state.slot(rollout.candidate), seen):
        return ()
    return tuple(TestGolden(rollout.candidate, name) for name in sorted(seen.untested))


def _analyses(state: State, observed: Observed, now: float) -> tuple[Action, ...]:
    """An analysis runner, where there is something that counters cannot answer, or too little for them to count."""
    rollout = state.rollout
    if rollout is None or rollout.phase not in GATHERING or rollout.stage_at is None:
        return ()
    stage = present(rollout)
    if stage.analysis is None:
        return ()
    if rollout.phase is Phase.ANALYSING:
        half = now - gathers_since(rollout) >= stage.analysis.seconds / 2
        few = half and not enough_traffic(stage.analysis, observed.evidence, rollout.candidate)
        wanted = stage.weight == 0 or needs_analysis_runner(stage.analysis) or few
    else:
        # A verdict is there already. Copies go on as long as there are clients; replays would only be said again.
        wanted = stage.shadow_share is not None
    asked = Analyse(key(state, rollout), rollout.candidate, stage.analysis, stage.shadow_share)
    return (asked,) if wanted else ()
