"""What one worker does: takes tasks, answers them one after another, and says how each ended.

A second thread holds on to the leases while the first predicts, and ends the process where an attempt takes too long: nothing
else ends a prediction. What was answered is said until the broker has heard it; a broker that is away is waited for.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from heliostat.serving.errors import HttpError
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.brokers.base import Answered, Failed, Lease, Outcome, Retention, Returned, TaskBroker
from heliostat.systems.errors import RetryableError

_log = logging.getLogger(__name__)

TOOK_TOO_LONG: Final = 75
"""The exit code of a worker whose attempt took too long. It has said so itself: nobody else is to blame the task."""

_MOST: Final = 64
_BATCH_SECONDS: Final = 0.1
"""Of work that is taken at a time: what waits behind a slow task in one worker, another one could have."""
_FLUSH_SECONDS: Final = 0.02
_IDLE_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 0.5
_LONGEST_ERROR: Final = 2_000
_LONGEST_WAIT: Final = 60.0
_LATER: Final = 500
"""A refusal from this status on is of its time, and not of the task."""


@dataclass(frozen=True)
class Work:
    """What a worker is to do."""

    queue: TaskQueue
    label: str
    """Of the version that it answers with."""
    name: str
    """Its own."""
    answer: Callable[[Lease], bytes]

    @property
    def keep(self) -> Retention:
        """How long what ended is kept."""
        return Retention(self.queue.result_seconds, self.queue.dead_letter_seconds)


class Consumer:
    """Works on tasks until it is stopped."""

    def __init__(
        self, broker: TaskBroker, work: Work, labels: Callable[[], Sequence[str]], end: Callable[[int], Any] = os._exit
    ) -> None:
        """`labels`: whose tasks it takes, its own version's first; `end`: ends the process at once."""
        self._broker = broker
        self._work = work
        self._labels = labels
        self._end = end
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._held: dict[str, Lease] = {}
        self._current: tuple[Lease, float] | None = None
        self._seconds = _BATCH_SECONDS
        """How long a task takes, of late."""
        self._settled: list[Outcome] = []

    def stop(self) -> None:
        """Finish the task that is worked on, and give the others back."""
        self._stop.set()

    def run(self) -> None:
        """Work until `stop`."""
        holder = threading.Thread(target=self._hold, name="leases", daemon=True)
        holder.start()
        while not self._stop.is_set():
            try:
                if not self._batch():
                    self._broker.wait(self._labels(), _IDLE_SECONDS)
            except RetryableError as error:
                _log.warning("%s; trying again", error)
                self._stop.wait(_AWAY_SECONDS)
        holder.join()

    def _batch(self) -> bool:
        """Take some tasks and answer them; whether there were any."""
        work = self._work
        most = max(1, min(_MOST, int(_BATCH_SECONDS / max(self._seconds, 1e-6))))
        leases = self._broker.lease(self._labels(), work.name, most, work.queue.lease_seconds)
        with self._lock:
            self._held = {lease.id: lease for lease in leases}
        flushed = time.monotonic()
        for lease in leases:
            if self._stop.is_set():
                self._settled.append(Returned(lease))
            elif lease.id in self._held:  # else its lease was lost meanwhile, or it was cancelled
                self._settled.append(self._outcome(lease))
            if time.monotonic() - flushed > _FLUSH_SECONDS:
                self._flush()
                flushed = time.monotonic()
        self._flush()
        return bool(leases)

    def _outcome(self, lease: Lease) -> Outcome:
        began = time.monotonic()
        if lease.deadline <= time.time():
            return Failed(lease, "its deadline passed before it was begun", None)
        with self._lock:
            self._current = lease, began
        try:
            return Answered(lease, self._work.answer(lease), self._work.label)
        except HttpError as refusal:
            # Another version took it, whose contract was another: it would be refused again. What is only too old is not.
            again = self._again_after(lease) if refusal.status >= _LATER else None
            return Failed(lease, f"refused with {refusal.status}: {refusal.detail}"[:_LONGEST_ERROR], again)
        except Exception as error:
            _log.exception("the task %s failed", lease.id)
            return Failed(lease, f"{type(error).__name__}: {error}"[:_LONGEST_ERROR], self._again_after(lease))
        finally:
            with self._lock:
                self._current = None
            self._seconds += 0.2 * (time.monotonic() - began - self._seconds)

    def _again_after(self, lease: Lease) -> float:
        first = self._work.queue.retry_seconds
        return min(first * 2.0 ** min(lease.attempts, 30), max(_LONGEST_WAIT, first))

    def _flush(self) -> None:
        """Say how tasks ended, until it was heard."""
        while self._settled:
            try:
                self._broker.settle(self._settled, self._work.keep)
            except RetryableError as error:
                _log.warning("%s; %d answers are kept until it does", error, len(self._settled))
                time.sleep(_AWAY_SECONDS)
                continue
            with self._lock:
                for outcome in self._settled:
                    self._held.pop(outcome.lease.id, None)
            self._settled = []

    def _hold(self) -> None:
        """Hold on to the leases, and look at how long the attempt takes."""
        queue = self._work.queue
        pause = min(queue.lease_seconds / 3, max(queue.timeout_seconds / 4, 0.05))
        renewed = time.monotonic()
        # Also while it drains: the last task may take its time.
        while not (self._stop.wait(pause) and not self._held):
            if self._stop.is_set():
                time.sleep(min(pause, 0.05))
            with self._lock:
                current, held = self._current, list(self._held.values())
            if current is not None and time.monotonic() - current[1] > queue.timeout_seconds:
                self._give_up(current[0], held)
            if held and time.monotonic() - renewed >= queue.lease_seconds / 3:
                renewed = time.monotonic()
                self._renew(held)

    def _renew(self, held: list[Lease]) -> None:
        try:
            gone = self._broker.renew(held, self._work.queue.lease_seconds)
        except RetryableError as error:
            _log.warning("leases are not renewed: %s", error)
            return
        with self._lock:
            for task_id in gone:
                self._held.pop(task_id, None)

    def _give_up(self, current: Lease, held: list[Lease]) -> None:
        """End this process: an attempt takes too long."""
        limit = self._work.queue.timeout_seconds
        failed = Failed(current, f"the attempt took longer than {limit:g} s", self._again_after(current))
        others: list[Outcome] = [Returned(lease) for lease in held if lease.id != current.id]
        try:
            self._broker.settle([failed, *others], self._work.keep)
        except RetryableError as error:
            _log.warning("that an attempt took longer than %g s was not heard: %s", limit, error)
        self._end(TOOK_TOO_LONG)
