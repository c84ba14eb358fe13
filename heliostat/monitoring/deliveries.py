"""Which sink gets which notification, and when a delivery that failed is tried again. Pure; others send."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, Field

from heliostat.monitoring.alarms import Notification
from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.notifications import Sink

_FIRST_WAIT: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(hours=1)
_GIVEN_UP: Final = timedelta(days=2)
_KEPT_LOST: Final = 100


SENDING: Final = timedelta(minutes=1)
"""How long sending one may take: then it is somebody else's."""


class Delivery(Model):
    """A notification on its way to one sink."""

    sink: str
    notification: Notification
    due: AwareDatetime
    attempts: int = 0
    error: str = Field(default="", exclude_if=is_empty)
    """Why the last attempt failed, without the secret that it was made with."""
    taken: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """When somebody began to send it, by the clock on the wall, whatever the time is that they look at."""

    def is_taken(self, now: datetime) -> bool:
        """Whether somebody may be sending it; whoever was killed over it is not waited for, nor a clock that is far ahead."""
        return self.taken is not None and abs(now - self.taken) < SENDING


class Outbox(Model):
    """What is to be sent, the oldest first, and what never could be."""

    waiting: tuple[Delivery, ...] = ()
    lost: tuple[Delivery, ...] = ()
    """Those that were given up, the newest of them: a sink is wrong, and somebody has to be told otherwise."""


def enqueue(outbox: Outbox, notifications: Iterable[Notification], sinks: Iterable[Sink]) -> Outbox:
    """The outbox with what each sink is to be told; a notification that waits for it already is not put in again."""
    sinks = tuple(sinks)
    known = {(each.sink, each.notification.id) for each in (*outbox.waiting, *outbox.lost)}
    fresh = [
        Delivery(sink=sink.name, notification=notification, due=notification.at)
        for notification in notifications
        for sink in sinks
        if wants(sink, notification) and (sink.name, notification.id) not in known
    ]
    return outbox.model_copy(update={"waiting": (*outbox.waiting, *fresh)})


def wants(sink: Sink, notification: Notification) -> bool:
    """Whether a sink is told of it."""
    alarm = notification.alarm
    if sink.only_escalated and not alarm.escalated:
        return False
    # Whoever was told of something is told that it is over, though it became less by then.
    return alarm.severity.rank >= sink.least_severity.rank


def due(outbox: Outbox, now: datetime) -> list[Delivery]:
    """What is to be sent now: of one alarm and sink only the oldest, so that nobody hears of an end before its beginning."""
    found: dict[tuple[str, str], Delivery] = {}
    for each in outbox.waiting:
        found.setdefault((each.sink, each.notification.alarm.key), each)
    return [each for each in found.values() if each.due <= now]


def take(outbox: Outbox, delivery: Delivery, now: datetime) -> Outbox | None:
    """The outbox when somebody begins to send it; None where another one did, and is at it, or is done."""
    there = next((each for each in outbox.waiting if _same(each, delivery)), None)
    if there is None or there.attempts != delivery.attempts or there.is_taken(now):
        return None
    mine = there.model_copy(update={"taken": now})
    return outbox.model_copy(update={"waiting": tuple(mine if each is there else each for each in outbox.waiting)})


def delivered(outbox: Outbox, delivery: Delivery) -> Outbox:
    """The outbox when it was taken."""
    return outbox.model_copy(update={"waiting": tuple(each for each in outbox.waiting if not _same(each, delivery))})


def failed(outbox: Outbox, delivery: Delivery, error: str, permanent: bool, now: datetime) -> Outbox:
    """The outbox when it was not: the next attempt comes after twice the time, up to an hour, and none after two days."""
    attempts = delivery.attempts + 1
    wait = min(_FIRST_WAIT * 2 ** min(attempts - 1, 10), _LONGEST_WAIT)
    tried = delivery.model_copy(update={"attempts": attempts, "error": error, "due": now + wait, "taken": None})
    if permanent or now - delivery.notification.at >= _GIVEN_UP:
        return delivered(outbox, delivery).model_copy(update={"lost": (*outbox.lost, tried)[-_KEPT_LOST:]})
    return outbox.model_copy(update={"waiting": tuple(tried if _same(each, delivery) else each for each in outbox.waiting)})


def _same(one: Delivery, other: Delivery) -> bool:
    return (one.sink, one.notification.id) == (other.sink, other.notification.id)
