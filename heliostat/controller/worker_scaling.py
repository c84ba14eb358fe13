"""Workers of tasks come and go by what is in the queues: asked for beside the loop, every few seconds.

How many there shall be decides `heliostat.rollout.worker_scaling`. What was seen of a queue is kept in this process alone: one
that starts again takes no workers away before it has looked for as long as that needs. While the cluster, the broker or all
replicas are away, there are as many as there were.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from heliostat.controller.reconciler import Reconciler
from heliostat.controller.task_queues import TaskQueues, takes_tasks
from heliostat.rollout.capacity import Need, room
from heliostat.rollout.model import Colour, identity
from heliostat.rollout.worker_scaling import Demand, Looks, Present, Scale, scale, within
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.task_queue import QueueDepth, TaskScaling, TaskWorkers
from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 5.0
_STARTING: Final = frozenset({Phase.PENDING, Phase.STARTING})
"""What room there is then, is the candidate's."""


class _Pool(NamedTuple):
    """The workers of one version that there are."""

    colour: Colour
    desired: Desired
    workers: TaskWorkers
    present: Present

    @property
    def label(self) -> str:
        return self.desired.version.label


class WorkerScaling:
    """Looks at the queues of applications whose workers scale."""

    def __init__(self, reconciler: Reconciler, queues: TaskQueues, clock: Callable[[], float] = time.monotonic) -> None:
        self._reconciler = reconciler
        self._queues = queues
        self._clock = clock
        self._looks: dict[tuple[str, str], Looks] = {}
        self._complaints: dict[str, str] = {}

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look at each queue once, and have as many workers as it needs."""
        names = [name for name, state in self._reconciler.states.items() if takes_tasks(state)]
        await asyncio.gather(*(self._look_safely(name) for name in names))
        known = {(name, pool.label) for name in names for pool in self._pools(name)}
        for kept in (self._looks, self._queues.reasons):
            for gone in kept.keys() - known:
                del kept[gone]

    async def _look_safely(self, name: str) -> None:
        """As `_look`; one whose queue is not understood leaves the others theirs."""
        try:
            await self._look(name)
            self._complaints.pop(name, None)
        except (RetryableError, PermanentError) as error:
            # Once, not every five seconds.
            if self._complaints.get(name) != str(error):
                _log.warning("the workers of %s stay as many as they are: %s", name, error)
            self._complaints[name] = str(error)
        except Exception:
            _log.exception("the workers of %s stay as many as they are", name)

    async def _look(self, name: str) -> None:
        pools = self._pools(name)
        if not any(pool.workers.scaling for pool in pools) or (depth := await self._queues.depth(name)) is None:
            return
        state = self._reconciler.states[name]
        for pool in pools:
            if pool.workers.scaling is not None:
                await self._bring(name, pool, pool.workers.scaling, demand_of(pool, pools, depth, state.live))

    async def _bring(self, name: str, pool: _Pool, scaling: TaskScaling, demand: Demand) -> None:
        key, now = (name, pool.label), self._clock()
        wanted = scale(pool.workers, scaling, self._looks.get(key, Looks()), demand, pool.present, now)
        if wanted.replicas > pool.present.asked:
            wanted = within(wanted, pool.present, await self._room(name, pool, wanted))
        self._looks[key], self._queues.reasons[key] = wanted.looks, wanted.reason
        if wanted.replicas != pool.present.asked:
            _log.info("%s: workers of tasks of %s: %s", name, pool.label, wanted.reason)
            await self._reconciler.backend.scale_workers(name, pool.colour, wanted.replicas)
            self._reconciler.wake()

    async def _room(self, name: str, pool: _Pool, wanted: Scale) -> int:
        """How many more there is room for, of those that are wanted.

        Raises:
            RetryableError: that is not known.
        """
        rollout = self._reconciler.states[name].rollout
        if rollout is not None and rollout.phase in _STARTING:
            return 0
        found = await self._reconciler.backend.room(name)
        if found is None:
            raise RetryableError(f"the cluster does not say whether it has room for more workers of {pool.label}")
        return room(found[0], Need(0, pool.desired).worker_ask, wanted.replicas - pool.present.asked)

    def _pools(self, name: str) -> list[_Pool]:
        """The workers that there are; none while the cluster does not answer."""
        running, state = self._reconciler.running, self._reconciler.states.get(name)
        if running is None or state is None:
            return []
        found = []
        for colour in Colour:
            desired, there = state.slot(colour).desired, running.of(name, colour)
            if desired is None or desired.version.queue is None or there is None or there.identity != identity(desired):
                continue
            # A colour that has just been asked for has none yet.
            if there.workers:
                present = Present(there.workers, there.workers_running)
                found.append(_Pool(colour, desired, desired.version.queue.workers, present))
        return found


def demand_of(pool: _Pool, pools: list[_Pool], depth: QueueDepth, live: Colour | None) -> Demand:
    """What there is to do for the workers of one version: its own tasks, and of the one that serves those of versions that
    have no workers any more. Pure."""
    by_version = depth.waiting_by_version
    waiting = by_version.get(pool.label, 0)
    if pool.colour is live:
        labels = {each.label for each in pools}
        waiting += sum(count for label, count in by_version.items() if label not in labels)
        # Replicas of an earlier library do not say whose tasks wait.
        waiting = waiting if by_version else depth.waiting
    # A broker does not say whose tasks run: each has its part by how many it is.
    running = sum(each.present.running for each in pools)
    part = pool.present.running / running if running else 0.0
    return Demand(waiting, round(depth.running * part), depth.oldest_seconds if waiting else None)
