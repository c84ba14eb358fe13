"""How many replicas of workers of tasks there shall be, by what is in the queue. Pure; `heliostat.controller` asks and acts.

The hysteresis is that of Kubernetes' horizontal autoscaler: each look at the queue recommends a number. More come once as many
were recommended throughout `scaleUpSeconds`, the fewest of these; some go once fewer were enough throughout
`scaleDownSeconds`, down to the most of these. After each change the looks begin anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from heliostat.spec.formatting import counted, duration
from heliostat.spec.task_queue import TaskScaling, TaskWorkers

_FORGOTTEN_SECONDS: Final = 60.0
"""After so long without a look nobody knows what was in the queue meanwhile."""


@dataclass(frozen=True)
class Demand:
    """What there is to do for the workers of one version."""

    waiting: int
    """Tasks."""
    running: int
    """Tasks that they have; a process may have several and works on one."""
    oldest_seconds: float | None
    """Age of the task that waits longest; None where none does, or where the broker does not say."""


@dataclass(frozen=True)
class Present:
    """The replicas of workers that there are."""

    asked: int
    running: int


@dataclass(frozen=True)
class Recommended:
    """What one look at the queue came to."""

    at: float
    """In seconds, by a clock that never jumps."""
    replicas: int
    reason: str


@dataclass(frozen=True)
class Looks:
    """What was recommended since the last change, the oldest first."""

    recommended: tuple[Recommended, ...] = ()

    def with_next(self, look: Recommended, scaling: TaskScaling) -> Looks:
        """The same with one more, without what is too old to count."""
        before = self.recommended
        if before and look.at - before[-1].at > _FORGOTTEN_SECONDS:
            before = ()
        horizon = look.at - max(scaling.scale_up_seconds, scaling.scale_down_seconds)
        # The newest of those beyond it stays: it says that the time is full.
        old = [each for each in before if each.at <= horizon][-1:]
        return Looks((*old, *(each for each in before if each.at > horizon), look))

    def throughout(self, now: float, seconds: float) -> tuple[Recommended, ...]:
        """What was recommended in the last so many seconds; nothing where they are not full yet."""
        if not any(each.at <= now - seconds for each in self.recommended):
            return ()
        return tuple(each for each in self.recommended if each.at >= now - seconds)


@dataclass(frozen=True)
class Scale:
    """How many replicas there shall be."""

    replicas: int
    reason: str
    """In words."""
    looks: Looks = field(default_factory=Looks)
    """What to give with the next demand."""


def recommend(workers: TaskWorkers, scaling: TaskScaling, demand: Demand, present: Present, now: float) -> Recommended:
    """How many replicas one look at the queue asks for, between the fewest and the most."""
    busy = min(demand.running, present.running * workers.concurrency)
    # A process that works is needed, whatever waits behind it.
    processes = max(busy, math.ceil((demand.waiting + busy) / scaling.tasks_per_worker))
    wanted = math.ceil(processes / workers.concurrency)
    reason = f"{demand.waiting} wait and {counted(busy, 'process', 'processes')} work"
    # While some of those that were asked for are not there yet, their help was not seen.
    late = demand.waiting > 0 and (demand.oldest_seconds or 0.0) > scaling.max_wait_seconds
    if late and wanted <= present.asked <= present.running:
        wanted = present.asked + 1
        reason = f"the oldest task waits for {duration(demand.oldest_seconds or 0.0)}"
    return Recommended(now, min(max(wanted, workers.replicas), scaling.max_replicas), reason)


def scale(workers: TaskWorkers, scaling: TaskScaling, looks: Looks, demand: Demand, present: Present, now: float) -> Scale:
    """How many replicas there shall be by now; as many as there are where nothing changes."""
    look = recommend(workers, scaling, demand, present, now)
    looks = looks.with_next(look, scaling)
    if not workers.replicas <= present.asked <= scaling.max_replicas:
        bounded = min(max(present.asked, workers.replicas), scaling.max_replicas)
        return Scale(bounded, f"there are to be {workers.replicas} to {scaling.max_replicas}")
    more = min(looks.throughout(now, scaling.scale_up_seconds), key=lambda each: each.replicas, default=None)
    if more is not None and more.replicas > present.asked:
        return Scale(more.replicas, f"{look.reason}: {present.asked} -> {more.replicas}")
    fewer = max(looks.throughout(now, scaling.scale_down_seconds), key=lambda each: each.replicas, default=None)
    if fewer is not None and fewer.replicas < present.asked:
        return Scale(fewer.replicas, f"{look.reason}: {present.asked} -> {fewer.replicas}")
    return Scale(present.asked, look.reason, looks)


def within(wanted: Scale, present: Present, room: int) -> Scale:
    """The same where the cluster has room for `room` replicas more."""
    if wanted.replicas <= present.asked + room:
        return wanted
    short = f"{wanted.reason}; the cluster has room for {room} more"
    return Scale(max(present.asked, present.asked + room), short, wanted.looks)
