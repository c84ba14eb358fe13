"""Tasks in a file of this machine, for a platform that is on one: no server, and every step a transaction that is on the disk.

`synchronous=FULL`: a task that was taken is there after a loss of power. Several processes share the file; writers wait for
each other, and answers of one worker are written together.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from heliostat.systems.brokers import sqlite_steps as steps
from heliostat.systems.brokers.base import (
    BrokerAwayError,
    Depth,
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
from heliostat.systems.errors import explained

_BUSY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_FULL: Final = "full"


class Sqlite:
    """A `TaskBroker` in one file."""

    def __init__(self, path: Path, retention: Retention, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._retention = retention
        self._clock = clock
        self._local = threading.local()
        self._tokens = itertools.count()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def submit(self, task: NewTask, max_open: int) -> TaskState:  # noqa: D102 - see TaskBroker
        with self._write() as db:
            found = db.execute("SELECT state, payload FROM task WHERE id = ?", (task.id,)).fetchone()
            if found is not None:
                if bytes(found[1]) != task.payload:
                    raise TaskConflictError(f"the task {task.id} is there with another payload")
                return TaskState(found[0])
            if steps.open_tasks(db) >= max_open:
                raise QueueFullError(f"{max_open} tasks are open, as many as may be: try again once some are answered")
            steps.insert(db, task, self._clock())
            return TaskState.WAITING

    def read(self, task_id: str) -> Task | None:  # noqa: D102
        with self._read() as db:
            found = steps.tasks(db, "id = ?", task_id)
            return found[0] if found else None

    def ended(self, task_ids: Collection[str]) -> set[str]:  # noqa: D102
        ids = list(task_ids)
        marks = ",".join("?" * len(ids))
        with self._read() as db:
            # The marks are ours; the values are bound.
            query = f"SELECT id FROM task WHERE id IN ({marks}) AND state IN ('waiting', 'running')"  # noqa: S608
            return set(ids) - {row[0] for row in db.execute(query, ids)}

    def cancel(self, task_id: str) -> Task | None:  # noqa: D102
        with self._write() as db:
            steps.end(db, task_id, TaskState.CANCELLED, self._clock())
        return self.read(task_id)

    def lease(self, labels: Sequence[str], consumer: str, most: int, seconds: float) -> list[Lease]:  # noqa: D102
        with self._read() as db:
            # Looking costs no lock: workers that find nothing hold up nobody.
            if not steps.anything(db, labels, self._clock()):
                return []
        token = f"{consumer}:{os.getpid()}:{next(self._tokens)}"
        with self._write() as db:
            return steps.lease(db, labels, (consumer, token), most, seconds, self._clock())

    def wait(self, labels: Sequence[str], seconds: float) -> None:  # noqa: D102
        until = time.monotonic() + seconds
        with self._read() as db:
            seen = db.execute("PRAGMA data_version").fetchone()
            while time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
                if db.execute("PRAGMA data_version").fetchone() != seen:
                    return

    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:  # noqa: D102
        until = self._clock() + seconds
        with self._write() as db:
            return {lease.id for lease in leases if not steps.renew(db, lease, until)}

    def settle(self, outcomes: Sequence[Outcome], keep: Retention) -> list[bool]:  # noqa: D102
        now = self._clock()
        with self._write() as db:
            return [steps.settle(db, outcome, now) for outcome in outcomes]

    def abandon(self, consumer: str, blame: bool) -> int:  # noqa: D102
        with self._write() as db:
            held = [row[0] for row in db.execute("SELECT id FROM task WHERE state='running' AND consumer=?", (consumer,))]
            for task_id in held:
                if blame:
                    steps.lose(db, task_id, self._clock())
                else:
                    steps.give_back(db, task_id)
            return len(held)

    def beat(self, label: str, seconds: float) -> None:  # noqa: D102
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO alive(label, until) VALUES(?, ?)", (label, self._clock() + seconds))

    def orphans(self, grace: float) -> list[str]:  # noqa: D102
        with self._read() as db:
            return steps.orphans(db, self._clock() - grace)

    def alive(self) -> list[str]:  # noqa: D102
        with self._read() as db:
            return [row[0] for row in db.execute("SELECT label FROM alive WHERE until > ?", (self._clock(),))]

    def depth(self) -> Depth:  # noqa: D102
        with self._read() as db:
            return steps.depth(db, self._clock())

    def dead_letters(self, most: int) -> list[Task]:  # noqa: D102
        with self._read() as db:
            return steps.tasks(db, "state = 'failed' ORDER BY ended_at DESC LIMIT ?", most)

    def revive(self, task_id: str, deadline: float) -> bool:  # noqa: D102
        with self._write() as db:
            return steps.revive(db, task_id, deadline)

    def due_webhooks(self, most: int, seconds: float) -> list[Webhook]:  # noqa: D102
        now = self._clock()
        with self._write() as db:
            due = steps.tasks(db, "hook_due <= ? ORDER BY hook_due LIMIT ?", now, most)
            tries = {task.id: steps.tries(db, task.id) for task in due}
            db.executemany("UPDATE task SET hook_due = ? WHERE id = ?", [(now + seconds, task.id) for task in due])
            return [Webhook(task, tries[task.id]) for task in due]

    def note_webhook(self, task_id: str, note: str, again_after: float | None) -> None:  # noqa: D102
        due = None if again_after is None else self._clock() + again_after
        with self._write() as db:
            db.execute("UPDATE task SET note = ?, hook_due = ?, tries = tries + 1 WHERE id = ?", (note, due, task_id))

    def volatile(self) -> str:  # noqa: D102
        return ""

    def sweep(self, keep: Retention) -> None:  # noqa: D102
        with self._write() as db:
            steps.sweep(db, keep, self._clock())

    def close(self) -> None:  # noqa: D102
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()
            self._local = threading.local()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which is on the disk once this ends."""
        with self._told():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            yield self._connection()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if _FULL in str(error):
                raise QueueFullError(f"no space is left where {self._path} lies: free some") from None
            raise BrokerAwayError(f"{self._path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise BrokerAwayError(f"{self._path} is no queue of tasks any more: {error}") from None

    def _connection(self) -> sqlite3.Connection:
        """Of this thread: SQLite's own lock is between connections."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise explained(error, f"keep tasks in {self._path.parent}") from error
            found = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            _log_ahead(found)
            found.execute("PRAGMA synchronous = FULL")
            found.executescript(steps.TABLES)
            self._local.connection = found
            with self._lock:
                self._open.append(found)
        return found


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Have changes written to a log first; two that say so of a new file at once refuse each other, and wait for no lock."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return
