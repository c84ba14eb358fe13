"""The nodes of a cluster, read beside the looks at what it runs: no look waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_capacity import NodeTotals

_log = logging.getLogger(__name__)
_AGAIN_SECONDS = 2.0
_OLD_SECONDS = 30.0
"""From then on what was read says nothing about now."""


class NodeWatch:
    """The nodes as they were read last, read again while somebody asks."""

    def __init__(
        self, read: Callable[[], Awaitable[tuple[NodeTotals, ...]]], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._now = now
        self._found: tuple[NodeTotals, ...] | None = None
        self._asked_at = self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def nodes(self) -> tuple[NodeTotals, ...] | None:
        """Give the nodes, and have them read again where that was a while ago; None where they are not known."""
        is_idle = self._reading is None or self._reading.done()
        if is_idle and self._now() - self._asked_at >= _AGAIN_SECONDS:
            self._asked_at = self._now()
            self._reading = asyncio.create_task(self._refresh())
        return self._found if self._now() - self._read_at < _OLD_SECONDS else None

    async def close(self) -> None:
        """End a reading that is on its way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            self._found = await self._read()
        except (RetryableError, PermanentError) as error:
            _log.info("whether anything waits for nodes is not known: %s", error)
        else:
            self._read_at = self._now()
