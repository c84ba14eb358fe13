"""A rollout for people: its steps, what it waits for, its analyses as they stand. Pure; nothing of it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.rollout.model import GATHERING, SHARES, Observed, Progress, State
from heliostat.rollout.phases import CLEARING_SECONDS
from heliostat.rollout.shares import share_of
from heliostat.rollout.shifting import gathers_since, judged, result
from heliostat.rollout.stages import approval_timeout, key, present, retention
from heliostat.rollout.steps import step_of, steps_of
from heliostat.spec.analysis import AnalysisResult, Verdict
from heliostat.spec.rollouts import Desired, Phase


@dataclass(frozen=True)
class Gathering:
    """An analysis that goes on."""

    key: str
    began_at: float
    """Unix time: what was counted before is not of it."""
    seconds: float
    """How long the longest window may be."""
    alone_since: float | None = None
    """Since when the candidate has all traffic, Unix time; None while what serves has some of it to be compared by."""


def steps(progress: Progress) -> tuple[str, ...]:
    """Its steps in words."""
    return steps_of(progress)


def step(state: State) -> int:
    """Which of its steps the rollout is at, from 0."""
    return step_of(state)


def gathering(state: State) -> Gathering | None:
    """Whose figures are wanted now; None where nothing is analysed."""
    rollout = state.rollout
    if rollout is None or rollout.phase not in GATHERING or rollout.stage_at is None:
        return None
    analysis = present(rollout).analysis
    if analysis is None:
        return None
    alone = state.share == rollout.candidate.full_share
    return Gathering(key(state, rollout), gathers_since(rollout), analysis.seconds, rollout.stage_at if alone else None)


def analyses(state: State, observed: Observed, now: float) -> tuple[AnalysisResult, ...]:
    """Those that ended, and last the one whose figures are still gathered, as they are now."""
    rollout, going = state.rollout, gathering(state)
    if rollout is None:
        return ()
    analysis = present(rollout).analysis
    if going is None or analysis is None:
        return rollout.analyses
    live = result(rollout, judged(rollout, analysis, observed, max(now, going.began_at)), state, None)
    ended = next((each for each in rollout.analyses if each.step == live.step), None)
    if ended is not None and rollout.phase is not Phase.ANALYSING:
        # Its verdict stands; its figures go on, those of them that are enough to say something.
        pairs = zip(live.findings, ended.findings, strict=False)
        findings = tuple(old if new.verdict is Verdict.INCONCLUSIVE else new for new, old in pairs)
        live = live.model_copy(update={"verdict": ended.verdict, "ended_at": ended.ended_at, "findings": findings})
    return (*(each for each in rollout.analyses if each is not ended), live)


def until(state: State) -> float | None:
    """When the present pause, analysis, window or patience ends, Unix time; None where nothing is timed."""
    rollout = state.rollout
    if rollout is None or rollout.ended:
        return None
    stage, began = present(rollout), rollout.stage_at if rollout.stage_at is not None else rollout.since
    patience = rollout.target.startup_timeout_seconds
    match rollout.phase:
        case Phase.PENDING:
            return rollout.since + patience + CLEARING_SECONDS
        case Phase.STARTING if rollout.awaits and rollout.nodes_until is not None:
            return rollout.nodes_until
        case Phase.STARTING | Phase.TESTING | Phase.SHIFTING:
            return rollout.since + patience
        case Phase.ANALYSING:
            return gathers_since(rollout) + stage.analysis.seconds if stage.analysis is not None else None
        case Phase.PAUSED:
            return began + stage.pause_seconds
        case Phase.WAITING:
            return rollout.since + approval_timeout(rollout.strategy)
        case Phase.RETAINING:
            return rollout.since + retention(rollout.strategy)
        case Phase.ROLLING_BACK:
            return rollout.since + (rollout.previous or rollout.target).startup_timeout_seconds
    return None


def candidate_weight(state: State) -> float:
    """The candidate's share of the traffic, 0 to 1."""
    rollout = state.rollout
    if rollout is None:
        return 0.0
    # Where it is the only one, or none, of the colours, the share says nothing yet: it stands where the last rollout left it.
    known = rollout.previous is not None or rollout.in_place or "shift_milliseconds" in rollout.figures
    return share_of(rollout.candidate, state.share) / SHARES if known else 0.0


def serving(state: State) -> Desired | None:
    """What most of the requests get; None where nothing serves."""
    rollout = state.rollout
    if rollout is not None and rollout.stage_at is not None and candidate_weight(state) > 0.5:
        return state.slot(rollout.candidate).desired
    return state.slot(state.live).desired if state.live is not None else None
