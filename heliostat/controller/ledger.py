"""The ledger in the object store: entries wait in the store until they are there, in order, each under its own number."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from heliostat.controller.audit import AuditLog
from heliostat.controller.review_truths import ReviewTruths
from heliostat.controller.store import Store
from heliostat.controller.writing import write_for_ever
from heliostat.rollout.model import Record, State
from heliostat.spec.ledger import Entry, key_of, place_of, prefix_of
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def entry(state: State, record: Record, now: float) -> Entry:
    """What happened, for the ledger; its number is given when it is written.

    Raises:
        ValueError: the application has no rollout, so nothing can have happened.
    """
    rollout = state.rollout
    if rollout is None:
        raise ValueError(f"{state.name} has no rollout")
    return Entry(
        number=0,
        id=uuid.uuid4().hex,
        application=state.name,
        at=now,
        kind=record.kind,
        rollout=rollout.number,
        phase=rollout.phase,
        strategy=rollout.strategy,
        previous=rollout.previous,
        target=rollout.target,
        weights=record.weights,
        origin=rollout.origin,
        figures=rollout.figures,
        analyses=rollout.analyses,
        error=rollout.error,
    )


@dataclass(frozen=True)
class Backlog:
    """What the ledger was not told yet."""

    waiting: int
    """Entries."""
    error: str = ""
    """Why they wait; empty where none does."""
    file: str = ""
    """The database that they are kept in, where that was asked for; empty where none waits."""


class Ledger:
    """Writes what waits, and reads what was written."""

    def __init__(self, store: Store, objects: ObjectStore) -> None:
        self._store = store
        self._objects = objects
        self.audit = AuditLog(store.audits, objects)
        self.truths = ReviewTruths(store.reviews, objects)
        """What is beside it: it waits, and is written, by the same rules."""
        self._last: dict[str, int] = {}
        self._posted = asyncio.Event()

    def wake(self) -> None:
        """Something was posted."""
        self._posted.set()
        self.audit.wake()

    async def run(self) -> None:
        """Write what waits, here and beside it, for ever."""
        mine = write_for_ever("the ledger", self._flush, self._posted, self._store.count_waiting)
        await asyncio.gather(mine, self.audit.run(), self.truths.run())

    async def flush(self) -> None:
        """Write all that waits, in order, here and beside it.

        Raises:
            RetryableError: the object store does not answer.
            PermanentError: it refuses.
        """
        await self._flush()
        await self.audit.flush()
        await self.truths.flush()

    async def _flush(self) -> None:
        while (found := self._store.outbox()) is not None:
            sequence, waiting = found
            number = await asyncio.to_thread(self._write, waiting)
            self._last[waiting.application] = number
            self._store.posted(sequence)

    async def finish(self, seconds: float) -> Backlog:
        """Write what waits as far as that goes in `seconds`, before this program ends; what is left, and why."""
        error = ""
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except TimeoutError:
            error = f"the object store did not take them within {seconds:g} s"
        except Exception as problem:
            error = str(problem) or type(problem).__name__
        waiting = self._store.count_waiting() + self._store.audits.waiting() + self._store.reviews.waiting()
        return Backlog(waiting, error if waiting else "")

    def _write(self, waiting: Entry) -> int:
        """The number that the entry got, now or when this was tried before."""
        name = waiting.application
        number = self._last.get(name) or last_number(self._objects, name)
        if number and self._is_there(name, number, waiting.id):
            return number
        while True:
            number += 1
            body = waiting.model_copy(update={"number": number}).model_dump_json().encode()
            if self._objects.put(key_of(name, number), body, only_if_absent=True) or self._is_there(name, number, waiting.id):
                return number

    def _is_there(self, name: str, number: int, identity: str) -> bool:
        found = read(self._objects, name, number)
        return found is not None and found.id == identity


def last_number(objects: ObjectStore, application: str) -> int:
    """The newest entry's number; 0 where there is none."""
    places = (place_of(info.key) for info in objects.list(prefix_of(application)))
    return max((place[1] for place in places if place is not None), default=0)


def read(objects: ObjectStore, application: str, number: int) -> Entry | None:
    """One entry; None where there is none, or what is there is none.

    Raises:
        RetryableError: the object store does not answer.
    """
    try:
        return Entry.model_validate_json(objects.get(key_of(application, number)))
    except (ObjectMissingError, ValidationError):
        return None


def newest_first(objects: ObjectStore, application: str, before: int | None = None) -> Iterator[Entry]:
    """The entries, the newest first, from the one before number `before` on.

    Raises:
        RetryableError: the object store does not answer.
    """
    last = last_number(objects, application) if before is None else before - 1
    for number in range(last, 0, -1):
        found = read(objects, application, number)
        if found is not None:
            yield found
