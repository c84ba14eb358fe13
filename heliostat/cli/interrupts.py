"""Ctrl-C and SIGTERM: the first ends an operation in order, the second aborts it, the third ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BETWEEN_S = 0.2


@contextmanager
def in_order(cancel: asyncio.Event, notice: Callable[[str], None]) -> Iterator[None]:
    """Turns signals to this process into `cancel` while the running loop is inside."""
    loop, count = asyncio.get_running_loop(), 0

    def hit() -> None:
        nonlocal count
        count += 1
        if count == 1:
            notice("Cancelling: what is under way finishes, nothing new begins. Press Ctrl-C again to abort.")
            cancel.set()
        elif count == 2:
            notice("Aborting. Once more ends this process at once; the next `up` goes on from the last checkpoint.")
            cancel.clear()  # the engine has to see it cleared before it is set again
            loop.call_later(_BETWEEN_S, cancel.set)
        else:
            os._exit(130)

    for number in _SIGNALS:
        loop.add_signal_handler(number, hit)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Lets SIGTERM end this process as Ctrl-C does, so that a lock is released on the way."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
