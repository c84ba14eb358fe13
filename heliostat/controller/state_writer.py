"""Where decisions are written down before they are carried out; what may not wait for a full disk is written after."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from heliostat.controller.ledger import entry
from heliostat.controller.store import Store
from heliostat.rollout.model import Record, State
from heliostat.rollout.shares import share_of
from heliostat.spec.audit import AuditEvent
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Phase

Events = tuple[tuple[Phase, str], ...]


@dataclass(frozen=True)
class _PendingWrite:
    """One state, with what happened on the way to it."""

    state: State
    events: Events
    at: float
    entries: tuple[Entry, ...]
    acts: tuple[AuditEvent, ...] = ()


class StateWriter:
    """All applications'. What waits of one is written before anything newer of it."""

    def __init__(self, store: Store, now: Callable[[], float], posted: Callable[[], None]) -> None:
        """`posted` is called when there is something new for the ledger."""
        self._store = store
        self._now = now
        self._posted = posted
        self.states = store.states()
        """As they are now, by application."""
        self._waiting: dict[str, list[_PendingWrite]] = {}

    def write(
        self, state: State, events: Events = (), records: tuple[Record, ...] = (), acts: tuple[AuditEvent, ...] = ()
    ) -> None:
        """Have `state` be the application's from now on, once it is written; one that is urgent is at once.

        `acts`: what somebody did that led to it.

        Raises:
            sqlite3.Error: it cannot be written, and all is as before.
        """
        page = self._page(state, events, records, acts)
        try:
            self.flush(state.name)
            self._save(page)
        except sqlite3.Error as error:
            if not is_urgent(self.states.get(state.name, state), state):
                raise
            self._waiting.setdefault(state.name, []).append(page)
            self._store.faults.note(error)
        self.states[state.name] = state

    def waits(self, name: str) -> bool:
        """Whether something of an application is not written yet."""
        return name in self._waiting

    def flush(self, name: str) -> None:
        """Write what waits of an application, in order.

        Raises:
            sqlite3.Error: it still cannot be written.
        """
        waiting = self._waiting.get(name, [])
        while waiting:
            self._save(waiting[0])
            del waiting[0]
        self._waiting.pop(name, None)

    def forget(self, state: State, records: tuple[Record, ...]) -> None:
        """An application is gone.

        Raises:
            sqlite3.Error: that cannot be written.
        """
        self.flush(state.name)
        self._store.forget(state.name, self._page(state, (), records).entries)
        self.states.pop(state.name, None)
        self._posted()

    def _page(
        self, state: State, events: Events, records: tuple[Record, ...], acts: tuple[AuditEvent, ...] = ()
    ) -> _PendingWrite:
        now = self._now()
        return _PendingWrite(state, events, now, tuple(entry(state, record, now) for record in records), acts)

    def _save(self, page: _PendingWrite) -> None:
        self._store.save(page.state, page.events, page.at, page.entries, page.acts)
        if page.entries or page.acts:
            self._posted()


def is_urgent(before: State, after: State) -> bool:
    """Whether the candidate loses traffic, or shall: that waits for no disk, as all that gives it more does. Pure."""
    old, new = before.rollout, after.rollout
    if old is None or new is None or old.number != new.number:
        return False
    less = share_of(new.candidate, after.share) < share_of(new.candidate, before.share)
    return less or (new.aborted is not None and old.aborted is None)
