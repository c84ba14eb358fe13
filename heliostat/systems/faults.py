"""What cannot be written down: said once when it begins, and once when it is over. Traffic is looked after all the same."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable

from heliostat.systems.errors import PermanentError

_log = logging.getLogger(__name__)
_CALM_SECONDS = 15.0
"""Without a failure, until it is over: a full disk takes this and refuses that. The rarest write is tried more often."""


class Faults:
    """Of one controller's folder."""

    def __init__(self) -> None:
        self.error = ""
        """Why something could not be written of late; empty where all is."""
        self._failed_at = 0.0

    def attempt(self, write: Callable[[], object]) -> bool:
        """Whether `write` went well; where the disk is full, or the like, who asked goes on without, and tries again."""
        try:
            write()
        except (sqlite3.Error, OSError, PermanentError) as error:
            self.note(error)
            return False
        if self.error and time.monotonic() - self._failed_at >= _CALM_SECONDS:
            self.error = ""
            _log.warning("what is decided is written down again")
        return True

    def note(self, error: Exception) -> None:
        """Something could not be written."""
        self._failed_at = time.monotonic()
        if not self.error:
            _log.error("cannot write down what is decided: %s; traffic is looked after all the same", error)
        self.error = str(error) or type(error).__name__
