"""The prediction log of one replica: what was asked and answered, kept off the request's way.

    request -> queue in memory -> (every half `flush_seconds`) spool on this node -> (sealed) Parquet in the object store

A request only appends to the queue; where that is full it is counted and not logged, and never fails. The spool outlives
the replica (`heliostat.serving.prediction_log.spools`): killed at any moment, it loses what was queued since the last flush.
Whoever writes this application's log for this store next on this node finds the file without a lock on it, and seals it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heliostat.serving.bodies import Body
from heliostat.serving.postprocessing import Processed
from heliostat.serving.prediction_log import sealing
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.lines import Entry, Lines
from heliostat.serving.prediction_log.masking import Treat, hide
from heliostat.serving.prediction_log.sealing import Seal, Sealed
from heliostat.serving.prediction_log.spools import Head, folder_of, name_of, spools_in
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Name
from heliostat.spec.review import Review
from heliostat.spec.workload import PredictionLog as Settings

_MOST_WAITING_ROWS: Final = 100_000
_MOST_SPOOL_BYTES: Final = 2 << 30
"""What spools of one application may take on a node, while the object store cannot be reached."""
_RECOVER_SECONDS: Final = 30.0
_TELL_SECONDS: Final = 60.0
_ROWS_AT_ONCE: Final = 256
"""Some, for what each costs by itself; and few, for answers wait for Python's lock meanwhile, a millisecond or two."""

logger = logging.getLogger("ray.serve")


@dataclass
class _Spool:
    """An open spool file; the lock on it says that its writer is alive."""

    path: Path
    descriptor: int
    opened: float
    size: int = 0


class PredictionLog:
    """Takes entries from one event loop or several threads; two threads of its own write, and have sealed."""

    def __init__(  # noqa: PLR0913 - a log's places, and what tests put into theirs
        self, settings: Settings, store: StoreAddress, spool: Path, application: Name, version: str, columns: Columns,
        *, seal: Seal = sealing.seal, treat: Treat = hide, review: Review | None = None,
    ) -> None:  # fmt: skip
        """`spool`: this node's folder for the logs of all stacks and applications; `columns`: of the contract; `treat`: what
        is written in the place of a personal value, by default nothing."""
        self.dropped = 0
        """Entries that were to be logged and were not."""
        self._settings = settings
        self._seal = seal
        rate = settings.sampling_rate
        self._head = Head(store=store, application=application, columns=columns, review=review, logged=rate)
        self._folder = folder_of(spool, store, application)
        self._older = spool / application
        """Where an earlier release kept spools, those of all stores together."""
        self._lines = Lines(version, columns, treat)
        self._waiting: deque[Entry] = deque()
        self._waiting_rows = 0
        self._closing = threading.Event()
        self._spool: _Spool | None = None
        self._sealed: deque[_Spool] = deque()
        self._told: dict[str, float] = {}
        """When something was last said, by what it is about; monotonic."""
        self._threads: list[threading.Thread] = []
        if settings.sampling_rate > 0:
            self._threads = [threading.Thread(target=target, daemon=True) for target in (self._write_on, self._seal_on)]
            for thread in self._threads:
                thread.start()

    def add(
        self, request_id: bytes, body: Body, rows: int, answer: Body, seconds: float, processed: Processed | None = None
    ) -> bool:
        """Log a request that was answered, or not, as the sampling rate has it; whether it is logged.

        `body` is what was sent, so many `rows` of the contract, `answer` the body of the answer, and `processed` what steps
        did to it.
        """
        rate = self._settings.sampling_rate
        if rate <= 0 or (rate < 1 and random.random() >= rate):  # noqa: S311 - sampling
            return False
        if self._waiting_rows + rows > _MOST_WAITING_ROWS:
            self.dropped += 1
            return False
        self._waiting_rows += rows
        self._waiting.append((request_id, time.time(), body, rows, answer, seconds, processed))
        return True

    def close(self) -> None:
        """Write and seal what is there. What cannot be sealed now is sealed by who comes next."""
        self._closing.set()
        for thread in self._threads:
            thread.join(10.0)

    def _write_on(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(self._settings.flush_seconds / 2)
            try:
                self._flush()
                if self._spool and (closing or self._is_full(self._spool)):
                    self._sealed.append(self._spool)
                    self._spool = None
            except OSError as error:
                if closing:
                    self.dropped += len(self._waiting)
                lost = f"{self.dropped} entries are lost so far"
                self._tell("write", f"the prediction log cannot be written in {self._folder}: {error.strerror}; {lost}")

    def _is_full(self, spool: _Spool) -> bool:
        age = time.monotonic() - spool.opened
        return spool.size >= self._settings.file_mib << 20 or (spool.size > 0 and age >= self._settings.roll_seconds)

    def _flush(self) -> None:
        """Append what waits to the spool file, whole entries or none; what a full disk does not take at once is lost."""
        waiting = len(self._waiting)
        while waiting:
            entries = self._next(waiting)
            waiting -= len(entries)
            lines = self._written(entries)
            try:
                self._spool = self._spool or self._open()
                self._append(self._spool, lines)
            except OSError:
                self.dropped += lines.count(b"\n")
                raise

    def _next(self, most: int) -> list[Entry]:
        """The entries that are written next, of so many."""
        entries: list[Entry] = []
        rows = 0
        while rows < _ROWS_AT_ONCE and len(entries) < most:
            entry = self._waiting.popleft()
            entries.append(entry)
            rows += entry[3]
        self._waiting_rows -= rows
        return entries

    def _written(self, entries: Sequence[Entry]) -> bytes:
        """Their lines; one that cannot be written costs none of the others."""
        try:
            return self._lines.of(entries)
        except Exception as error:  # whatever a library calls it
            if len(entries) == 1:
                self.dropped += 1
                self._tell("line", f"a prediction cannot be logged: {type(error).__name__}: {error}")
                return b""
        return b"".join([self._written([entry]) for entry in entries])

    def _open(self) -> _Spool:
        """A new spool, which says from its first byte on what it is for."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(found.st_size for _, found in spools_in(self._folder)) > _MOST_SPOOL_BYTES:
            raise OSError(0, f"more than {_MOST_SPOOL_BYTES >> 20} MiB wait to be stored")
        path = self._folder / name_of(uuid.uuid4().hex)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        spool = _Spool(path, descriptor, time.monotonic())
        try:
            self._append(spool, self._head.line)
        except OSError:
            path.unlink()
            os.close(descriptor)
            raise
        return spool

    def _append(self, spool: _Spool, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(spool.descriptor, data[written:])
        except OSError:
            os.ftruncate(spool.descriptor, spool.size)  # no half line stays
            raise
        spool.size += written

    def _seal_on(self) -> None:
        next_recovery = 0.0
        while True:
            closing = self._closing.wait(0.5)
            if closing:
                self._threads[0].join(10.0)
            while self._sealed:
                self._store_spool(self._sealed.popleft())
            if closing:
                return
            if time.monotonic() >= next_recovery:
                try:
                    self._recover()
                except Exception as error:  # whatever it is, as too many open files: what is sealed here is sealed on
                    self._tell("recover", f"spools in {self._folder} that others left cannot be looked at: {error}")
                next_recovery = time.monotonic() + _RECOVER_SECONDS

    def _store_spool(self, spool: _Spool) -> None:
        try:
            self._tell_of(spool.path, self._seal(spool.path, spool.descriptor, self._head))
        except Exception as error:  # whatever it is, the file stays and is tried again
            self._tell("store", f"the prediction log {spool.path} cannot be stored yet: {error}")
        finally:
            os.close(spool.descriptor)  # and with it the lock

    def _tell_of(self, path: Path, sealed: Sealed) -> None:
        for name, reason in sealed.misfits.items():
            text = f"a prediction is logged without {name}, which does not fit its column: {reason}; its row has it as JSON"
            self._tell(f"misfit {name}", text, once=True)
        if sealed.unread:
            number, reason = next(iter(sealed.unread.items()))
            aside = f"they are kept below predictions-unread/{self._head.application}/"
            text = f"{len(sealed.unread)} lines of {path} are no predictions, line {number} first: {reason}; {aside}"
            self._tell("unread", text)

    def _recover(self) -> None:
        """Seal what writers left that are no more; a lock on a file means that its writer lives."""
        for path, _ in spools_in(self._folder):
            descriptor = _unlocked(path)
            if descriptor is None:
                continue
            if self._is_ours(path):
                self._store_spool(_Spool(path, descriptor, 0.0))
            else:
                os.close(descriptor)
        self._look_at_older()

    def _is_ours(self, path: Path) -> bool:
        head = Head.read(path)
        if head is None or head.is_for(self._head.store, self._head.application):
            return True
        which = f"application {head.application} and store {head.store.uri}"
        self._tell(f"other {path}", f"the spool {path} stays where it is: it is for {which}", once=True)
        return False

    def _look_at_older(self) -> None:
        """What an earlier release left does not say whose it is, and is no business of a program to guess."""
        left = 0
        for path, _ in spools_in(self._older):
            descriptor = _unlocked(path)  # who writes it will store it
            if descriptor is not None:
                os.close(descriptor)
                left += 1
        if left:
            self._tell(
                "older",
                f"{left} spools of an earlier release in {self._older} do not say which stack they are of, and wait: "
                f"move those of this stack's to {self._folder}, where they are stored within half a minute",
                once=True,
            )

    def _tell(self, about: str, text: str, once: bool = False) -> None:
        """Warn; of the same thing once a minute, or only once."""
        last = self._told.get(about)
        if last is None or (not once and time.monotonic() - last > _TELL_SECONDS):
            self._told[about] = time.monotonic()
            logger.warning(text)


def _unlocked(path: Path) -> int | None:
    """A descriptor of a spool, locked; None where its writer lives, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and time.time() - path.stat().st_mtime >= 1.0:  # else it was just made, and is not locked yet
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
