"""A strategy as stages: one machine runs them all, one after the other.

A stage moves the traffic to its share, analyses, lasts its time, and waits for a person, in this order. Rolling moves by
replicas rather than by shares: its one stage stands for whichever batch has moved last.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from heliostat.rollout.model import SETTLED, SHARES, Progress, State
from heliostat.spec.analysis import Analysis
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Rolling, Shadow, Strategy

PATIENCE_SECONDS = 7 * 86400.0
"""How long a strategy without a say in it waits for a person."""


@dataclass(frozen=True)
class Stage:
    """One stage."""

    weight: int
    """The candidate's share of the traffic, in 1/100 %."""
    analysis: Analysis | None = None
    shadow_share: float | None = None
    """Share of the requests that the candidate gets copies of."""
    pause_seconds: float = 0.0
    approval: bool = False

    @property
    def is_gate(self) -> bool:
        """Whether it holds the traffic up."""
        return self.analysis is not None or self.pause_seconds > 0 or self.approval


WHOLE = (Stage(SHARES),)


def stages(strategy: Strategy) -> tuple[Stage, ...]:
    """What a strategy does where a version serves already."""
    match strategy:
        case BlueGreen(before=before, after=after):
            return (*((Stage(0, before),) if before else ()), Stage(SHARES, after))
        case Canary(steps=steps):
            given = tuple(_canary(strategy, step) for step in steps)
            return given if given[-1].weight == SHARES else (*given, *WHOLE)
        case Shadow(analysis=analysis, after=after):
            copied = strategy.sampling_percentage / 100
            return (Stage(0, analysis, copied, approval=strategy.approval), Stage(SHARES, after))
        case Rolling(analysis=analysis):
            return (Stage(SHARES, analysis),)
        case _:
            return WHOLE


def stages_of(rollout: Progress) -> tuple[Stage, ...]:
    """What a rollout does. A first version has nothing to be held against, and what served before was."""
    if rollout.direct or rollout.in_place or is_alone(rollout):
        return WHOLE
    return stages(rollout.strategy)


def is_alone(rollout: Progress) -> bool:
    """Whether nothing serves beside the candidate: it is the first version, or what served was stopped for it."""
    return rollout.previous is None or rollout.gap_since is not None


def present(rollout: Progress) -> Stage:
    """The stage that a rollout is at."""
    found = stages_of(rollout)
    return found[min(rollout.stage, len(found) - 1)]


def is_last(rollout: Progress) -> bool:
    """Whether it is at its last stage."""
    return rollout.stage >= len(stages_of(rollout)) - 1


def approval_timeout(strategy: Strategy) -> float:
    """How long a stage waits for a person, in seconds."""
    return strategy.approval_timeout_seconds if isinstance(strategy, Canary | Shadow) else PATIENCE_SECONDS


def retention(strategy: Strategy) -> float:
    """How long the old version stays up after the last stage, in seconds."""
    return strategy.retention_seconds if isinstance(strategy, BlueGreen | Canary | Shadow) else 0.0


def key(state: State, rollout: Progress) -> str:
    """Names what an analysis runner is asked: another rollout, stage, batch, attempt or analysis is another question."""
    analysis = present(rollout).analysis
    asked = sha256(analysis.model_dump_json().encode()).hexdigest()[:8] if analysis is not None else ""
    batch = state.slot(rollout.candidate).replicas if isinstance(rollout.strategy, Rolling) else 0
    return f"{rollout.number}.{rollout.stage}.{batch}.{rollout.analysis_at or 0:.3f}.{asked}"


def besides(strategy: Strategy) -> bool:
    """Whether the whole candidate stands beside what serves, so that one such strategy can follow on another half way."""
    return isinstance(strategy, BlueGreen | Canary | Shadow)


def begins_anew(rollout: Progress, strategy: Strategy) -> bool:
    """Whether its own version, declared by `strategy`, begins anew: what rolls or makes a gap cannot take over half way.

    Not where it has all traffic already, where it goes back to what served before, or where nothing served before it.
    """
    if rollout.phase in SETTLED or rollout.direct or rollout.previous is None or rollout.strategy.kind == strategy.kind:
        return False
    return not (besides(rollout.strategy) and besides(strategy))


def followed_on(rollout: Progress, strategy: Strategy, weight: int) -> Progress:
    """A rollout that has `weight` on its candidate and goes on by a changed strategy, where that has as much traffic.

    Where nothing would hold it up from there on, it goes back to the highest gate below that it did not pass.
    """
    if strategy == rollout.strategy:
        return rollout
    changed = rollout.model_copy(update={"strategy": strategy})
    before, found = present(rollout), stages_of(changed)
    last = len(found) - 1
    if rollout.phase in SETTLED:
        return changed.model_copy(update={"stage": last})
    stage = next((number for number, each in enumerate(found) if each.weight >= weight), last)
    if not any(each.is_gate for each in found[stage:]):
        passed = stages_of(rollout)[: rollout.stage]
        gates = [number for number, each in enumerate(found[:stage]) if each.is_gate and each not in passed]
        stage = max(gates, default=stage)
    changed = changed.model_copy(update={"stage": stage})
    if found[stage].weight == before.weight:
        return changed
    return changed.model_copy(update={"stage_at": None, "analysis_at": None, "judged": None, "approved": False})


def _canary(strategy: Canary, step: CanaryStep) -> Stage:
    weight = round(step.weight * 100)
    return Stage(weight, step.analysis or strategy.analysis, pause_seconds=step.pause_seconds, approval=step.approval)
