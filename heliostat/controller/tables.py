"""What the controller's file has besides rollouts: the audit log's outbox and anchor, and who may do what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from heliostat.controller.transactions import all_or_nothing
from heliostat.spec.audit import AuditAnchor, AuditEvent
from heliostat.spec.roles import AccessPolicy


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
        with all_or_nothing(self._db):
            self._db.executemany("INSERT OR IGNORE INTO audit_hashes VALUES (?, ?)", list(hashes.items()))
            self._db.execute("DELETE FROM audit_outbox WHERE sequence = ?", (sequence,))

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
        with all_or_nothing(self._db):
            self._db.execute("DELETE FROM access")
            if policy is not None:
                self._db.execute("INSERT INTO access VALUES (1, ?)", (policy.model_dump_json(),))
            self._audits.post([event])
