"""Has items of review queues go when their time is over: from the controller's file, and from the object store."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

from heliostat.controller.reconciler import Reconciler
from heliostat.spec.review import RETENTION_SECONDS, items_prefix
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectStore, open_store

_log = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 3600.0


class ReviewRetention:
    """Looks at every queue once an hour."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._table = reconciler.store.reviews

    async def run(self) -> None:
        """Do it for ever; where the object store does not answer, again an hour later."""
        while True:
            for name in self._table.applications():
                try:
                    await self.remove(name)
                except (RetryableError, PermanentError) as error:
                    _log.warning("review items of %s whose time is over are still in the object store: %s", name, error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def remove(self, name: str) -> int:
        """Remove an application's items whose time is over; how many.

        Raises:
            RetryableError, PermanentError: the object store does not answer.
        """
        before = self._reconciler.now() - self._seconds(name)
        if gone := self._table.expire(name, before):
            _log.info("%d review items of %s went: their time is over", gone, name)
        keys = await asyncio.to_thread(_remove, open_store(self._reconciler.settings.inputs.store), name, before)
        self._table.forget_files(name, keys)
        return gone

    def _seconds(self, name: str) -> float:
        """How long its items stay; those of a queue that nobody declares any more, as by default."""
        state = self._reconciler.states.get(name)
        review = state.declared.version.review if state is not None and state.declared is not None else None
        return review.retention_seconds if review is not None else RETENTION_SECONDS


def _remove(store: ObjectStore, name: str, before: float) -> list[str]:
    """Remove objects that were written before a time, and so have older items alone; their keys."""
    limit = datetime.fromtimestamp(before, UTC)
    keys = [info.key for info in store.list(items_prefix(name)) if info.modified.astimezone(UTC) < limit]
    for key in keys:
        store.delete(key)
    return keys
