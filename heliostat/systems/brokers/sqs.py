"""Tasks in SQS: a queue for each version, and what is known of a task in the object store.

SQS has leases (the visibility timeout) and counts how often it gave a message; it keeps no answers and takes no conditions. So
a task is an object, written before its message is sent, and its end is another, of which the first that is written stands:

    tasks/<application>/of/<id>/task, end, tried
    tasks/<application>/dead/<id>, hooks/<id>, alive/<label>

A message has the id alone. One that comes twice finds the end and goes. A worker takes one at a time, so whoever dies with one
has failed an attempt of that one. How many tasks are open SQS says about, and late.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any, Final

from heliostat.spec.task_queue import SqsBroker
from heliostat.systems.brokers.base import (
    ENDED,
    LATE,
    LOST,
    Answered,
    Depth,
    Failed,
    Lease,
    NewTask,
    Outcome,
    QueueFullError,
    Retention,
    Task,
    TaskConflictError,
    TaskState,
    Webhook,
)
from heliostat.systems.brokers.sqs_queues import Queues
from heliostat.systems.brokers.task_objects import Ending, TaskObjects, Tried
from heliostat.systems.storage.base import ObjectStore

_SIZE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1


class Sqs:
    """A `TaskBroker` on SQS and an object store."""

    def __init__(
        self,
        address: SqsBroker,
        application: str,
        store: ObjectStore,
        retention: Retention,
        poll_seconds: int = _POLL_SECONDS,
    ) -> None:
        """`poll_seconds`: how long a lease waits for a message."""
        self._queues = Queues(address, application)
        self._objects = TaskObjects(store, application)
        self._retention = retention
        self._clock = time.time
        self._poll_seconds = poll_seconds
        self._size = (0, 0.0)

    def submit(self, task: NewTask, max_open: int) -> TaskState:  # noqa: D102 - see TaskBroker
        known = self._objects.read(task.id)
        if known is not None:
            if known.payload != task.payload:
                raise TaskConflictError(f"the task {task.id} is there with another payload")
            if known.state in ENDED:
                return known.state
        elif self._open() >= max_open:
            raise QueueFullError(f"about {max_open} tasks are open, as many as may be: try again once some are answered")
        else:
            self._objects.create(task, self._clock())
        # Also where it is known: whoever submitted it first may have died before this.
        self._queues.send(known.version if known else task.version, task.id)
        return TaskState.WAITING

    def read(self, task_id: str) -> Task | None:  # noqa: D102
        return self._objects.read(task_id)

    def ended(self, task_ids: Collection[str]) -> set[str]:  # noqa: D102
        return {task_id for task_id in task_ids if self._objects.has_ended(task_id)}

    def cancel(self, task_id: str) -> Task | None:  # noqa: D102
        task = self._objects.read(task_id)
        if task is None or task.state in ENDED:
            return task
        self._end(task, Ending(TaskState.CANCELLED, self._clock()))
        return self._objects.read(task_id)

    def lease(self, labels: Sequence[str], consumer: str, most: int, seconds: float) -> list[Lease]:  # noqa: D102
        for n, label in enumerate(labels):
            message = self._queues.receive(label, seconds, self._poll_seconds if n == 0 else 0)
            if message is not None and (lease := self._lease(label, message)) is not None:
                return [lease]
        return []

    def _lease(self, label: str, message: dict[str, Any]) -> Lease | None:
        task_id, receipt = message["Body"], message["ReceiptHandle"]
        task = self._objects.read(task_id)
        if task is None or task.state in ENDED:
            self._queues.delete(label, receipt)
            return None
        times = int(message["Attributes"]["ApproximateReceiveCount"])
        tried = self._objects.tried(task_id)
        # What it was given for and nobody accounted for is a worker that died with it.
        attempts = tried.attempts + max(0, times - 1 - tried.given)
        lease = Lease(task_id, f"{times}:{label}:{receipt}", task.payload, attempts, task.deadline, task.version)
        if task.deadline <= self._clock():
            self._bury(task, lease, LATE, attempts)
            return None
        if attempts > tried.attempts:
            self._objects.note_tried(task_id, Tried(attempts, times - 1, LOST))
            if attempts >= self._objects.max_attempts(task_id):
                self._bury(task, lease, LOST, attempts)
                return None
        return lease

    def wait(self, labels: Sequence[str], seconds: float) -> None:
        """Nothing: a lease waits by itself."""

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:  # noqa: D102
        gone = set()
        for lease in leases:
            _, label, receipt = lease.token.split(":", 2)
            if self._objects.has_ended(lease.id) or not self._queues.change(label, receipt, seconds):
                gone.add(lease.id)
        return gone

    def settle(self, outcomes: Sequence[Outcome], keep: Retention) -> list[bool]:  # noqa: D102
        return [self._settle(outcome) for outcome in outcomes]

    def _settle(self, outcome: Outcome) -> bool:
        lease = outcome.lease
        times, label, receipt = lease.token.split(":", 2)
        task = self._objects.read(lease.id)
        if task is None or task.state in ENDED:
            self._queues.delete(label, receipt)
            return False
        match outcome:
            case Answered():
                error = self._objects.tried(lease.id).error
                attempts = lease.attempts + 1
                ending = Ending(TaskState.SUCCEEDED, self._clock(), outcome.answer, outcome.by, attempts, error)
                stands = self._end(task, ending)
                self._queues.delete(label, receipt)
                return stands
            case Failed():
                attempts = lease.attempts + 1
                self._objects.note_tried(lease.id, Tried(attempts, int(times), outcome.error))
                if outcome.again_after is None or attempts >= self._objects.max_attempts(lease.id):
                    self._bury(task, lease, outcome.error, attempts)
                    return True
                return self._queues.change(label, receipt, outcome.again_after)
            case _:
                tried = self._objects.tried(lease.id)
                self._objects.note_tried(lease.id, Tried(lease.attempts, int(times), tried.error))
                return self._queues.change(label, receipt, 0)

    def abandon(self, consumer: str, blame: bool) -> int:  # noqa: D102
        # Who has a message only its receipt says, which died with its holder: it is back when its time is over.
        return 0

    def beat(self, label: str, seconds: float) -> None:  # noqa: D102
        self._objects.beat(label, self._clock() + seconds)

    def orphans(self, grace: float) -> list[str]:  # noqa: D102
        beats = self._objects.beats()
        since = self._clock() - grace
        return [
            label for label in self._queues.labels() if beats.get(label, 0.0) < since and self._queues.size(label) != (0, 0)
        ]

    def alive(self) -> list[str]:  # noqa: D102
        now = self._clock()
        return [label for label, until in self._objects.beats().items() if until > now]

    def depth(self) -> Depth:  # noqa: D102
        labels = self._queues.labels()
        sizes = {label: self._queues.size(label) for label in labels}
        waiting, running = (sum(size[n] for size in sizes.values()) for n in (0, 1))
        by_version = {label: size[0] for label, size in sizes.items() if size[0]}
        dead = self._objects.count_dead()
        return Depth(waiting, running, dead, None, tuple(labels), waiting_by_version=by_version)

    def dead_letters(self, most: int) -> list[Task]:  # noqa: D102
        return self._objects.dead(most)

    def revive(self, task_id: str, deadline: float) -> bool:  # noqa: D102
        task = self._objects.read(task_id)
        if task is None or task.state is not TaskState.FAILED:
            return False
        self._objects.revive(task, deadline)
        self._queues.send(task.version, task_id)
        return True

    def due_webhooks(self, most: int, seconds: float) -> list[Webhook]:  # noqa: D102
        return self._objects.due_hooks(most, self._clock(), seconds)

    def note_webhook(self, task_id: str, note: str, again_after: float | None) -> None:  # noqa: D102
        self._objects.note_hook(task_id, note, None if again_after is None else self._clock() + again_after)

    def volatile(self) -> str:  # noqa: D102
        return ""

    def sweep(self, keep: Retention) -> None:  # noqa: D102
        now = self._clock()
        beats = self._objects.beats()
        self._objects.forget(now, keep)
        for label in self._queues.labels():
            if beats.get(label, 0.0) < now - 3600 and self._queues.size(label) == (0, 0):
                self._queues.remove(label)

    def close(self) -> None:  # noqa: D102
        self._queues.close()

    def _open(self) -> int:
        """About how many tasks are open; asked every few seconds, not at each submission."""
        count, until = self._size
        if self._clock() >= until:
            count = sum(sum(self._queues.size(label)) for label in self._queues.labels())
            self._size = (count, self._clock() + _SIZE_SECONDS)
        return count

    def _bury(self, task: Task, lease: Lease, error: str, attempts: int) -> None:
        _, label, receipt = lease.token.split(":", 2)
        if self._end(task, Ending(TaskState.FAILED, self._clock(), b"", "", attempts, error)):
            self._objects.bury(task.id)
        self._queues.delete(label, receipt)

    def _end(self, task: Task, ending: Ending) -> bool:
        stands = self._objects.end(task.id, ending)
        # Also where another's stands: it may have died before it did this.
        if task.webhook and not self._objects.has_hook(task.id):
            self._objects.note_hook(task.id, "", self._clock())
        return stands
