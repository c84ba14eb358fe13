"""The prediction log of one replica: what was asked and answered, kept off the request's way.

    request -> queue in memory -> (every half `flush_seconds`) spool file on this node -> (sealed) Parquet in the object store

A request only appends to the queue; where that is full it is counted and not logged, and never fails. The spool file
outlives the replica: killed at any moment, it loses what was queued since the last flush. Whoever writes this
application's log next on this node finds the file without a lock on it, and seals it.
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
from typing import Any, Final

from pydantic_core import to_json

from heliostat.ml import prediction_files
from heliostat.spec.resources import StoreAddress
from heliostat.spec.workload import PredictionLog as Settings

_MOST_WAITING_ROWS: Final = 100_000
_MOST_SPOOL_BYTES: Final = 2 << 30
"""What unsealed files of one application may take on a node, while the object store cannot be reached."""
_RECOVER_SECONDS: Final = 30.0
_YIELD_EVERY: Final = 64

logger = logging.getLogger("ray.serve")


@dataclass
class _Spool:
    """An open spool file; the lock on it says that its writer is alive."""

    path: Path
    descriptor: int
    opened: float
    size: int = 0


class PredictionLog:
    """Takes entries from one event loop or several threads; two threads of its own write and seal."""

    def __init__(self, settings: Settings, store: StoreAddress, spool: Path, application: str, version: str) -> None:
        self.dropped = 0
        """Entries that were to be logged and were not."""
        self._settings = settings
        self._store = store
        self._folder = spool / application
        self._application = application
        self._head = b'","version":' + to_json(version) + b',"time":'
        self._waiting: deque[tuple[bytes, float, Sequence[Any], bytes, float]] = deque()
        self._waiting_rows = 0
        self._closing = threading.Event()
        self._spool: _Spool | None = None
        self._sealed: deque[_Spool] = deque()
        self._last_warning = 0.0
        self._threads: list[threading.Thread] = []
        if settings.sampling_rate > 0:
            self._threads = [threading.Thread(target=target, daemon=True) for target in (self._write_on, self._seal_on)]
            for thread in self._threads:
                thread.start()

    def add(self, request_id: bytes, rows: Sequence[Any], answer: bytes, seconds: float) -> None:
        """Log a request that was answered, or not, as the sampling rate has it. `answer` is the body that was sent."""
        rate = self._settings.sampling_rate
        if rate <= 0 or (rate < 1 and random.random() >= rate):  # noqa: S311 - sampling
            return
        if self._waiting_rows + len(rows) > _MOST_WAITING_ROWS:
            self.dropped += 1
            return
        self._waiting_rows += len(rows)
        self._waiting.append((request_id, time.time(), rows, answer, seconds))

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
                lost = f"{self.dropped} entries are lost so far"
                self._warn(f"the prediction log cannot be written in {self._folder}: {error.strerror}; {lost}")

    def _is_full(self, spool: _Spool) -> bool:
        age = time.monotonic() - spool.opened
        return spool.size >= self._settings.file_mib << 20 or (spool.size > 0 and age >= self._settings.roll_seconds)

    def _flush(self) -> None:
        """Append what waits to the spool file, whole entries or none."""
        count = len(self._waiting)
        if not count:
            return
        lines = []
        for number in range(count):
            request_id, at, rows, answer, seconds = self._waiting.popleft()
            self._waiting_rows -= len(rows)
            lines.append(self._line(request_id, at, rows, answer, seconds))
            if number % _YIELD_EVERY == 0:
                time.sleep(0)  # the event loop goes first
        try:
            spool = self._spool or self._open()
            self._spool = spool
            self._append(spool, b"".join(lines))
        except OSError:
            self.dropped += count
            raise

    def _line(self, request_id: bytes, at: float, rows: Sequence[Any], answer: bytes, seconds: float) -> bytes:
        answers = answer[len(b'{"rows":') : -1] if answer.startswith(b'{"rows":') else b"[" + answer + b"]"
        name = to_json(request_id.decode("latin-1"))
        return b"".join(
            (b'{"request_id":', name[:-1], self._head, b"%.6f" % at, b',"latency_ms":', b"%.4f" % (seconds * 1000),
             b',"inputs":', to_json(list(rows)), b',"predictions":', answers, b"}\n")
        )  # fmt: skip

    def _open(self) -> _Spool:
        self._folder.mkdir(parents=True, exist_ok=True)
        if sum(path.stat().st_size for path in self._folder.glob("*.jsonl")) > _MOST_SPOOL_BYTES:
            raise OSError(0, f"more than {_MOST_SPOOL_BYTES >> 20} MiB wait to be stored")
        path = self._folder / f"{uuid.uuid4().hex}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return _Spool(path, descriptor, time.monotonic())

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
                self._recover()
                next_recovery = time.monotonic() + _RECOVER_SECONDS

    def _store_spool(self, spool: _Spool) -> None:
        try:
            prediction_files.store(spool.path, self._application, self._store)
        except Exception as error:  # whatever it is, the file stays and is tried again
            self._warn(f"the prediction log {spool.path} cannot be stored yet: {error}")
        finally:
            os.close(spool.descriptor)  # and with it the lock

    def _recover(self) -> None:
        """Seal what writers left that are no more; a lock on a file means that its writer lives."""
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            if time.time() - path.stat().st_mtime < 1.0:  # just made, and not locked yet
                os.close(descriptor)
                continue
            self._store_spool(_Spool(path, descriptor, 0.0))

    def _warn(self, text: str) -> None:
        if time.monotonic() - self._last_warning > 60 or not self._last_warning:
            self._last_warning = time.monotonic()
            logger.warning(text)
