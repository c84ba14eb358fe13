"""What the controller's file has besides rollouts: the audit log's outbox and anchor, who may do what, and reviews."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from heliostat.spec.audit import AuditAnchor, AuditEvent
from heliostat.spec.review import ReviewedItem, ReviewItem, ReviewLabel
from heliostat.spec.roles import AccessPolicy
from heliostat.systems.erasures import ErasedPeople


class AuditTable:
    """Events that wait for the audit log, and the hashes of the entries that were written."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def post(self, events: Iterable[AuditEvent]) -> None:
        """Have events written; in the transaction that is open, where one is."""
        self._db.executemany("INSERT INTO audit_outbox (event) VALUES (?)", [(each.model_dump_json(),) for each in events])

    def oldest(self) -> tuple[int, AuditEvent] | None:
        """The one to be written next, with its place in the queue."""
        found = self._db.execute("SELECT sequence, event FROM audit_outbox ORDER BY sequence LIMIT 1").fetchone()
        return (int(found[0]), AuditEvent.model_validate_json(found[1])) if found else None

    def waiting(self) -> int:
        """How many wait."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM audit_outbox").fetchone()
        return int(count)

    def written(self, sequence: int, hashes: dict[int, str]) -> None:
        """An event is in the log: forget it, and remember the hashes of its entry and of those that were met before it."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR IGNORE INTO audit_hashes VALUES (?, ?)", list(hashes.items()))
        self._db.execute("DELETE FROM audit_outbox WHERE sequence = ?", (sequence,))
        self._db.execute("COMMIT")

    def anchor(self) -> AuditAnchor:
        """All that is remembered."""
        rows = self._db.execute("SELECT number, hash FROM audit_hashes ORDER BY number")
        return AuditAnchor(hashes=dict(rows.fetchall()), waiting=self.waiting())

    def last(self) -> tuple[int, str] | None:
        """Number and hash of the newest entry that is remembered."""
        found = self._db.execute("SELECT number, hash FROM audit_hashes ORDER BY number DESC LIMIT 1").fetchone()
        return (int(found[0]), str(found[1])) if found else None


class AccessTable:
    """The policy that is declared."""

    def __init__(self, db: sqlite3.Connection, audits: AuditTable) -> None:
        self._db = db
        self._audits = audits

    def read(self) -> AccessPolicy | None:
        """It; None where none is declared, and whoever has the stack's token may do everything."""
        found = self._db.execute("SELECT policy FROM access").fetchone()
        return AccessPolicy.model_validate_json(found[0]) if found else None

    def save(self, policy: AccessPolicy | None, event: AuditEvent) -> None:
        """Have it be so, and tell the audit log: both or neither."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM access")
            if policy is not None:
                self._db.execute("INSERT INTO access VALUES (1, ?)", (policy.model_dump_json(),))
            self._audits.post([event])
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


class ReviewTable:
    """Items and labels, in the controller's file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def files(self, application: str) -> set[str]:
        """The objects that were read."""
        rows = self._db.execute("SELECT key FROM review_files WHERE application = ?", (application,))
        return {str(key) for (key,) in rows}

    def add(self, application: str, key: str, items: list[ReviewItem]) -> None:
        """Take an object's items: all of them or none."""
        self._db.execute("BEGIN IMMEDIATE")
        rows = [(application, each.id, each.model_dump_json()) for each in items]
        self._db.executemany("INSERT OR IGNORE INTO review_items VALUES (?, ?, ?)", rows)
        self._db.execute("INSERT OR IGNORE INTO review_files VALUES (?, ?)", (application, key))
        self._db.execute("COMMIT")

    def all(self, application: str) -> list[ReviewedItem]:
        """Every item with what was said of it, in the order of their ids, which is none of time or of confidence."""
        said: dict[str, list[ReviewLabel]] = {}
        query = "SELECT item, reviewer, label, at FROM review_labels WHERE application = ? ORDER BY at"
        for item, reviewer, label, at in self._db.execute(query, (application,)):
            said.setdefault(item, []).append(ReviewLabel(reviewer=reviewer, label=label, at=at))
        rows = self._db.execute("SELECT id, item FROM review_items WHERE application = ? ORDER BY id", (application,))
        return [
            ReviewedItem(item=ReviewItem.model_validate_json(item), labels=tuple(said.get(name, ()))) for name, item in rows
        ]

    def say(self, application: str, item: str, label: ReviewLabel) -> None:
        """Keep what somebody says; what they said of it before is forgotten."""
        row = (application, item, label.reviewer, label.label, label.at)
        self._db.execute("REPLACE INTO review_labels VALUES (?, ?, ?, ?, ?)", row)

    def withdraw(self, application: str, item: str, reviewer: str) -> None:
        """Forget what somebody said."""
        where = "application = ? AND item = ? AND reviewer = ?"
        self._db.execute(f"DELETE FROM review_labels WHERE {where}", (application, item, reviewer))  # noqa: S608

    def forget(self, application: str, people: ErasedPeople) -> int:
        """Remove the items of people whose data are deleted, with what was said of them; how many."""
        gone = [each.item.id for each in self.all(application) if people.has(each.item.inputs, each.item.at)]
        for table, column in (("review_labels", "item"), ("review_items", "id")):
            query = f"DELETE FROM {table} WHERE application = ? AND {column} = ?"  # noqa: S608 - our own names
            self._db.executemany(query, [(application, item) for item in gone])
        return len(gone)
