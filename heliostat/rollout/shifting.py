"""The stages: traffic to the candidate, its analysis, pauses, people; and the batches of a rolling update."""

from __future__ import annotations

from heliostat.rollout import limits, rolling
from heliostat.rollout.analysis import Judgement, grace, judge
from heliostat.rollout.model import SHARES, Admission, Condition, Observed, Progress, State, Step
from heliostat.rollout.shares import share_of
from heliostat.rollout.stages import Stage, approval_timeout, is_last, present
from heliostat.rollout.steps import step_of, words_of
from heliostat.rollout.turns import access, enter, fail, ill, is_rolling, or_fail, progress
from heliostat.spec.analysis import Analysis, AnalysisResult, OnInconclusive, Verdict
from heliostat.spec.formatting import duration, share
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Rolling


def shifting(state: State, observed: Observed, now: float) -> Step:
    """Move the traffic to the present stage's share."""
    rollout = progress(state)
    if is_rolling(state, rollout):
        return _rolling(state, rollout, observed, now)
    if observed.seen(rollout.candidate).condition is Condition.ABSENT:
        return _again(state, rollout, now)
    weight, seen = present(rollout).weight, observed.seen(rollout.candidate)
    wanted = share_of(rollout.candidate, weight)
    if share_of(rollout.candidate, state.share) > weight:
        # A gate below was declared: what serves has all its replicas, and takes its part back at once, where it answers.
        if not observed.seen(rollout.candidate.other).usable:
            return or_fail(state, observed, now)
        state = state.but(share=wanted).with_rollout(shift_at=now)
    if weight or observed.share == wanted:
        # It answers until nothing comes any more.
        state = state.with_slot(rollout.candidate, access=access(rollout))
    # The stages before have given it traffic already.
    step = ill(state, observed, now) if rollout.stage else None
    if step is not None:
        return step
    if len(seen.usable if weight else seen.right) < state.slot(rollout.candidate).replicas:
        return or_fail(state, observed, now)
    if state.share != wanted or rollout.shift_at is None:
        state = state.but(share=wanted).with_rollout(shift_at=now)
    return _shifted(state, observed, now) if observed.share == wanted else or_fail(state, observed, now)


def analysing(state: State, observed: Observed, now: float) -> Step:
    """Wait for the verdict of the present stage's analysis."""
    state, step = _still_there(state, observed, now)
    rollout = progress(state)
    analysis = present(rollout).analysis
    if step is not None or analysis is None:
        return step or onward(state, observed, now, "nothing is analysed any more")
    judgement = judged(rollout, analysis, observed, now)
    if judgement.verdict is None:
        return Step(state)
    state = _kept(state, judgement, now)
    inconclusive = judgement.verdict is Verdict.INCONCLUSIVE
    if judgement.verdict is Verdict.FAIL or (inconclusive and analysis.on_inconclusive is OnInconclusive.ROLLBACK):
        return _failed(state, judgement, observed, now)
    state = state.with_rollout(judged=judgement.verdict)
    return onward(state, observed, now, f"{words_of(state)}: {_told(judgement)}")


def paused(state: State, observed: Observed, now: float) -> Step:
    """Wait until the present stage has lasted its time; what chance does not explain fails it."""
    state, step = _stays(state, observed, now)
    if step is not None:
        return step
    rollout = progress(state)
    stage = present(rollout)
    lasts = _began(rollout) + stage.pause_seconds > now
    again = stage.analysis is not None and rollout.judged is None
    return Step(state) if lasts and not again else onward(state, observed, now, f"{words_of(state)}: its time is over")


def waiting(state: State, observed: Observed, now: float) -> Step:
    """Wait for a person."""
    state, step = _stays(state, observed, now)
    if step is not None:
        return step
    rollout = progress(state)
    stage = present(rollout)
    asked = stage.approval or rollout.judged is Verdict.INCONCLUSIVE
    if rollout.approved or not asked or (stage.analysis is not None and rollout.judged is None):
        return onward(state, observed, now, f"{words_of(state)}: goes on")
    patience = approval_timeout(rollout.strategy)
    if now - rollout.since >= patience:
        return fail(state, now, f"nobody approved {rollout.target.version.label} within {duration(patience)}")
    return Step(state)


def judged(rollout: Progress, analysis: Analysis, observed: Observed, now: float) -> Judgement:
    """What the present stage's analysis stands at."""
    began = gathers_since(rollout)
    # What was not looked at could not come: the cluster, or this program, was away.
    late = now >= max(began + analysis.seconds, observed.watched_since) + grace(analysis)
    return judge(analysis, observed.evidence, rollout.candidate, now - began, late)


def result(rollout: Progress, judgement: Judgement, state: State, ended_at: float | None) -> AnalysisResult:
    """An analysis of the present stage, for people."""
    verdict = judgement.verdict if ended_at is not None else None
    return AnalysisResult(
        step=step_of(state), verdict=verdict, findings=judgement.findings, began_at=gathers_since(rollout), ended_at=ended_at
    )


def onward(state: State, observed: Observed, now: float, text: str) -> Step:
    """What is next, once the present stage has its share: analysis, pause, person, next stage, in this order."""
    rollout = progress(state)
    stage = present(rollout)
    if stage.analysis is not None and rollout.judged is None:
        return analyse(state, now, text)
    left = _began(rollout) + stage.pause_seconds - now
    if left > 0:
        return enter(state, Phase.PAUSED, now, f"{text}; it lasts another {duration(left)}")
    if (stage.approval or rollout.judged is Verdict.INCONCLUSIVE) and not rollout.approved:
        wait = f"waits for a person, at most {duration(approval_timeout(rollout.strategy))}"
        return enter(state, Phase.WAITING, now, f"{text}; {wait}: heliostat rollout approve|abort {state.name}")
    state = _ended(state, now).with_rollout(stage_at=None, analysis_at=None, judged=None, approved=False)
    if is_rolling(state, rollout):
        state = state.with_rollout(cleared=state.slot(rollout.candidate).replicas)
        return enter(state, Phase.SHIFTING, now, text)
    if not is_last(rollout):
        return enter(state.with_rollout(stage=rollout.stage + 1), Phase.SHIFTING, now, text)
    return promoted(state, observed, now, text)


def analyse(state: State, now: float, text: str) -> Step:
    """Begin the present stage's analysis."""
    analysis = present(progress(state)).analysis
    checks = f"; {duration(analysis.seconds)} of analysis: {limits.sentence(analysis)}" if analysis is not None else ""
    return enter(state.with_rollout(analysis_at=now, judged=None), Phase.ANALYSING, now, f"{text}{checks}")


def promoted(state: State, observed: Observed, now: float, text: str) -> Step:
    """The candidate has all traffic, for good."""
    rollout = progress(state)
    text = f"{text}; {rollout.target.version.label} is through"
    state = state.but(live=rollout.candidate).with_slot(rollout.candidate, access=Admission.OPEN)
    if not isinstance(rollout.strategy, Rolling):
        state = state.but(share=rollout.candidate.full_share)
    if state.slot(rollout.candidate.other).desired is not None:
        return enter(state, Phase.RETAINING, now, text)
    absent = observed.seen(rollout.candidate.other).condition is Condition.ABSENT
    return enter(state, Phase.SUCCEEDED if absent else Phase.RETIRING, now, text)


def _shifted(state: State, observed: Observed, now: float) -> Step:
    rollout = progress(state)
    stage, label = present(rollout), rollout.target.version.label
    text = f"{share(stage.weight)} of the traffic is on {label}" if stage.weight else f"{label} is ready, without traffic"
    if stage.weight == SHARES:
        text = f"all traffic is on {label}"
    state = _measured(state, stage.weight, observed, now)
    if rollout.gap_since is not None:
        gap = round(now - rollout.gap_since, 3)
        state = state.with_rollout(figures={**progress(state).figures, "gap_seconds": gap})
        text += f", after {gap:.1f} s without service"
    step = onward(state.with_rollout(stage_at=now, shift_at=None), observed, now, text)
    return Step(step.state, step.events, moved=True)


def _measured(state: State, weight: int, observed: Observed, now: float) -> State:
    """Note how long the share took from the decision to the traffic plane."""
    rollout = progress(state)
    step: dict[str, object] = {"weight": weight / SHARES, "at": round(now, 3)}
    figures = dict(rollout.figures)
    if weight:
        known = observed.shift_milliseconds
        took = known if known is not None else (now - (rollout.shift_at if rollout.shift_at is not None else now)) * 1000
        figures["shift_milliseconds"] = step["shift_milliseconds"] = round(took, 1)
    return state.with_rollout(figures={**figures, "steps": [*figures.get("steps", []), step]})


def _ended(state: State, now: float) -> State:
    """Note how long a stage lasted."""
    rollout = progress(state)
    steps = [dict(step) for step in rollout.figures.get("steps", [])]
    if steps:
        steps[-1]["seconds"] = round(now - _began(rollout), 3)
    return state.with_rollout(figures={**rollout.figures, "steps": steps})


def _rolling(state: State, rollout: Progress, observed: Observed, now: float) -> Step:
    way, slot = rolling.move_of(rollout), state.slot(rollout.candidate)
    if observed.seen(rollout.candidate).condition is Condition.ABSENT and not rollout.excused:
        state = state.with_rollout(excused=True)
    if observed.seen(rollout.candidate).wrong:
        return or_fail(state, observed, now)
    if present(rollout).analysis is not None and rollout.cleared < slot.replicas:
        state = state.but(share=rolling.follow(way, observed))
        if rolling.arrived(state, way, observed):
            state = _measured(state, _on_candidate(state), observed, now).with_rollout(stage_at=now, shift_at=None)
            step = onward(state, observed, now, f"{slot.replicas} of {way.total} replicas moved")
            return Step(step.state, step.events, moved=True)
        return or_fail(state, observed, now)
    state = rolling.advance(state, way, observed)
    after = state.slot(rollout.candidate).replicas
    if rolling.complete(state, way, observed):
        text = f"all traffic is on {rollout.target.version.label}"
        step = promoted(_measured(state, SHARES, observed, now), observed, now, text)
        return Step(step.state, step.events, moved=True)
    if after == slot.replicas:
        return or_fail(state, observed, now)
    text = f"{slot.replicas} of {way.total} replicas moved; {after - slot.replicas} more start"
    return Step(state.with_rollout(since=now), ((Phase.SHIFTING, text),), moved=True)


def _on_candidate(state: State) -> int:
    return share_of(progress(state).candidate, state.share)


def _still_there(state: State, observed: Observed, now: float) -> tuple[State, Step | None]:
    """What follows where the candidate is not well any more; None where it is."""
    rollout = progress(state)
    absent = observed.seen(rollout.candidate).condition is Condition.ABSENT
    if is_rolling(state, rollout):
        state = state.but(share=rolling.follow(rolling.move_of(rollout), observed))
        state = state.with_rollout(excused=True) if absent and not rollout.excused else state
    elif absent:
        return state, _again(state, rollout, now)
    return state, ill(state, observed, now)


def _stays(state: State, observed: Observed, now: float) -> tuple[State, Step | None]:
    """What follows where the candidate, or what was found of it before, is not well any more; None where both are."""
    state, step = _still_there(state, observed, now)
    return state, step or _fails(state, present(progress(state)), observed, now)


def _again(state: State, rollout: Progress, now: float) -> Step:
    """The cluster lost the candidate: it starts once more, and the traffic waits for it at home."""
    if state.live is not None:
        state = state.but(share=state.live.full_share)
    state = state.with_slot(rollout.candidate, access=Admission.CLOSED)
    state = state.with_rollout(
        stage=0, stage_at=None, analysis_at=None, shift_at=None, judged=None, approved=False, cold_since=None
    )
    return enter(state, Phase.STARTING, now, f"the cluster has lost {rollout.target.version.label}: it starts again")


def _fails(state: State, stage: Stage, observed: Observed, now: float) -> Step | None:
    """The turn back where figures go bad after the verdict: what is looked at for hours must be beyond chance."""
    rollout = progress(state)
    if stage.analysis is None or rollout.judged is None:
        return None
    judgement = judged(rollout, stage.analysis, observed, now)
    if not judgement.beyond_chance:
        return None
    return _failed(_kept(state, judgement, now), judgement, observed, now)


def _kept(state: State, judgement: Judgement, now: float) -> State:
    rollout = progress(state)
    ended = result(rollout, judgement, state, now)
    earlier = tuple(each for each in rollout.analyses if each.step != ended.step)
    return state.with_rollout(analyses=(*earlier, ended))


def _failed(state: State, judgement: Judgement, observed: Observed, now: float) -> Step:
    rollout = progress(state)
    text = f"the analysis of {rollout.target.version.label} with {words_of(state)} {_told(judgement)}"
    traceback = observed.seen(rollout.candidate).error
    # Without a single figure it was the analysis runner or the cluster that failed.
    held = any(finding.requests or finding.candidate is not None for finding in judgement.findings)
    held = held or judgement.verdict is Verdict.FAIL
    return fail(_ended(state, now), now, f"{text}\n{traceback}".strip(), held)


def _told(judgement: Judgement) -> str:
    words = {Verdict.PASS: "passed", Verdict.FAIL: "failed", Verdict.INCONCLUSIVE: "came to no verdict", None: "goes on"}
    worst = [finding for finding in judgement.findings if finding.verdict is judgement.verdict] or list(judgement.findings)
    return f"{words[judgement.verdict]}: " + "; ".join(limits.told(finding) for finding in worst)


def gathers_since(rollout: Progress) -> float:
    """From when on what is counted is of the present analysis."""
    return rollout.analysis_at if rollout.analysis_at is not None else _began(rollout)


def _began(rollout: Progress) -> float:
    return rollout.stage_at if rollout.stage_at is not None else rollout.since


__all__ = ["analyse", "analysing", "gathers_since", "judged", "onward", "paused", "promoted", "result", "shifting", "waiting"]
