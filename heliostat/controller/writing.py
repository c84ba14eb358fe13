"""Writes what waits into an object store, for ever."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger(__name__)
_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0


async def write_for_ever(
    name: str, flush: Callable[[], Awaitable[None]], posted: asyncio.Event, count_waiting: Callable[[], int]
) -> None:
    """`flush` whenever something was `posted`; a store that is away is tried again, less and less often."""
    delay = 0.0
    while True:
        posted.clear()
        try:
            await flush()
            delay = 0.0
            await posted.wait()
        except Exception as error:
            # Whatever it is: it may be put right while this runs, and nothing that waits may be left out for the next.
            if not delay:
                known = isinstance(error, (RetryableError, PermanentError, sqlite3.Error))
                text = "%s waits (%s entries): %s"
                _log.warning(text, name, count_waiting(), error, exc_info=None if known else error)
            delay = min(_LONGEST_SECONDS, delay * 2 or _FIRST_SECONDS)
            await asyncio.sleep(delay)
