"""Writes the audit log: events wait in the controller's file until they are in the object store, each behind the last."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from heliostat.controller.tables import AuditTable
from heliostat.controller.writing import write_for_ever
from heliostat.spec.audit import NOTHING, PREFIX, AuditEntry, AuditEvent, content_of, hash_of, key_of, number_of
from heliostat.spec.roles import Identity
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def event(
    who: Identity,
    action: str,
    subject: str,
    now: float,
    said: str = "",
    reason: str = "",
    change: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
) -> AuditEvent:
    """What somebody did; `said`: who a program with the stack's own token says that it was; `change`: before and after."""
    by = who.name if who.known else said or who.name
    before, after = change
    return AuditEvent(
        id=uuid.uuid4().hex, at=now, by=by, known=who.known, via=who.relayed_by, action=action, subject=subject, reason=reason,
        before=dict(before), after=dict(after),
    )  # fmt: skip


class AuditLog:
    """Writes what waits, in order."""

    def __init__(self, table: AuditTable, objects: ObjectStore) -> None:
        self._table = table
        self._objects = objects
        self._posted = asyncio.Event()

    def wake(self) -> None:
        """Something was posted."""
        self._posted.set()

    async def run(self) -> None:
        """Write what waits, for ever; a store that is away is tried again, less and less often."""
        await write_for_ever("the audit log", self.flush, self._posted, self._table.waiting)

    async def flush(self) -> None:
        """Write all that waits.

        Raises:
            RetryableError: the object store does not answer.
            PermanentError: it refuses.
        """
        while (found := self._table.oldest()) is not None:
            sequence, waiting = found
            hashes = await asyncio.to_thread(self._write, waiting, self._table.last())
            self._table.written(sequence, hashes)

    def _write(self, waiting: AuditEvent, last: tuple[int, str] | None) -> dict[int, str]:
        """Put an event behind the last entry; what was met on the way, by number.

        An entry that is remembered and gone keeps its number: what follows shows that it is missing.
        """
        number, before = last or self._last_but_one()
        met: dict[int, str] = {}
        while True:
            number += 1
            content = content_of(AuditEntry(**waiting.model_dump(), number=number, previous=before))
            if not self._objects.put(key_of(number), content, only_if_absent=True):
                # Another controller's of this store, or this very event, written before a kill.
                content = self._objects.get(key_of(number))
            met[number] = before = hash_of(content)
            if _id(content) == waiting.id:
                return met

    def _last_but_one(self) -> tuple[int, str]:
        """Where a controller goes on that remembers nothing: the newest entry may be this event, written before a kill."""
        number = max(0, last_number(self._objects) - 1)
        try:
            return number, hash_of(self._objects.get(key_of(number))) if number else NOTHING
        except ObjectMissingError:
            return number, NOTHING


def _id(content: bytes) -> str:
    try:
        return AuditEntry.model_validate_json(content).id
    except ValueError:
        return ""


def newest(
    objects: ObjectStore, most: int, before: int | None = None, shown: Callable[[AuditEntry], bool] = lambda entry: True
) -> list[AuditEntry]:
    """The newest entries that are to be shown, from the one before number `before` on, the newest first.

    Raises:
        RetryableError, PermanentError: the object store does not answer.
    """
    last = before - 1 if before is not None else last_number(objects)
    found: list[AuditEntry] = []
    for number in range(last, 0, -1):
        if len(found) == most:
            break
        try:
            entry = AuditEntry.model_validate_json(objects.get(key_of(number)))
        except (ObjectMissingError, ValueError):
            continue  # `verify` tells of it
        if shown(entry):
            found.append(entry)
    return found


def last_number(objects: ObjectStore) -> int:
    """The newest entry's number; 0 where there is none."""
    return max((found for info in objects.list(PREFIX) if (found := number_of(info.key)) is not None), default=0)
