"""Work on a cluster that an update leaves to itself: when, and what is noted so that the next one tells its end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from heliostat.provider.switches import Switches, switches_of
from heliostat.spec.left_work import LeftWork
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_A_LOOK_SECONDS = 2.0
"""How long work that has run for long already is looked at: it may end just then."""


@dataclass(frozen=True)
class Note:
    """That the update of a resource left an attempt: without it, one that failed with nobody there would only be begun anew.

    Each resource has its own, since several environments may wait for the same work.
    """

    store: ObjectStore
    base: str
    urn: str

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"jobs/{self.base}.left-{hashlib.sha256(self.urn.encode()).hexdigest()[:12]}"

    def write(self, left: LeftWork) -> None:
        """Note what was left."""
        self.store.put(self.key, left.model_dump_json(exclude_none=True).encode())

    def is_of(self, submission_id: str) -> bool:
        """Whether it was this attempt that was left."""
        try:
            return LeftWork.model_validate_json(self.store.get(self.key)).job == submission_id
        except (ObjectMissingError, ValidationError):
            return False

    def remove(self) -> None:
        """Forget it: its end is told."""
        self.store.delete(self.key)


@asynccontextmanager
async def to_leave(cancelled: asyncio.Event, started: float | None) -> AsyncIterator[asyncio.Event]:
    """An event that is set when work is to be left: on Ctrl-C, and where the update detaches, once it has run for long.

    `started` is when the work began, Unix time; None: now, or it waits yet.
    """
    event, switches = asyncio.Event(), switches_of(os.environ)
    watches = [asyncio.ensure_future(_set_with(event, cancelled))]
    if switches.detach:
        watches.append(asyncio.ensure_future(_set_after(event, _stays(switches, started, time.time()))))
    try:
        yield event
    finally:
        for watch in watches:
            watch.cancel()


def _stays(switches: Switches, started: float | None, now: float) -> float:
    """For how many seconds an update stays with work."""
    left = switches.stay_seconds - (now - started if started is not None else 0.0)
    return min(switches.stay_seconds, max(left, _A_LOOK_SECONDS))


async def _set_with(event: asyncio.Event, other: asyncio.Event) -> None:
    await other.wait()
    event.set()


async def _set_after(event: asyncio.Event, seconds: float) -> None:
    await asyncio.sleep(seconds)
    event.set()
