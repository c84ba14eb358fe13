"""The steps of a rollout in words, and which one it is at."""

from __future__ import annotations

from heliostat.rollout import limits
from heliostat.rollout.model import SHARES, Progress, State
from heliostat.rollout.rolling import batches
from heliostat.rollout.stages import Stage, is_alone, stages_of
from heliostat.spec.formatting import counted, duration, percent, share
from heliostat.spec.strategies import Rolling, Strategy


def steps_of(rollout: Progress) -> tuple[str, ...]:
    """Each step in words, e.g. `10 % of the traffic, analysed for 30 s`."""
    if rollout.in_place:
        return (f"{counted(rollout.target.replicas, 'replica')}, in place",)
    if _rolls(rollout):
        return rolling_words(rollout.strategy, rollout.target.replicas, _before(rollout), rollout.direct)
    return tuple(stage_words(stage) for stage in stages_of(rollout))


def step_of(state: State) -> int:
    """Which of its steps the rollout is at, from 0."""
    rollout = state.rollout
    if rollout is None:
        return 0
    if _rolls(rollout) and isinstance(rollout.strategy, Rolling):
        moved = state.slot(rollout.candidate).replicas
        sizes = batches(rollout.strategy, rollout.target.replicas, _before(rollout))
        return next((number for number, size in enumerate(sizes) if size >= moved), len(sizes) - 1)
    return min(rollout.stage, len(stages_of(rollout)) - 1)


def words_of(state: State) -> str:
    """The present step, short: `10 % of the traffic`."""
    rollout = state.rollout
    if rollout is None:
        return ""
    if _rolls(rollout):
        return f"{state.slot(rollout.candidate).replicas} of {rollout.target.replicas} replicas"
    return _weight(stages_of(rollout)[step_of(state)])


def stage_words(stage: Stage) -> str:
    """All of a stage."""
    parts = [_weight(stage)]
    if stage.analysis is not None:
        parts.append(f"analysed for {duration(stage.analysis.seconds)}")
    if stage.pause_seconds:
        parts.append(f"for {duration(stage.pause_seconds)} at least")
    if stage.approval:
        parts.append("until a person approves")
    return ", ".join(parts)


def rolling_words(strategy: Strategy, total: int, before: int, direct: bool = False) -> tuple[str, ...]:
    """The batches of a rolling update."""
    if not isinstance(strategy, Rolling):
        return ()
    analysed = ""
    if strategy.analysis is not None and not direct:
        analysed = f", analysed for {duration(strategy.analysis.seconds)}"
    return tuple(f"{size} of {counted(total, 'replica')}{analysed}" for size in batches(strategy, total, before))


def in_short(stages: tuple[Stage, ...]) -> str:
    """`shadow -> 10 % -> 50 % -> all`."""
    return " -> ".join(_short(stage) for stage in stages)


def checked(stages: tuple[Stage, ...]) -> tuple[str, ...]:
    """What is checked at each stage, a line each."""
    return tuple(
        f"{_weight(stage)}: {limits.length(stage.analysis)}: {limits.sentence(stage.analysis)}"
        for stage in stages
        if stage.analysis is not None
    )


def _short(stage: Stage) -> str:
    if stage.weight == SHARES:
        return "all"
    if stage.weight:
        return share(stage.weight)
    return "shadow" if stage.shadow_share is not None else "no traffic"


def _weight(stage: Stage) -> str:
    if stage.weight == SHARES:
        return "all of the traffic"
    if stage.weight:
        return f"{share(stage.weight)} of the traffic"
    if stage.shadow_share is not None:
        return f"copies of {percent(stage.shadow_share)} of the requests"
    return "replayed requests, no traffic"


def _rolls(rollout: Progress) -> bool:
    return isinstance(rollout.strategy, Rolling) and not rollout.in_place and not is_alone(rollout)


def _before(rollout: Progress) -> int:
    return rollout.previous.replicas if rollout.previous is not None else 0
