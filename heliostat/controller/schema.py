"""The tables of the controller's file, by version: a file of an earlier version is brought to the newest when it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from heliostat.systems.errors import PermanentError

VERSION = 2

_FIRST = """
CREATE TABLE applications (name TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE rollouts (application TEXT, number INTEGER, progress TEXT NOT NULL, PRIMARY KEY (application, number));
CREATE TABLE events (
    application TEXT, rollout INTEGER, number INTEGER, at REAL NOT NULL, phase TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (application, rollout, number)
);
CREATE TABLE golden (
    application TEXT, colour TEXT, replica TEXT, failure TEXT, PRIMARY KEY (application, colour, replica)
);
CREATE TABLE measurements (application TEXT, name TEXT, seconds REAL NOT NULL, at REAL NOT NULL);
CREATE TABLE shifts (application TEXT, at REAL NOT NULL, green_share INTEGER NOT NULL);
CREATE TABLE traffic (application TEXT PRIMARY KEY, route TEXT NOT NULL);
"""

# Which shares there were is said by the ledger, and by the samples.
_SECOND = """
DROP TABLE shifts;
CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, application TEXT NOT NULL, entry TEXT NOT NULL);
CREATE TABLE samples (
    application TEXT, rollout INTEGER, at REAL, point TEXT NOT NULL, PRIMARY KEY (application, rollout, at)
) WITHOUT ROWID;
CREATE TABLE counters (application TEXT PRIMARY KEY, counters TEXT NOT NULL);
CREATE TABLE tallies (
    application TEXT, strategy TEXT, result TEXT, count INTEGER NOT NULL, PRIMARY KEY (application, strategy, result)
);
CREATE TABLE clock (boot TEXT NOT NULL, wall_offset REAL NOT NULL);
INSERT INTO tallies
    SELECT application, json_extract(progress, '$.strategy.kind'), json_extract(progress, '$.phase'), COUNT(*) FROM rollouts
    WHERE json_extract(progress, '$.phase') IN ('succeeded', 'failed', 'superseded') GROUP BY 1, 2, 3;
"""

_MIGRATIONS = {1: _FIRST, 2: _SECOND}
"""By the version that each leads to, from the one before."""


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the newest version, each step whole or not at all.

    Raises:
        PermanentError: it is of a version that this program does not know yet.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise PermanentError(f"{path} is of version {version}, this program knows up to {VERSION}: use the newer program")
    for number in range(version + 1, VERSION + 1):
        try:
            db.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
