"""What the SQLite broker does in one transaction, of which its caller takes care."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from heliostat.systems.brokers.base import (
    LATE,
    LOST,
    Answered,
    Depth,
    Failed,
    Lease,
    NewTask,
    Outcome,
    Retention,
    Task,
    TaskState,
)

TABLES: Final = """
CREATE TABLE IF NOT EXISTS task (
    id TEXT PRIMARY KEY, label TEXT NOT NULL, state TEXT NOT NULL, payload BLOB NOT NULL, submitted_at REAL NOT NULL,
    deadline REAL NOT NULL, max_attempts INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    answer BLOB NOT NULL DEFAULT x'', answered_by TEXT NOT NULL DEFAULT '', ended_at REAL, hook TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '', hook_due REAL, tries INTEGER NOT NULL DEFAULT 0, ready_at REAL NOT NULL DEFAULT 0,
    token TEXT, consumer TEXT, leased_until REAL, alone INTEGER NOT NULL DEFAULT 0, suspected INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ready ON task(label, submitted_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS leased ON task(leased_until) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS past ON task(state, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS hooks ON task(hook_due) WHERE hook_due IS NOT NULL;
CREATE TABLE IF NOT EXISTS alive (label TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS label (label TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (state TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended (state TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO ended VALUES ('succeeded', 0), ('failed', 0), ('cancelled', 0);
INSERT OR IGNORE INTO tally VALUES ('waiting', 0), ('running', 0), ('succeeded', 0), ('failed', 0), ('cancelled', 0);
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON task BEGIN
    UPDATE tally SET count = count + 1 WHERE state = new.state;
    INSERT OR IGNORE INTO label VALUES (new.label);
END;
CREATE TRIGGER IF NOT EXISTS moved AFTER UPDATE OF state ON task WHEN old.state <> new.state BEGIN
    UPDATE tally SET count = count - 1 WHERE state = old.state;
    UPDATE tally SET count = count + 1 WHERE state = new.state;
    UPDATE ended SET count = count + 1 WHERE state = new.state;
    INSERT OR IGNORE INTO label VALUES (new.label);
END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON task BEGIN
    UPDATE tally SET count = count - 1 WHERE state = old.state;
END;
"""
"""Counting rows would take longer the more tasks wait, and each submission looks at how many they are."""
_COLUMNS: Final = (
    "id, label, state, payload, submitted_at, deadline, attempts, error, answer, answered_by, ended_at, hook, note"
)
_READY: Final = "SELECT {what} FROM task WHERE state = 'waiting' AND label = ? AND ready_at <= ?"


def tasks(db: sqlite3.Connection, condition: str, *given: Any) -> list[Task]:
    """Tasks by a condition of ours."""
    found = db.execute(f"SELECT {_COLUMNS} FROM task WHERE {condition}", given)  # noqa: S608 - no value is in the text
    return [_task(*row) for row in found]


def _task(task_id: str, label: str, state: str, payload: bytes, *rest: Any) -> Task:
    submitted_at, deadline, attempts, error, answer, answered_by, ended_at, hook, note = rest
    return Task(
        id=task_id,
        version=label,
        state=TaskState(state),
        payload=bytes(payload),
        submitted_at=submitted_at,
        deadline=deadline,
        attempts=attempts,
        error=error,
        answer=bytes(answer),
        answered_by=answered_by,
        ended_at=ended_at,
        webhook=hook,
        webhook_note=note,
    )


def open_tasks(db: sqlite3.Connection) -> int:
    """How many wait or are worked on."""
    return sum(_count(db, state) for state in ("waiting", "running"))


def insert(db: sqlite3.Connection, task: NewTask, now: float) -> None:
    """Keep a new task."""
    db.execute(
        "INSERT INTO task(id, label, state, payload, submitted_at, deadline, max_attempts, hook)"
        " VALUES (?, ?, 'waiting', ?, ?, ?, ?, ?)",
        (task.id, task.version, task.payload, now, task.deadline, task.max_attempts, task.webhook),
    )


def anything(db: sqlite3.Connection, labels: Sequence[str], now: float) -> bool:
    """Whether a lease would do something."""
    if db.execute("SELECT 1 FROM task WHERE state = 'running' AND leased_until <= ? LIMIT 1", (now,)).fetchone():
        return True
    query = _READY.format(what="1") + " LIMIT 1"
    return any(db.execute(query, (label, now)).fetchone() for label in labels)


def lease(
    db: sqlite3.Connection, labels: Sequence[str], holder: tuple[str, str], most: int, seconds: float, now: float
) -> list[Lease]:
    """Take tasks for a consumer and its token."""
    for (task_id,) in db.execute("SELECT id FROM task WHERE state = 'running' AND leased_until <= ?", (now,)).fetchall():
        lose(db, task_id, now)
    taken: list[Lease] = []
    for label in labels:
        query = _READY.format(what="id, payload, attempts, deadline, suspected") + " ORDER BY submitted_at LIMIT ?"
        for task_id, payload, attempts, deadline, suspected in db.execute(query, (label, now, most + 1)).fetchall():
            if deadline <= now:
                bury(db, task_id, LATE, now)
                continue
            if len(taken) >= most or (suspected and taken):
                break
            taken.append(Lease(task_id, holder[1], bytes(payload), attempts, deadline, label))
            if suspected:
                return _held(db, taken, holder, now + seconds)
    return _held(db, taken, holder, now + seconds)


def _held(db: sqlite3.Connection, taken: list[Lease], holder: tuple[str, str], until: float) -> list[Lease]:
    db.executemany(
        "UPDATE task SET state = 'running', consumer = ?, token = ?, leased_until = ?, alone = ? WHERE id = ?",
        [(*holder, until, len(taken) == 1, lease.id) for lease in taken],
    )
    return taken


def renew(db: sqlite3.Connection, lease: Lease, until: float) -> bool:
    """Hold on to a lease; False where it is another's."""
    query = "UPDATE task SET leased_until = ? WHERE id = ? AND state = 'running' AND token = ?"
    return db.execute(query, (until, lease.id, lease.token)).rowcount == 1


def settle(db: sqlite3.Connection, outcome: Outcome, now: float) -> bool:
    """Say how a task ended."""
    task = outcome.lease.id
    if isinstance(outcome, Answered):
        db.execute(
            "UPDATE task SET answer = ?, answered_by = ?, attempts = attempts + 1"
            " WHERE id = ? AND state IN ('waiting', 'running')",
            (outcome.answer, outcome.by, task),
        )
        return end(db, task, TaskState.SUCCEEDED, now)
    query = "SELECT attempts, max_attempts FROM task WHERE id = ? AND state = 'running' AND token = ?"
    found = db.execute(query, (task, outcome.lease.token)).fetchone()
    if found is None:
        return False
    if not isinstance(outcome, Failed):
        give_back(db, task)
        return True
    db.execute("UPDATE task SET attempts = attempts + 1, error = ? WHERE id = ?", (outcome.error, task))
    if outcome.again_after is None or found[0] + 1 >= found[1]:
        bury(db, task, outcome.error, now)
    else:
        give_back(db, task)
        db.execute("UPDATE task SET ready_at = ? WHERE id = ?", (now + outcome.again_after, task))
    return True


def end(db: sqlite3.Connection, task_id: str, state: TaskState, now: float) -> bool:
    """End a task; False where it has ended."""
    query = (
        "UPDATE task SET state = ?, ended_at = ?, token = NULL, consumer = NULL, leased_until = NULL,"
        " hook_due = CASE hook WHEN '' THEN NULL ELSE ? END WHERE id = ? AND state IN ('waiting', 'running')"
    )
    return db.execute(query, (state.value, now, now, task_id)).rowcount == 1


def bury(db: sqlite3.Connection, task_id: str, error: str, now: float) -> None:
    """Put a task among the dead letters."""
    db.execute("UPDATE task SET error = ? WHERE id = ?", (error, task_id))
    end(db, task_id, TaskState.FAILED, now)


def give_back(db: sqlite3.Connection, task_id: str) -> None:
    """Have a task wait again."""
    db.execute(
        "UPDATE task SET state = 'waiting', token = NULL, consumer = NULL, leased_until = NULL WHERE id = ?", (task_id,)
    )


def lose(db: sqlite3.Connection, task_id: str, now: float) -> None:
    """A task whose worker died: an attempt where it was leased alone, else suspected."""
    query = "SELECT alone, attempts, max_attempts FROM task WHERE id = ?"
    alone, attempts, most = db.execute(query, (task_id,)).fetchone()
    if alone:
        db.execute("UPDATE task SET attempts = attempts + 1, error = ? WHERE id = ?", (LOST, task_id))
        if attempts + 1 >= most:
            bury(db, task_id, LOST, now)
            return
    db.execute("UPDATE task SET suspected = 1 WHERE id = ?", (task_id,))
    give_back(db, task_id)


def orphans(db: sqlite3.Connection, since: float) -> list[str]:
    """Labels with tasks, and with no workers since then."""
    query = "SELECT label FROM label WHERE label NOT IN (SELECT label FROM alive WHERE until > ?)"
    return [label for (label,) in db.execute(query, (since,)).fetchall() if _has_open(db, label)]


def depth(db: sqlite3.Connection, now: float) -> Depth:
    """What is in the queue."""
    counts = {state: _count(db, state) for state in ("waiting", "running", "failed")}
    labels = [row[0] for row in db.execute("SELECT label FROM label ORDER BY label")]
    query = "SELECT min(submitted_at) FROM task WHERE state = 'waiting' AND label = ?"
    oldest = [first for label in labels if (first := db.execute(query, (label,)).fetchone()[0]) is not None]
    age = max(0.0, now - min(oldest)) if oldest else None
    ended = dict(db.execute("SELECT state, count FROM ended WHERE count > 0").fetchall())
    waiting = dict(db.execute("SELECT label, count(*) FROM task WHERE state = 'waiting' GROUP BY label").fetchall())
    return Depth(counts["waiting"], counts["running"], counts["failed"], age, tuple(labels), ended, waiting)


def revive(db: sqlite3.Connection, task_id: str, deadline: float) -> bool:
    """Have a dead letter wait again."""
    query = (
        "UPDATE task SET state = 'waiting', attempts = 0, error = '', suspected = 0, ended_at = NULL, deadline = ?,"
        " ready_at = 0, hook_due = NULL, tries = 0, note = '' WHERE id = ? AND state = 'failed'"
    )
    return db.execute(query, (deadline, task_id)).rowcount == 1


def tries(db: sqlite3.Connection, task_id: str) -> int:
    """How often its webhook was called."""
    return int(db.execute("SELECT tries FROM task WHERE id = ?", (task_id,)).fetchone()[0])


def sweep(db: sqlite3.Connection, keep: Retention, now: float) -> None:
    """Fail what is late and forget what is old."""
    for (task_id,) in db.execute("SELECT id FROM task WHERE state = 'waiting' AND deadline <= ?", (now,)).fetchall():
        bury(db, task_id, LATE, now)
    query = "DELETE FROM task WHERE state = ? AND ended_at <= ?"
    db.execute(query, ("failed", now - keep.dead_letters))
    for state in ("succeeded", "cancelled"):
        db.execute(query, (state, now - keep.results))
    db.execute("DELETE FROM alive WHERE until <= ?", (now - 3600,))
    for (label,) in db.execute("SELECT label FROM label WHERE label NOT IN (SELECT label FROM alive)").fetchall():
        if not _has_open(db, label):
            db.execute("DELETE FROM label WHERE label = ?", (label,))


def _has_open(db: sqlite3.Connection, label: str) -> bool:
    query = "SELECT 1 FROM task WHERE label = ? AND state = ? LIMIT 1"
    return any(db.execute(query, (label, state)).fetchone() for state in ("waiting", "running"))


def _count(db: sqlite3.Connection, state: str) -> int:
    return int(db.execute("SELECT count FROM tally WHERE state = ?", (state,)).fetchone()[0])
