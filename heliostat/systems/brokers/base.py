"""What every broker of tasks does.

A task is executed at least once and answered once: of several answers the first that is stored stands, by a write that fails
where one is there. Who works on a task has a lease, which it renews; a lease that ends without a word gives the task back.

A worker may hold several leases and work on them one after another. Where it dies, nobody knows which task killed it: tasks
that were lost in company are only suspected, and leased alone from then on. One that is lost alone has failed an attempt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from heliostat.systems.errors import PermanentError, RetryableError


class TaskState(StrEnum):
    """Where a task is."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It is among the dead letters."""
    CANCELLED = "cancelled"


ENDED: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED})


class BrokerAwayError(RetryableError):
    """The broker does not answer, or not in time; whether it did what it was asked is not known."""


class QueueFullError(RetryableError):
    """As many tasks are open as may be, or the broker has no room for more."""


class TaskConflictError(PermanentError):
    """The id is that of a task with another payload."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """What is submitted. Times are Unix times in seconds."""

    id: str
    version: str
    """The label of the version that took it, whose workers it is for."""
    payload: bytes
    deadline: float
    max_attempts: int
    webhook: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """All that is known of a task."""

    id: str
    version: str
    state: TaskState
    payload: bytes
    submitted_at: float
    deadline: float
    attempts: int
    error: str = ""
    """Of the last attempt that failed."""
    answer: bytes = b""
    answered_by: str = ""
    """The label of the version."""
    ended_at: float | None = None
    webhook: str = ""
    webhook_note: str = ""
    """How its call ended, or how the last try did."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A task that a worker has."""

    id: str
    token: str
    """Tells this lease from others of the same task."""
    payload: bytes
    attempts: int
    """That failed before."""
    deadline: float
    version: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """It was answered: stored where no end of it is yet, whoever has the lease by now."""

    lease: Lease
    answer: bytes
    by: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt failed; counts where the lease is still held."""

    lease: Lease
    error: str
    again_after: float | None
    """Seconds; None: it would fail again."""


@dataclass(frozen=True, slots=True)
class Returned:
    """It was not begun, or is given up for no fault of its own."""

    lease: Lease


Outcome = Answered | Failed | Returned


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what ended is kept, in seconds."""

    results: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call that is due."""

    task: Task
    tries: int
    """That failed before."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What is in the queue."""

    waiting: int
    running: int
    dead: int
    oldest_seconds: float | None
    """Age of the task that waits longest; None where none waits, or the broker does not say."""
    versions: tuple[str, ...] = field(default=())
    """Labels of versions that tasks were taken by, and may be left of."""
    ended: Mapping[str, int] = field(default_factory=dict)
    """How many tasks ever ended, by state; empty where the broker does not count."""
    waiting_by_version: Mapping[str, int] = field(default_factory=dict)
    """What waits, by the label of the version that took it. Some brokers leave out what was tried."""


class TaskBroker(Protocol):
    """The tasks of one application. Safe to use from several threads and processes.

    Raises BrokerAwayError from every call, and PermanentError where the broker is not what it was said to be.
    """

    def submit(self, task: NewTask, max_open: int) -> TaskState:
        """Keep a task. The same one may be submitted again: what is known of it stays, and its state is told.

        Raises:
            QueueFullError: so many tasks are open already; nothing was kept.
            TaskConflictError: a task with the same id has another payload.
        """

    def read(self, task_id: str) -> Task | None:
        """The task; None where it is not known, or not any more."""

    def ended(self, task_ids: Collection[str]) -> set[str]:
        """Those that have ended, or are not known."""

    def cancel(self, task_id: str) -> Task | None:
        """End a task that has not ended; what it is then."""

    def lease(self, labels: Sequence[str], consumer: str, most: int, seconds: float) -> list[Lease]:
        """Take up to `most` tasks of versions, those of the first label first, oldest first. Gives back what timed out."""

    def wait(self, labels: Sequence[str], seconds: float) -> None:
        """Return once there may be a task, `seconds` later at the latest."""

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:
        """Hold on to leases; ids of those that are held no more."""

    def settle(self, outcomes: Sequence[Outcome], keep: Retention) -> list[bool]:
        """Say how tasks ended; of each, whether that stands."""

    def abandon(self, consumer: str, blame: bool) -> int:
        """Give back all that a consumer has, where the broker knows. `blame`: it died with it. How many they were."""

    def beat(self, label: str, seconds: float) -> None:
        """Say that a version has workers, for so long."""

    def orphans(self, grace: float) -> list[str]:
        """Labels of versions with tasks and with no workers for `grace` seconds."""

    def alive(self) -> list[str]:
        """Labels of versions that have workers."""

    def depth(self) -> Depth:
        """What is in the queue."""

    def dead_letters(self, most: int) -> list[Task]:
        """Tasks that failed, the newest first."""

    def revive(self, task_id: str, deadline: float) -> bool:
        """Have a dead letter tried again as if it were new; False where it is none."""

    def due_webhooks(self, most: int, seconds: float) -> list[Webhook]:
        """Calls to make; another one asks for the same only `seconds` later."""

    def note_webhook(self, task_id: str, note: str, again_after: float | None) -> None:
        """Say how a call went; None: it is not made again."""

    def volatile(self) -> str:
        """Why what it was given may be lost with its process; empty where it is not, or nobody knows."""

    def sweep(self, keep: Retention) -> None:
        """Fail what is past its deadline, and forget what was kept for long enough."""

    def close(self) -> None:
        """Let go of connections."""


LOST: Final = "its worker was lost: the process was ended while it worked on this task"
LATE: Final = "its deadline passed before it was answered"
