"""Serve's account of itself: read when it is old, and known to be away when the cluster does not answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from heliostat.systems.errors import RetryableError
from heliostat.systems.ray_serve import ServeClient, ServeInstance

_log = logging.getLogger(__name__)

FRESH_SECONDS = 0.15
"""How old it may be where nothing was asked of Serve since."""
_READ_SECONDS = 5.0
"""How long Serve may take for it until the cluster counts as away: what watches the traffic does not wait longer."""


class Account:
    """What Serve runs, as it was read last."""

    def __init__(self, serve: ServeClient, now: Callable[[], float]) -> None:
        self._serve = serve
        self._now = now
        self._found: ServeInstance | None = None
        self._read_at: float | None = None
        self.answers = False
        """Whether the cluster answered the last time."""
        self.since = now()
        """Since when it has answered without a break, Unix time."""

    def expire(self) -> None:
        """Something was asked of Serve, so it is to be read again."""
        self._read_at = None

    async def read(self) -> ServeInstance | None:
        """What Serve runs; None while the cluster does not answer, and all stays as it is."""
        if self._found is not None and self._read_at is not None and time.monotonic() - self._read_at < FRESH_SECONDS:
            return self._found
        try:
            async with asyncio.timeout(_READ_SECONDS):
                self._found = await self._serve.read()
            if not self.answers:
                self.since = self._now()
            self._told(True)
        except (RetryableError, TimeoutError) as error:
            text = str(error) or f"Serve did not answer within {_READ_SECONDS:g} s"
            self._found = None
            self._told(False, f"{text}; what serves stays as it is")
        self._read_at = time.monotonic()
        return self._found

    def _told(self, answers: bool, text: str = "") -> None:
        # Once, not every second.
        if text and (self.answers or self._read_at is None):
            _log.warning("%s", text)
        self.answers = answers
