"""The history entry of an operation: written when it begins, so that a killed one has one, too, and completed when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from heliostat.cli import say
from heliostat.engine.events import Summary
from heliostat.engine.stackerrors import StackError, StorageError
from heliostat.engine.state import history
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.history import Entry, Origin
from heliostat.engine.state.journal import SnapshotSink
from heliostat.engine.state.snapshot import Snapshot


@dataclass(frozen=True)
class Begun:
    """What is known of an operation once its beginning is noted."""

    origin: Origin
    key: str = ""
    """Of its entry; empty where it could not be written: the end is tried all the same."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remembering:
    """The entry of one operation, on a stack that is held."""

    backend: Backend
    ref: StackRef
    kind: str
    entry_of: Callable[[Summary, Origin], Entry]
    """What the history says of it."""
    note: Callable[[Summary, Origin], None]
    """What else is to be noted of its end."""

    def begin(self, origin_of: Callable[[], Origin]) -> Begun:
        """Note that it has begun, and that those were killed which did not end before it. For a thread beside it: what there
        is to tell is told at the end.
        """
        origin = origin_of()
        try:
            killed = history.close_killed(self.backend, self.ref, time.time())
            key = history.begin(self.backend, self.ref, self.entry_of(Summary(False, {}, 0.0), origin))
        except StackError as error:
            return Begun(origin, notices=(f"warning: the history does not say that this {self.kind} has begun: {error}",))
        return Begun(origin, key, tuple(_told(each) for each in killed))

    def end(self, begun: Future[Begun], result: Summary) -> None:
        """Complete the entry; without it, an operation that failed anyway is not failed once more."""
        noted = begun.result()
        for notice in noted.notices:
            say.told(notice)
        try:
            self.note(result, noted.origin)
            history.add(self.backend, self.ref, self.entry_of(result, noted.origin), noted.key)
            self.backend.keep_copies(self.ref)
        except StorageError as error:
            if result.succeeded:
                raise
            say.told(f"warning: the history has no entry for this {self.kind}: {error}")


@dataclass(frozen=True)
class AfterNote:
    """The checkpoints of an operation, the first of which waits until its beginning is noted: nothing is made before that."""

    begun: Future[Begun]
    sink: SnapshotSink

    def save(self, snapshot: Snapshot) -> None:
        """Write the snapshot durably."""
        self.begun.result()
        self.sink.save(snapshot)


def close_killed(backend: Backend, ref: StackRef) -> None:
    """Have the history say of what was killed that it was, once its lock is broken."""
    try:
        killed = history.close_killed(backend, ref, time.time())
    except StackError as error:
        say.told(f"warning: the history does not say what was killed: {error}")
        return
    for each in killed:
        say.told(_told(each))


def _told(entry: Entry) -> str:
    return f"the {entry.kind}{whose(entry)} was killed: the history says so now"


def is_unfinished(entry: Entry) -> bool:
    """Whether it did not come to its end, or not yet."""
    return entry.is_open or entry.was_killed


def result_of(entry: Entry, is_held: bool) -> str:
    """How an operation ended, for people. `is_held`: whether somebody holds the stack; what nobody works on was killed."""
    return "killed" if entry.was_killed or (entry.is_open and not is_held) else entry.result


def message_of(entry: Entry) -> str:
    """What an operation was done for; of one that did not come to its end, who did it and of which commit, too."""
    return f"{whose(entry).strip()}: {entry.message}" if is_unfinished(entry) else entry.message


def whose(entry: Entry) -> str:
    """Of which commit an operation is and who did it, as the end of a line."""
    commit = entry.environment.get("git.head", "")[:12]
    return (f" of {commit}" if commit else "") + (f" by {entry.by}" if entry.by else "")
