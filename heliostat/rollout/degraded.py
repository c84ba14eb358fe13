"""What is decided while Serve is away: that traffic goes home, to what answers there, and nothing else. Pure.

HAProxy alone says what clients get and who answers its probes, so a candidate that fails need not keep its share until
somebody is there who can put it away.
"""

from __future__ import annotations

from dataclasses import replace

from heliostat.rollout.decide import decide, records
from heliostat.rollout.ending import arrived
from heliostat.rollout.model import (
    GATHERING,
    Colour,
    ColourStatus,
    Condition,
    Decision,
    Observed,
    Progress,
    SetShare,
    State,
    Step,
    identity,
)
from heliostat.rollout.refusals import withdrawn
from heliostat.rollout.shifting import judged
from heliostat.rollout.stages import besides, present
from heliostat.spec.analysis import Verdict
from heliostat.spec.rollouts import Phase

_SHIFTED = frozenset({Phase.SHIFTING, Phase.RETAINING}) | GATHERING
"""The candidate has a share, or is about to."""


def fail_back_to_stable(state: State, observed: Observed, now: float) -> Decision:
    """The way home of an application's traffic, where it is to go there and is awaited; otherwise all stays as it is.

    `observed` is what was seen of Serve last, with what HAProxy says now. What is to be done in Serve waits until it answers.
    """
    return _fail_back_to_stable(state, observed, now) or Decision(state, (), ())


def _fail_back_to_stable(state: State, observed: Observed, now: float) -> Decision | None:
    rollout, seen = state.rollout, as_known(state, observed)
    if rollout is None or state.deleting or rollout.in_place or not besides(rollout.strategy):
        return None
    if state.pending and state.returning and rollout.phase in (Phase.RETAINING, Phase.SUCCEEDED):
        return _returned(state, seen, now)
    if rollout.ended:
        return None
    home = rollout.previous_colour
    if rollout.phase in _SHIFTED and _gives_up(rollout, observed, now):
        if rollout.aborted is None and _fails_alike(rollout, observed):
            state = state.with_rollout(excused=True)
        # What was declared meanwhile comes after it, unless it is what is turned back here.
        found = decide(state.but(pending=False, returning=False), seen, now)
        after = withdrawn(found.state.but(pending=state.pending, returning=state.returning))
        back = after.rollout is not None and after.rollout.phase is Phase.ROLLING_BACK
        return _only_traffic(replace(found, state=after), seen, home, now) if back else None
    # Decided before; the traffic plane has it not yet, or not any more, or could not bear it then.
    if rollout.phase is Phase.ROLLING_BACK and home is not None:
        return _only_traffic(Decision(state.but(share=home.full_share), (), ()), seen, home, now)
    return _only_traffic(Decision(state, (), ()), seen, rollout.candidate, now) if rollout.direct else None


def as_known(state: State, observed: Observed) -> Observed:
    """`observed` with what shall be taken for what is, and HAProxy's probes for Serve's word on it.

    Serve's silence is no news of a colour, least of all that it is gone.
    """

    def see(colour: Colour) -> ColourStatus:
        slot, seen = state.slot(colour), observed.seen(colour)
        if slot.desired is None:
            return seen
        return replace(
            seen,
            condition=Condition.RUNNING,
            identity=identity(slot.desired),
            replicas=slot.replicas,
            max_ongoing_requests=slot.desired.max_ongoing_requests,
            running=seen.running | seen.usable,
            healthy=seen.usable,
        )

    return replace(observed, blue=see(Colour.BLUE), green=see(Colour.GREEN))


def _gives_up(rollout: Progress, observed: Observed, now: float) -> bool:
    """Whether a person, or what clients met, says that the candidate shall not keep its share."""
    if rollout.aborted is not None:
        return True
    analysis = present(rollout).analysis
    if analysis is None or rollout.phase not in GATHERING or rollout.stage_at is None:
        return False
    judgement = judged(rollout, analysis, observed, now)
    ended = rollout.phase is Phase.ANALYSING and judgement.verdict is Verdict.FAIL
    return judgement.beyond_chance or ended


def _returned(state: State, seen: Observed, now: float) -> Decision | None:
    """A rollback within the window: what served before is all there, and waits."""
    found = decide(state, seen, now)
    rollout = found.state.rollout
    if rollout is None:
        return None
    if found.state.pending and rollout.phase is Phase.SUCCEEDED and found.events:
        # The one before ends first.
        return replace(found, actions=()) if _returned(found.state, seen, now) is not None else None
    enough = len(seen.seen(rollout.candidate).usable) >= rollout.target.replicas
    if not enough or not rollout.direct or rollout.phase is not Phase.SHIFTING or not besides(rollout.strategy):
        return None
    return _only_traffic(found, seen, rollout.candidate, now)


def _only_traffic(found: Decision, seen: Observed, home: Colour | None, now: float) -> Decision | None:
    """`found` without what needs Serve, where it gives all traffic to `home`, and somebody answers there; None otherwise.

    Once it is there, that is put on record as of now: nobody knows when Serve answers again.
    """
    if home is None or found.state.share != home.full_share or not seen.seen(home).usable:
        return None
    if seen.share != home.full_share:
        return replace(found, actions=(SetShare(home.full_share),))
    back = found.state.rollout is not None and found.state.rollout.phase is Phase.ROLLING_BACK
    state, told = records(Step(arrived(found.state, seen, now) if back else found.state, moved=True), seen)
    return replace(found, state=state, actions=(), records=(*found.records, *told))


def _fails_alike(rollout: Progress, observed: Observed) -> bool:
    """Whether what serves fails hardly less than the candidate does: then the cluster that is away may be what fails."""
    for window in reversed(observed.evidence.windows):
        new, old = window.counts(rollout.candidate), window.counts(rollout.candidate.other)
        if new.failed:
            return old.failed * new.requests * 2 >= new.failed * old.requests > 0
    return False
