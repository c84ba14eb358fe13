"""The tables of the controller's file, by version: a file of an earlier version is brought to the newest when it is opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from heliostat.rollout.refusals import entry_of
from heliostat.spec.rollouts import Desired
from heliostat.systems.errors import PermanentError

VERSION = 8

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


def _third(db: sqlite3.Connection) -> None:
    """A refusal is no longer of all of a declaration, but of its version and of what it has to pass."""
    with closing(db.execute("SELECT name, state FROM applications")) as rows:
        states = {name: json.loads(state) for name, state in rows}
    for name, state in states.items():
        with closing(db.execute("SELECT progress FROM rollouts WHERE application = ?", (name,))) as rows:
            known = [*_declarations(state), *(each for (progress,) in rows for each in _declarations(json.loads(progress)))]
        by_all = {sha256(each.model_dump_json().encode()).hexdigest(): each for each in known}
        by_label = {each.version.label: each for each in reversed(known)}
        state["refused"] = [_third_refusal(each, by_all, by_label) for each in state.get("refused", ())]
        db.execute("UPDATE applications SET state = ? WHERE name = ?", (json.dumps(state), name))


def _third_refusal(old: dict[str, Any], by_all: dict[str, Desired], by_label: dict[str, Desired]) -> dict[str, Any]:
    desired = by_all.get(old["fingerprint"], by_label.get(old["label"]))
    if desired is None:  # its rollout is forgotten: what is left of it is its label
        return {**old, "identity": ""}
    return entry_of(desired, old["rollout"], old["at"], old["reason"]).model_dump(mode="json")


def _declarations(found: Any) -> list[Desired]:
    """Every declaration in a state or a rollout, the outermost first."""
    if isinstance(found, dict) and {"version", "strategy", "replicas"} <= found.keys():
        return [Desired.model_validate(found)]
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [desired for each in inner for desired in _declarations(each)]


# What was counted before is of all routes, and judges none; samples that stay tell of what was, and no window begins in them.
_FOURTH = "DELETE FROM counters;"

# Of a traffic plane of several members: what they shall do, and who they were.
_FIFTH = "CREATE TABLE IF NOT EXISTS plane (name TEXT PRIMARY KEY, value TEXT NOT NULL);"

# The one to work on first, then those that something is left on.
_SIXTH = "CREATE TABLE IF NOT EXISTS clusters (position INTEGER PRIMARY KEY, address TEXT NOT NULL);"

# What people did, for the audit log, with the hashes of its entries; who may do what; and what people said of answers.
_SEVENTH = """
CREATE TABLE IF NOT EXISTS audit_outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit_hashes (number INTEGER PRIMARY KEY, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS access (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), policy TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS review_items (
    application TEXT, id TEXT, item TEXT NOT NULL, PRIMARY KEY (application, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS review_files (application TEXT, key TEXT, PRIMARY KEY (application, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS review_labels (
    application TEXT, item TEXT, reviewer TEXT, label TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (application, item, reviewer)
) WITHOUT ROWID;
"""

# What is ground truth by the reviews, and whether the object store has it; and the order in which items are handed out.
_EIGHTH = """
CREATE TABLE IF NOT EXISTS review_truths (
    application TEXT, item TEXT, label TEXT, content BLOB, revision INTEGER NOT NULL, written INTEGER NOT NULL,
    PRIMARY KEY (application, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS review_truths_waiting ON review_truths (application, item) WHERE written = 0;
CREATE INDEX IF NOT EXISTS review_turns ON review_items (application, substr(id, 17), id);
"""

_MIGRATIONS: dict[int, str | Callable[[sqlite3.Connection], None]] = {
    1: _FIRST,
    2: _SECOND,
    3: _third,
    4: _FOURTH,
    5: _FIFTH,
    6: _SIXTH,
    7: _SEVENTH,
    8: _EIGHTH,
}
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
            _take(db, number)
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _take(db: sqlite3.Connection, number: int) -> None:
    step = _MIGRATIONS[number]
    if isinstance(step, str):
        db.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")
        return
    db.execute("BEGIN IMMEDIATE")
    step(db)
    db.execute(f"PRAGMA user_version = {number}")
    db.execute("COMMIT")
