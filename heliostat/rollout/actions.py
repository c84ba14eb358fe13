"""The difference between what shall be and what is, as actions; and which replicas HAProxy may use."""

from __future__ import annotations

from heliostat.rollout.model import (
    Access,
    Action,
    Colour,
    Condition,
    DeployColour,
    Observed,
    RetireColour,
    Seen,
    SetShare,
    Slot,
    State,
    TestGolden,
    identity,
)
from heliostat.spec.rollouts import Phase


def actions(state: State, observed: Observed) -> tuple[Action, ...]:
    """What to do now. Traffic first, then what takes capacity away, then what needs it."""
    wanted: list[Action] = []
    if observed.share != state.share:
        wanted.append(SetShare(state.share))
    pairs = [(colour, state.slot(colour), observed.seen(colour)) for colour in Colour]
    wanted += [RetireColour(colour) for colour, slot, seen in pairs if _retires(slot, seen)]
    wanted += [deploy for colour, slot, seen in pairs if (deploy := _deploys(colour, slot, seen))]
    return (*wanted, *_golden(state, observed))


def admitted(slot: Slot, seen: Seen) -> frozenset[str]:
    """The replicas of a colour that may take requests once they are healthy.

    One that was let in and is ill for a while keeps its right, so that HAProxy takes it back by itself.
    """
    if slot.desired is None or slot.access is Access.CLOSED or not _is_that(slot, seen):
        return frozenset()
    return seen.passed if slot.access is Access.TESTED else seen.running


def _is_that(slot: Slot, seen: Seen) -> bool:
    return slot.desired is not None and seen.identity == identity(slot.desired)


def _retires(slot: Slot, seen: Seen) -> bool:
    """What is to go, goes once HAProxy gives it nothing and it has answered what it had."""
    if seen.condition in (Condition.ABSENT, Condition.STOPPING) or _is_that(slot, seen):
        return False
    return not seen.usable and seen.in_flight == 0


def _deploys(colour: Colour, slot: Slot, seen: Seen) -> DeployColour | None:
    if slot.desired is None or seen.condition is Condition.STOPPING:
        return None
    absent = seen.condition is Condition.ABSENT
    as_asked = seen.replicas == slot.replicas and seen.max_ongoing_requests == slot.desired.max_ongoing_requests
    if absent or (_is_that(slot, seen) and not as_asked):
        return DeployColour(colour, slot.desired, slot.replicas)
    return None


def _golden(state: State, observed: Observed) -> tuple[Action, ...]:
    rollout = state.rollout
    if rollout is None or rollout.in_place or rollout.phase not in (Phase.TESTING, Phase.SHIFTING):
        return ()
    seen = observed.seen(rollout.candidate)
    if not _is_that(state.slot(rollout.candidate), seen):
        return ()
    return tuple(TestGolden(rollout.candidate, name) for name in sorted(seen.untested))
