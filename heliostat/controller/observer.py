"""What a backend says that it runs: read when it is old, and known to be away when the cluster does not answer."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from heliostat.controller.backends.serving import Deployments, ServingBackend
from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger(__name__)

FRESH_SECONDS = 0.15
"""How old it may be where nothing was asked of the backend since."""
_READ_SECONDS = 5.0
"""How long the backend may take for it until the cluster counts as away: what watches the traffic does not wait longer."""
_BLINK_SECONDS = 10.0
"""An answer that is missed is no absence until then: patience that begins anew with each would never end."""


class BackendObserver:
    """What a backend runs, as it was read last."""

    def __init__(self, backend: ServingBackend, now: Callable[[], float]) -> None:
        self._backend = backend
        self._now = now
        self._found: Deployments | None = None
        self._read_at: float | None = None
        self._expired = 0
        self.knows = 0
        """The number of the last `expire` before what was read last was asked for."""
        self.answers = False
        """Whether the cluster answered the last time."""
        self.error = ""
        """Why not, where it did not."""
        self.since = now()
        """Since when it has answered without a break worth the name, Unix time."""
        self._answered_at = -math.inf

    def expire(self) -> int:
        """Something was asked of the backend, so it is to be read again; the number of this time, as in `knows`."""
        self._read_at = None
        self._expired += 1
        return self._expired

    async def read(self) -> Deployments | None:
        """What runs; None while the cluster does not answer, or refuses to, and all stays as it is."""
        if self._found is not None and self._read_at is not None and time.monotonic() - self._read_at < FRESH_SECONDS:
            return self._found
        expired = self._expired
        try:
            async with asyncio.timeout(_READ_SECONDS):
                self._found = await self._backend.observe()
            self.knows = expired
            if time.monotonic() - self._answered_at > _BLINK_SECONDS and not self.answers:
                self.since = self._now()
            self._told("")
            self._answered_at = time.monotonic()
        except (RetryableError, PermanentError, TimeoutError) as error:
            # One that refuses, as where its token was changed, says as little as one that is silent.
            text = str(error) or f"the cluster did not answer within {_READ_SECONDS:g} s"
            self._found = None
            self._told(text)
        # Where it expired meanwhile, what came may be of before that.
        self._read_at = time.monotonic() if expired == self._expired else None
        return self._found

    def _told(self, error: str) -> None:
        # Once, not every second.
        if error and (self.answers or self._read_at is None):
            _log.warning("%s; what serves stays as it is", error)
        self.answers, self.error = not error, error
