"""Clients that wait for tasks to end: one look at the broker for all of them, every fraction of a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger("ray.serve")

_LOOK_SECONDS: Final = 0.05
_MOST: Final = 2_000


class Waiting:
    """Who waits, in one event loop."""

    def __init__(self, ended: Callable[[Collection[str]], Awaitable[set[str]]]) -> None:
        """`ended`: those of tasks that have ended."""
        self._ended = ended
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._count = 0
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, task_id: str, seconds: float) -> None:
        """Return once the task has ended, or nobody can say, `seconds` later at the latest; at once where too many wait."""
        if self._count >= _MOST or seconds <= 0:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, set()).add(future)
        self._count += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            self._count -= 1
            self._waiting[task_id].discard(future)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    async def _look(self) -> None:
        try:
            while self._waiting:
                for task_id in await self._ended(list(self._waiting)):
                    self._wake(task_id)
                await asyncio.sleep(_LOOK_SECONDS)
        except (RetryableError, PermanentError) as error:
            _log.warning("whoever waits for tasks is told that they go on: %s", error)
            for task_id in list(self._waiting):
                self._wake(task_id)
        finally:
            self._looking = None

    def _wake(self, task_id: str) -> None:
        for future in self._waiting.get(task_id, ()):
            if not future.done():
                future.set_result(None)
