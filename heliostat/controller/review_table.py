"""What the controller's file has of reviews: items, what people said of them, and what is ground truth by that."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from heliostat.controller.transactions import all_or_nothing
from heliostat.spec.review import ReviewedItem, ReviewItem, ReviewLabel
from heliostat.systems.erasures import ErasedPeople


@dataclass(frozen=True)
class WaitingTruth:
    """What the object store is to say of an item."""

    application: str
    item: str
    content: bytes | None
    """None: nothing."""
    revision: int


class ReviewTable:
    """Items, labels and truths."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def whole(self) -> AbstractContextManager[None]:
        """Have all be kept that is done within, or nothing of it."""
        return all_or_nothing(self._db)

    def files(self, application: str) -> set[str]:
        """The objects that were read."""
        rows = self._db.execute("SELECT key FROM review_files WHERE application = ?", (application,))
        return {str(key) for (key,) in rows}

    def add(self, application: str, key: str, items: list[ReviewItem]) -> None:
        """Take an object's items: all of them or none."""
        rows = [(application, each.id, each.model_dump_json()) for each in items]
        with self.whole():
            self._db.executemany("INSERT OR IGNORE INTO review_items VALUES (?, ?, ?)", rows)
            self._db.execute("INSERT OR IGNORE INTO review_files VALUES (?, ?)", (application, key))

    def applications(self) -> list[str]:
        """Those that have items, or had objects read."""
        rows = self._db.execute("SELECT application FROM review_items UNION SELECT application FROM review_files ORDER BY 1")
        return [str(name) for (name,) in rows]

    def count(self, application: str) -> int:
        """How many items there are."""
        (found,) = self._db.execute("SELECT COUNT(*) FROM review_items WHERE application = ?", (application,)).fetchone()
        return int(found)

    def labels(self, application: str) -> dict[str, tuple[ReviewLabel, ...]]:
        """What was said, by item, the first first; no item that nobody labelled."""
        said: dict[str, tuple[ReviewLabel, ...]] = {}
        query = "SELECT item, reviewer, label, at FROM review_labels WHERE application = ? ORDER BY at"
        for item, reviewer, label, at in self._db.execute(query, (application,)):
            said[item] = (*said.get(item, ()), ReviewLabel(reviewer=reviewer, label=label, at=at))
        return said

    def labelled(self, application: str) -> list[ReviewedItem]:
        """Every item that somebody labelled."""
        said = self.labels(application)
        query = (
            "SELECT id, item FROM review_items WHERE application = ?1 AND id IN "
            "(SELECT item FROM review_labels WHERE application = ?1)"
        )
        rows = self._db.execute(query, (application,))
        return [ReviewedItem(item=ReviewItem.model_validate_json(item), labels=said[name]) for name, item in rows]

    def item(self, application: str, name: str) -> ReviewedItem | None:
        """One item; None where it is not there, or not any more."""
        key = (application, name)
        found = self._db.execute("SELECT item FROM review_items WHERE application = ? AND id = ?", key).fetchone()
        if found is None:
            return None
        query = "SELECT reviewer, label, at FROM review_labels WHERE application = ? AND item = ? ORDER BY at"
        labels = [ReviewLabel(reviewer=who, label=label, at=at) for who, label, at in self._db.execute(query, key)]
        return ReviewedItem(item=ReviewItem.model_validate_json(found[0]), labels=tuple(labels))

    def unlabelled(self, application: str, turn: str, skipped: Collection[str]) -> str | None:
        """The first item from `turn` on, all the way round, that nobody labelled.

        The order is of the last digits of ids: the first ones decide which sure answers are chosen, and by those these would
        all come first.
        """
        query = (
            "SELECT id FROM review_items WHERE application = ?1 AND substr(id, 17) {} ?2 AND NOT EXISTS "
            "(SELECT 1 FROM review_labels WHERE application = ?1 AND review_labels.item = review_items.id) "
            "ORDER BY substr(id, 17), id"
        )
        for side in (">=", "<"):
            for (name,) in self._db.execute(query.format(side), (application, turn)):
                if name not in skipped:
                    return str(name)
        return None

    def say(self, application: str, item: str, label: ReviewLabel) -> None:
        """Keep what somebody says; what they said of it before is forgotten."""
        row = (application, item, label.reviewer, label.label, label.at)
        self._db.execute("REPLACE INTO review_labels VALUES (?, ?, ?, ?, ?)", row)

    def withdraw(self, application: str, item: str, reviewer: str) -> None:
        """Forget what somebody said."""
        where = "application = ? AND item = ? AND reviewer = ?"
        self._db.execute(f"DELETE FROM review_labels WHERE {where}", (application, item, reviewer))  # noqa: S608

    def truths(self, application: str) -> dict[str, str | None]:
        """The label that each item was last found to have; None: none any more."""
        return dict(self._db.execute("SELECT item, label FROM review_truths WHERE application = ?", (application,)).fetchall())

    def find(self, application: str, truths: Mapping[str, tuple[str | None, bytes | None]]) -> None:
        """Have items have these labels, and their truths wait until they are written."""
        query = (
            "INSERT INTO review_truths VALUES (?, ?, ?, ?, 1, 0) ON CONFLICT DO UPDATE SET "
            "label = excluded.label, content = excluded.content, revision = revision + 1, written = 0"
        )
        self._db.executemany(query, [(application, item, *found) for item, found in truths.items()])

    def waiting(self) -> int:
        """How many truths the object store was not told yet."""
        (found,) = self._db.execute("SELECT COUNT(*) FROM review_truths WHERE written = 0").fetchone()
        return int(found)

    def next_waiting(self) -> WaitingTruth | None:
        """One of them."""
        query = "SELECT application, item, content, revision FROM review_truths WHERE written = 0 LIMIT 1"
        found = self._db.execute(query).fetchone()
        return WaitingTruth(*found) if found else None

    def written(self, truth: WaitingTruth) -> None:
        """The object store was told; what was found since waits on."""
        where = "application = ? AND item = ? AND revision = ?"
        query = f"UPDATE review_truths SET written = 1 WHERE {where}"  # noqa: S608 - our own names
        self._db.execute(query, (truth.application, truth.item, truth.revision))

    def expire(self, application: str, before: float) -> int:
        """Remove items of before a time that nobody said anything of since, with what was said before; how many.

        It is part of the transaction that is open. What the object store is yet to be told of an item keeps it.
        """
        query = (
            "SELECT id FROM review_items WHERE application = ?1 AND json_extract(item, '$.at') < ?2 AND NOT EXISTS "
            "(SELECT 1 FROM review_labels WHERE application = ?1 AND item = review_items.id AND at >= ?2) AND NOT EXISTS "
            "(SELECT 1 FROM review_truths WHERE application = ?1 AND item = review_items.id AND written = 0)"
        )
        gone = [str(item) for (item,) in self._db.execute(query, (application, before))]
        self._remove(application, gone)
        return len(gone)

    def forget_files(self, application: str, keys: Collection[str]) -> None:
        """Forget that objects were read, which are there no more."""
        with self.whole():
            query = "DELETE FROM review_files WHERE application = ? AND key = ?"
            self._db.executemany(query, [(application, key) for key in keys])

    def forget(self, application: str, people: ErasedPeople) -> list[str]:
        """Remove the items of people whose data are deleted, with what was said of them; which."""
        rows = self._db.execute("SELECT item FROM review_items WHERE application = ?", (application,))
        items = (ReviewItem.model_validate_json(item) for (item,) in rows)
        gone = [each.id for each in items if people.has(each.inputs, each.at)]
        with self.whole():
            self._remove(application, gone)
        return gone

    def _remove(self, application: str, items: Collection[str]) -> None:
        for table, column in (("review_labels", "item"), ("review_truths", "item"), ("review_items", "id")):
            query = f"DELETE FROM {table} WHERE application = ? AND {column} = ?"  # noqa: S608 - our own names
            self._db.executemany(query, [(application, item) for item in items])
