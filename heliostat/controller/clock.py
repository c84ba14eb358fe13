"""A clock that does not jump: wall time for people, but no step of the wall clock may shorten or lengthen a wait.

Between two starts of the machine it runs with the kernel's time since boot, which nobody sets. What separates that from
wall time is read once a boot and kept, so that a controller that is started again goes on with the same clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from heliostat.controller.store import Store

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> str:
    return _BOOT_ID.read_text().strip()


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Unix time, in seconds, that goes on evenly for as long as the machine runs, whoever sets the wall clock."""

    def __init__(
        self,
        store: Store,
        boot: Callable[[], str] = _boot,
        since_boot: Callable[[], float] = _since_boot,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._since_boot = since_boot
        found = boot()
        kept = store.clock()
        if kept is not None and kept[0] == found:
            self._offset = kept[1]
        else:
            self._offset = wall() - since_boot()
            store.set_clock(found, self._offset)

    def now(self) -> float:
        """Unix time, in seconds."""
        return self._since_boot() + self._offset
