"""A clock that does not jump: wall time for people, but no step of the wall clock may shorten or lengthen a wait by much.

It runs with the kernel's time since boot, which nobody sets. What separates that from wall time is read at its first start
after a boot. A machine may boot with a wrong wall clock, and have it set minutes later; so what separates the two is drawn
to what it is by now, by a tenth of the time that passes at most, as `adjtime` does. The clock never goes back, a wait of ten
minutes lasts between nine and eleven and a bit, and an error of minutes is gone within the hour. What was drawn is kept, so
that a controller that is started again goes on with the same clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from heliostat.controller.store import Store

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RATE = 0.1
"""Of the time that passes, by which the clock is faster or slower until it shows wall time."""
_KEPT_SECONDS = 0.1
"""How far it is drawn until that is kept: less than passes until another controller is there, so that none goes back."""


def drawn(offset: float, wall_offset: float, passed: float) -> float:
    """What separates the clock from the time since boot `passed` seconds later, where by now `wall_offset` does. Pure."""
    most = max(0.0, passed) * _RATE
    return offset + max(-most, min(most, wall_offset - offset))


def _boot() -> str:
    return _BOOT_ID.read_text().strip()


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Unix time, in seconds, that goes on evenly, whoever sets the wall clock, and comes to agree with that."""

    def __init__(
        self,
        store: Store,
        boot: Callable[[], str] = _boot,
        since_boot: Callable[[], float] = _since_boot,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._since_boot = since_boot
        self._wall = wall
        self._boot = boot()
        self._at = since_boot()
        kept = store.clock()
        if kept is not None and kept[0] == self._boot:
            self._offset = self._kept = kept[1]
        else:
            self._offset, self._kept = wall() - self._at, math.inf
            self._keep()

    def now(self) -> float:
        """Unix time, in seconds."""
        at = self._since_boot()
        self._offset = drawn(self._offset, self._wall() - at, at - self._at)
        self._at = at
        if abs(self._offset - self._kept) > _KEPT_SECONDS:
            self._keep()
        return at + self._offset

    def _keep(self) -> None:
        offset = self._offset
        if self._store.faults.attempt(lambda: self._store.set_clock(self._boot, offset)):
            self._kept = offset
