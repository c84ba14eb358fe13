"""Changes of the controller's file that belong together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def all_or_nothing(db: sqlite3.Connection) -> Iterator[None]:
    """Have all be kept that is done within, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk may have undone it already, or may refuse no more than the end of it.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
