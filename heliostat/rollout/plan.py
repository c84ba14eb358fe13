"""What a declaration would do, in words, before it is done."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.rollout.capacity import Held, Node, awaits
from heliostat.rollout.model import SETTLED, ColourSpec, State, identity
from heliostat.rollout.refusals import refusal
from heliostat.rollout.shares import least_healthy
from heliostat.rollout.shortage import awaited_by, shortage_of, workers_on_top
from heliostat.rollout.stages import WHOLE, Stage, approval_timeout, begins_anew, retention, stages
from heliostat.rollout.steps import checked, in_short, rolling_words, stage_words
from heliostat.spec.analysis import Analysis, OnInconclusive
from heliostat.spec.controller import DRAIN_SECONDS
from heliostat.spec.formatting import counted, duration
from heliostat.spec.rollouts import Desired, Phase, Plan
from heliostat.spec.strategies import Canary, Recreate, Rolling, Strategy
from heliostat.spec.task_queue import TaskWorkers

Measured = tuple[float, int] | None
"""Seconds, and from how many measurements."""


@dataclass(frozen=True)
class _Case:
    """What the lines are made from."""

    live: Desired
    desired: Desired
    startup: Measured
    gap: Measured
    kept: bool
    """It served before, and its replicas are still there."""

    @property
    def label(self) -> str:
        return self.desired.version.label

    @property
    def old(self) -> str:
        return self.live.version.label


def plan(
    state: State,
    desired: Desired,
    startup: Measured,
    gap: Measured,
    nodes: tuple[Node, ...] | None = None,
    held: tuple[Held, ...] = (),
) -> Plan:
    """What declaring `desired` now would do.

    `startup` and `gap` are what earlier rollouts took, in seconds. `nodes` says where there is room, None where that is not
    known; `held` where the application's replicas are.
    """
    found = _plan(state, desired, startup, gap)
    extra, workers = found.extra_replicas, workers_on_top(state, desired) if found.changes else 0
    queue = desired.version.queue
    short, lines = None, (*found.lines, *(_workers(queue.workers) if queue is not None and workers else ()))
    if nodes is not None and found.changes:
        short = shortage_of(state, desired, extra, nodes, held)
        groups = awaited_by(state, desired, extra, nodes, held) if short is None else ()
        lines += (awaits(groups),) if groups else ()
    return found.model_copy(
        update={
            "lines": lines,
            "extra_workers": workers,
            "extra_cpus": extra * desired.cpus_per_replica + (workers * queue.workers.cpus_per_replica if queue else 0.0),
            "extra_gpus": extra * desired.gpus_per_replica + (workers * queue.workers.gpus_per_replica if queue else 0.0),
            "shortage": short,
            "refused": refusal(state, desired) if found.changes else None,
        }
    )


def _plan(state: State, desired: Desired, startup: Measured, gap: Measured) -> Plan:
    live = state.slot(state.live) if state.live is not None else ColourSpec()
    unfinished = _unfinished(state, desired)
    if live.desired is None:
        found = _first(desired, startup)
    elif identity(live.desired) == identity(desired):
        found = _in_place(live.desired, desired)
    else:
        found = _by_strategy(_Case(live.desired, desired, startup, gap, kept=_kept(state, desired)))
    ends = bool(unfinished) and state.rollout is not None and state.rollout.target != desired
    return found.model_copy(update={"lines": (*unfinished, *found.lines), "changes": found.changes or ends})


def _first(desired: Desired, startup: Measured) -> Plan:
    replicas = _replicas(desired.replicas)
    line = (
        f"starts {replicas} of {desired.version.label}{_takes(startup)}; nothing serves now; "
        f"needs {replicas} on top{_for(desired, desired.replicas)}"
    )
    return Plan(changes=True, lines=(line, _tested()), extra_replicas=desired.replicas)


def _by_strategy(case: _Case) -> Plan:
    way = case.desired.strategy
    if isinstance(way, Recreate):
        found = _recreate(case)
    else:
        found = _rolling(case, way) if isinstance(way, Rolling) else _besides(case, way)
    before, after = case.live.cluster, case.desired.cluster
    moves = (f"moves from the cluster {before} to {after}",) if before != after else ()
    return found.model_copy(update={"lines": (*moves, *found.lines)})


def _in_place(live: Desired, desired: Desired) -> Plan:
    lines, extra = [], max(0, desired.replicas - live.replicas)
    if live.replicas != desired.replicas:
        lines.append(f"replicas: {live.replicas} -> {desired.replicas}; no replica restarts")
    if extra:
        lines.append(f"needs {_replicas(extra)} on top{_for(desired, extra)}")
    if live.max_ongoing_requests != desired.max_ongoing_requests:
        lines.append(f"requests at a time: {live.max_ongoing_requests} -> {desired.max_ongoing_requests}; no replica restarts")
    return Plan(changes=bool(lines), lines=tuple(lines), extra_replicas=extra)


def _recreate(case: _Case) -> Plan:
    live, desired, startup = case.live, case.desired, case.startup
    # The old replicas are given their time to stop before the new ones start.
    expected = case.gap or (startup and (startup[0] + DRAIN_SECONDS, startup[1]))
    if expected is None:
        length = f"of unknown length (nothing was measured yet; at most {desired.startup_timeout_seconds:g} s to start)"
    else:
        length = f"of about {expected[0]:.0f} s (measured in {expected[1]} earlier start{'s' if expected[1] > 1 else ''})"
    lines = (
        f"stops {_replicas(live.replicas)} of {case.old}, then starts {_replicas(desired.replicas)} of "
        f"{case.label}: a gap without service {length}; no replicas on top",
        f"should {case.label} fail, {case.old} is deployed again, after another start's time",
        _tested(),
    )
    return Plan(changes=True, lines=lines, gap_seconds=expected[0] if expected else desired.startup_timeout_seconds)


def _rolling(case: _Case, way: Rolling) -> Plan:
    live, desired = case.live, case.desired
    batch = -(-way.percentage * desired.replicas // 100)
    floor = least_healthy(way, desired.replicas)
    extra = min(max(0, desired.replicas + way.max_surge - live.replicas), desired.replicas)
    first = min(batch, max(extra, 1))
    batches = rolling_words(way, desired.replicas, live.replicas)
    analysis = () if way.analysis is None or case.kept else _analysed((Stage(0, way.analysis),), case)
    seconds = len(batches) * ((case.startup[0] if case.startup else 0.0) + (way.analysis.seconds if way.analysis else 0.0))
    lines = (
        f"moves {_replicas(desired.replicas)} from {case.old} to {case.label}, up to {batch} at a time; "
        f"both answer meanwhile, at least {floor} healthy at any time; no gap",
        f"needs up to {_replicas(extra)} on top{_for(desired, extra, seconds)}; "
        f"{first} start{'s' if first == 1 else ''} first{_takes(case.startup, ' a step')}",
        f"rolling: {' -> '.join(words.split(' of ')[0] for words in batches)} of {_replicas(desired.replicas)}",
        *analysis,
        _tested(),
    )
    return Plan(changes=True, lines=lines, extra_replicas=extra)


def _besides(case: _Case, way: Strategy) -> Plan:
    desired, live, startup = case.desired, case.live, _whole_start(case) if not case.kept else None
    found = WHOLE if case.kept else stages(way)
    all_at_once = ", then moves all traffic at once" if found == WHOLE else ""
    one_first = ", one first," if desired.replicas > 1 else ""
    stays = retention(way)
    lines = [
        f"starts {_replicas(desired.replicas)} of {case.label}{one_first} beside {_replicas(live.replicas)} of {case.old}"
        f"{_takes(startup)}{all_at_once}; no gap"
    ]
    if case.kept:
        lines[0] = f"moves all traffic back to {case.label} at once, without analysis; no gap"
        lines.append("its replicas are still there: nothing needs to start")
    if found != WHOLE:
        lines.append(f"{way.kind}: {in_short(found)}")
        lines += [f"step {number}: {stage_words(stage)}" for number, stage in enumerate(found, 1)]
    lines += [*_analysed(found, case), *_people(found, way), *_affinity(way, found)]
    took = (startup[0] if startup else 0.0) + sum(map(_length, found)) + stays
    after = "the last step" if found != WHOLE else "the switch"
    waits = ", and for as long as people take" if any(stage.approval for stage in found) else ""
    # The old version stands beside where the new one has come.
    lines.append(
        f"needs {_replicas(desired.replicas)} on top{_for(desired, desired.replicas, took)}{waits}, "
        f"until {duration(stays)} after {after}"
    )
    return Plan(changes=True, lines=(*lines, _tested()), extra_replicas=desired.replicas)


def _analysed(found: tuple[Stage, ...], case: _Case) -> tuple[str, ...]:
    analyses = [stage.analysis for stage in found if stage.analysis is not None]
    if not analyses:
        return ()
    rolls = isinstance(case.desired.strategy, Rolling)
    lines = checked(found)
    if rolls or (len(analyses) > 1 and all(each == analyses[0] for each in analyses)):
        lines = (f"{'each batch' if rolls else 'each analysis'}: {lines[0].partition(': ')[2]}",)
    return (
        *(f"checked at {line}" for line in lines),
        f"a check that fails, or a candidate that dies, gives the traffic back to {case.old} first; {_inconclusive(analyses)}",
    )


def _inconclusive(analyses: list[Analysis]) -> str:
    ways = {each.on_inconclusive for each in analyses}
    if ways == {OnInconclusive.ROLLBACK}:
        return "so does one that finds too little to judge by"
    waits = "one that finds too little to judge by waits for a person"
    return waits if ways == {OnInconclusive.WAIT} else f"{waits}, or goes back, as its step says"


def _people(found: tuple[Stage, ...], way: Strategy) -> tuple[str, ...]:
    asked = [str(number) for number, stage in enumerate(found, 1) if stage.approval]
    if not asked:
        return ()
    steps = f"step{'s' if len(asked) > 1 else ''} {', '.join(asked)}"
    patience = duration(approval_timeout(way))
    return (f"a person has to approve {steps} (heliostat rollout approve), within {patience}, or it is rolled back",)


def _affinity(way: Strategy, found: tuple[Stage, ...]) -> tuple[str, ...]:
    if not isinstance(way, Canary) or way.affinity is None or found == WHOLE:
        return ()
    if way.affinity.header is not None:
        return (f"requests with the same header {way.affinity.header} stay on one version; without it chance decides",)
    return (f"clients stay on one version by the cookie {way.affinity.cookie}, which those without it are given",)


def _unfinished(state: State, desired: Desired) -> tuple[str, ...]:
    rollout = state.rollout
    if rollout is None or rollout.ended or rollout.phase in SETTLED:
        return ()
    label = rollout.target.version.label
    if rollout.phase is Phase.ROLLING_BACK:
        return (f"the rollout to {label} is being rolled back; this begins once it has ended",)
    if rollout.target == desired:
        return (f"{label} is on its way already; its rollout goes on",)
    same = identity(rollout.target) == identity(desired) and not rollout.in_place
    if same and begins_anew(rollout, desired.strategy):
        way = f"by {rollout.strategy.kind} that is on its way; it begins anew by {desired.strategy.kind}"
        return (f"ends the rollout to {label} {way}",)
    if same:
        return (f"{label} is on its way already; its rollout goes on as now declared",)
    change = "change in place of" if rollout.in_place else "rollout to"
    return (f"ends the {change} {label} that is on its way",)


def _kept(state: State, desired: Desired) -> bool:
    """Whether it served before, and is in its window."""
    if state.live is None or state.rollout is None or state.rollout.phase not in SETTLED:
        return False
    slot = state.slot(state.live.other)
    return slot.desired is not None and identity(slot.desired) == identity(desired)


def _length(stage: Stage) -> float:
    return max(stage.pause_seconds, stage.analysis.seconds if stage.analysis is not None else 0.0)


def _workers(workers: TaskWorkers) -> tuple[str, ...]:
    """What works on tasks, which comes with the first replica and goes with the last."""
    count, most = workers.replicas, workers.most
    more = f"; up to {_replicas(most)}{_size(workers, most)} while the queue is long and there is room" if most > count else ""
    at_a_time = counted(count * workers.concurrency, "task")
    return (f"needs {_replicas(count)} of workers of tasks on top{_size(workers, count)}, for {at_a_time} at a time{more}",)


def _size(each: Desired | TaskWorkers, count: int) -> str:
    """` (4 CPUs, 1 GPU)`."""
    parts = [counted(round(count * each.cpus_per_replica, 3), "CPU")] if each.cpus_per_replica else []
    parts += [counted(round(count * each.gpus_per_replica, 3), "GPU")] if each.gpus_per_replica else []
    return f" ({', '.join(parts)})" if parts and count else ""


def _for(desired: Desired, replicas: int, seconds: float = 0.0) -> str:
    """`(4 CPUs) for about 5 min`."""
    size = _size(desired, replicas)
    return f"{size} for about {duration(seconds)}" if seconds and replicas else size


def _tested() -> str:
    return "each new replica must be healthy and answer the golden requests rightly before it gets traffic"


def _whole_start(case: _Case) -> Measured:
    """How long the first replica and then the others take to start."""
    starts = min(2, case.desired.replicas)
    return (starts * case.startup[0], case.startup[1]) if case.startup is not None else None


def _takes(startup: Measured, unit: str = "") -> str:
    return f", about {startup[0]:.0f} s{unit} as measured before" if startup is not None else ""


def _replicas(count: int) -> str:
    return counted(count, "replica")
