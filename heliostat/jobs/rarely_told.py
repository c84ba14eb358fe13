"""Progress of what has many steps, of which people are told now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 5.0


class RarelyTold:
    """Tells the first of many texts, and then at most one every few seconds.

    Args:
        tell: where they are told.
        clock: seconds of any beginning.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._next = clock()

    def __call__(self, text: str) -> None:
        """Tell it, where it is time."""
        if (now := self._clock()) >= self._next:
            self._tell(text)
            self._next = now + _SECONDS
