"""Has items of review queues go when their time is over: from the controller's file, and from the object store."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import UTC, datetime
from typing import Final

from heliostat.controller.audit import event
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.reviews import declared_review
from heliostat.spec.review import RETENTION_SECONDS, items_prefix
from heliostat.spec.roles import Identity
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectStore, open_store

_log = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 3600.0
_RETENTION: Final = Identity(name="the queue's retention", known=True, roles=())
"""Who removes them, for the audit log; nobody can be called so."""


class ReviewRetention:
    """Looks at every queue once an hour."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._table = reconciler.store.reviews

    async def run(self) -> None:
        """Do it for ever."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        """Remove what is over of every queue; what cannot be removed is told, and tried again with the next look."""
        try:
            names = self._table.applications()
        except sqlite3.Error as error:
            _log.warning("the review queues cannot be read: %s", error)
            return
        for name in names:
            try:
                await self.remove(name)
            except (RetryableError, PermanentError, sqlite3.Error) as error:
                _log.warning("review items of %s whose time is over are still there: %s", name, error)

    async def remove(self, name: str) -> int:
        """Remove an application's items whose time is over; how many.

        Raises:
            RetryableError, PermanentError: the object store does not answer.
            sqlite3.Error: the controller's file cannot be written.
        """
        now, seconds = self._reconciler.now(), self._seconds(name)
        before = now - seconds
        with self._table.whole():
            gone = self._table.expire(name, before)
            if gone:
                told = {"reviewItems": gone, "retentionSeconds": seconds}
                self._reconciler.store.audits.post([event(_RETENTION, "review.expire", name, now, change=({}, told))])
        if gone:
            self._reconciler.ledger.wake()
            _log.info("%d review items of %s went: their time is over", gone, name)
        keys = await asyncio.to_thread(_remove, open_store(self._reconciler.settings.inputs.store), name, before)
        self._table.forget_files(name, keys)
        return gone

    def _seconds(self, name: str) -> float:
        """How long its items stay; those of a queue that nobody declares any more, as by default."""
        review = declared_review(self._reconciler, name)
        return review.retention_seconds if review is not None else RETENTION_SECONDS


def _remove(store: ObjectStore, name: str, before: float) -> list[str]:
    """Remove objects that were written before a time, and so have older items alone; their keys."""
    limit = datetime.fromtimestamp(before, UTC)
    keys = [info.key for info in store.list(items_prefix(name)) if info.modified.astimezone(UTC) < limit]
    for key in keys:
        store.delete(key)
    return keys
