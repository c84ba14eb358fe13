"""Following a rollout from an update: what is told of it, when it is through, and when it is left to itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from heliostat.provider.messages import standing, why_failed, why_left
from heliostat.provider.resource import Context
from heliostat.provider.switches import Switches
from heliostat.spec.rollouts import Desired, Phase, Rollout, Status
from heliostat.systems.controller_api import ENDS, ControllerClient, serves_as_declared
from heliostat.systems.errors import PermanentError, RetryableError

_SERVES = frozenset({Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED})
"""All traffic is on the new version, and it has passed all that it had to: for whoever waits it is done."""
_LOOK_SECONDS = 2.0
_LONG_SECONDS = 600.0
"""A pause or an analysis with more than this left is not waited for: no lock of a stack and no CI job is held for it."""

_RECENT_SECONDS = 60.0


@dataclass(frozen=True)
class Followed:
    """How following ended."""

    status: Status
    left: str | None = None
    """Why the rollout was left to itself; None where it is through."""


async def follow(
    context: Context, controller: ControllerClient, desired: Desired, status: Status, switches: Switches
) -> Followed:
    """Follow what was just declared until it serves, or until it is to be left.

    Raises:
        PermanentError: it does not come into place; what served goes on serving.
        RetryableError: the controller stays away, or the wait was cancelled: the rollout goes on.
    """
    name, teller = status.name, _Teller(context)
    cancelled = asyncio.ensure_future(context.cancelled.wait())
    statuses = controller.follow(name, status, _LOOK_SECONDS)
    grown_by = time.monotonic() + desired.startup_timeout_seconds
    try:
        while True:
            left_seconds = grown_by - time.monotonic() if _grows(status, desired) else None
            found = await _next(statuses, cancelled, name, left_seconds)
            if found is None:
                break
            status = found
            teller.tell(status)
            if status.desired != desired or is_through(status, desired, to_the_end=switches.wait):
                break
            left = to_leave(status, desired, switches, time.time())
            if left is not None:
                return Followed(status, left)
    finally:
        cancelled.cancel()
    _judge(status, desired)
    return Followed(status)


def is_through(status: Status, desired: Desired, *, to_the_end: bool = False) -> bool:
    """Whether the rollout to what is declared has brought it all the traffic; `to_the_end`: and is over altogether.

    One that leaves a cluster goes to its end in any case: that cluster goes with the update.
    """
    rollout = status.rollout
    if rollout is None or status.desired != desired:
        return False
    if rollout.to_version == desired.version.label and rollout.phase is not Phase.SUPERSEDED:
        return rollout.phase in (_SERVES & ENDS if to_the_end or rollout.moves else _SERVES) and not _grows(status, desired)
    # Where what was declared served already, no rollout was needed: the newest one is older.
    return serves_as_declared(status)


def _grows(status: Status, desired: Desired) -> bool:
    """Whether replicas are on their way that were declared once the version had all traffic, within its window."""
    rollout = status.rollout
    retains = rollout is not None and rollout.phase is Phase.RETAINING and rollout.to_version == desired.version.label
    return retains and status.desired == desired and status.healthy_replicas < desired.replicas


def to_leave(status: Status, desired: Desired, switches: Switches, now: float) -> str | None:
    """Why the update does not stay with the rollout to what is declared; None where it does."""
    rollout = status.rollout
    if rollout is None or rollout.phase in ENDS or rollout.to_version != desired.version.label or switches.wait:
        return None
    long = rollout.until is not None and rollout.until - now > _LONG_SECONDS
    timed = (Phase.PAUSED, Phase.ANALYSING, *((Phase.RETAINING,) if rollout.moves else ()))
    waits = rollout.phase is Phase.WAITING or (rollout.phase in timed and long)
    return why_left(status.name, rollout, switches.detach) if waits or switches.detach else None


def _judge(status: Status, desired: Desired) -> None:
    rollout, label = status.rollout, desired.version.label
    if is_through(status, desired):
        return
    if _grows(status, desired):
        raise PermanentError(
            f"{status.healthy_replicas} of {desired.replicas} replicas of {label} were healthy after "
            f"{desired.startup_timeout_seconds:g} s (startupTimeoutSeconds); "
            f"{'it serves with those' if status.serving is not None else 'nothing answers'}: "
            "declare fewer, or give the cluster room"
        )
    if status.desired != desired:
        raise PermanentError(f"{_successor(status)} took the place of {label}")
    if rollout is not None and rollout.phase is Phase.FAILED:
        raise PermanentError(why_failed(status, rollout))
    raise RetryableError(f"{label} does not serve yet; run it again")


def _successor(status: Status) -> str:
    newer = status.desired.version.label if status.desired is not None else "nothing"
    origin = status.rollout.origin if status.rollout is not None else None
    return f"another declaration ({newer}{f', by {origin.by}' if origin is not None else ''})"


async def _next(
    statuses: AsyncIterator[Status], cancelled: asyncio.Task[Literal[True]], name: str, seconds: float | None
) -> Status | None:
    """The next status; None where there is none, or none within `seconds`."""
    newest: asyncio.Future[Status | None] = asyncio.ensure_future(anext(statuses, None))
    both: set[asyncio.Future[Any]] = {newest, cancelled}
    await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if newest.done():
        return newest.result()
    newest.cancel()
    if cancelled.done():
        raise RetryableError(f"the rollout of {name} goes on without this `up`; the next one follows it")
    return None


class _Teller:
    """Tells each event once, and figures the less often the longer they take, so that a log stays readable."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._told = (0, 0)
        self._began = self._at = time.monotonic()

    def tell(self, status: Status) -> None:
        """Tell what is new in `status`."""
        rollout = status.rollout
        if rollout is None:
            return
        fresh = rollout.events[self._told[1] if self._told[0] == rollout.number else 0 :]
        # Of a rollout that an earlier update began, the latest says where it is.
        for event in [event for event in fresh if event.at > time.time() - _RECENT_SECONDS] or fresh[-1:]:
            self._context.progress(f"{event.phase}: {event.message}")
        self._told = (rollout.number, len(rollout.events))
        now = time.monotonic()
        if fresh or now - self._at >= max(_LOOK_SECONDS, (now - self._began) / 20):
            self._at = now
            self._figures(rollout)

    def _figures(self, rollout: Rollout) -> None:
        if rollout.phase in (Phase.ANALYSING, Phase.PAUSED):
            self._context.progress(standing(rollout, time.time()))
