"""Tells the object store what people agree on: it waits in the controller's file until it is there."""

from __future__ import annotations

import asyncio

from heliostat.controller.review_table import ReviewTable, WaitingTruth
from heliostat.controller.writing import write_for_ever
from heliostat.spec.review import truth_key
from heliostat.systems.objects import ObjectStore


class ReviewTruths:
    """Writes what waits, one after another: of two words on an item the object store never has the older one."""

    def __init__(self, table: ReviewTable, objects: ObjectStore) -> None:
        self._table = table
        self._objects = objects
        self._posted = asyncio.Event()
        self._lock = asyncio.Lock()

    def wake(self) -> None:
        """Something was found."""
        self._posted.set()

    async def run(self) -> None:
        """Write what waits, for ever; a store that is away is tried again, less and less often."""
        await write_for_ever("what people reviewed", self.flush, self._posted, self._table.waiting)

    async def flush(self) -> None:
        """Write all that waits.

        Raises:
            RetryableError: the object store does not answer.
            PermanentError: it refuses.
        """
        async with self._lock:
            while (truth := self._table.next_waiting()) is not None:
                await asyncio.to_thread(self._write, truth)
                self._table.written(truth)

    def _write(self, truth: WaitingTruth) -> None:
        key = truth_key(truth.application, truth.item)
        if truth.content is None:
            self._objects.delete(key)
        else:
            self._objects.put(key, truth.content)
