"""The newest predictions of a model version, as a SQLite file on this node that is looked at again every few seconds."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from heliostat.spec.batch import PREDICTION
from heliostat.spec.formatting import counted
from heliostat.spec.predictions import Current, current_key
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import ObjectMissingError, ObjectStore
from heliostat.systems.private_folder import node_folder

_logger = logging.getLogger("ray.serve")
_KEPT: Final = "lookups"


class Prediction(NamedTuple):
    """What was predicted for a row, and when its rows were read (Unix time)."""

    value: Any
    at: float


class _Open(NamedTuple):
    """A table that is asked."""

    connection: sqlite3.Connection
    query: str
    lists: bool
    """Whether a prediction is JSON of several numbers."""
    digest: str


class LookupTable:
    """The newest result of a prediction by one model version. Safe to use from several threads."""

    def __init__(self, store: ObjectStore, name: str, model_uri: str, folder: Path | None = None) -> None:
        """Open what there is; `folder`: where files are kept, by default this node's own.

        Raises:
            PermanentError, RetryableError: the store refuses, or does not answer.
        """
        self.key: tuple[str, ...] = ()
        self._store, self._name, self._place = store, name, current_key(name, model_uri)
        self._folder = folder or node_folder() / _KEPT
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._at = 0.0
        self._closed = threading.Event()
        self.refresh()

    def refresh(self) -> None:
        """Take a newer result where there is one.

        Raises:
            PermanentError, RetryableError: the store refuses, or does not answer; what was taken before is answered on.
        """
        try:
            current = Current.model_validate_json(self._store.get(self._place))
        except ObjectMissingError:
            return
        except ValidationError as error:
            raise PermanentError(
                f"{self._store.uri(self._place)} names no result ({counted(error.error_count(), 'mistake')})"
            ) from None
        result = current.result
        if not result.table:
            raise PermanentError(f"the prediction {self._name} has no SQLite file: give it `sink: {{kind: sqlite}}`")
        before = self._open
        if before is not None and before.digest == result.table_sha256:
            self._at = current.at
            return
        opened = self._opened(result.table, result.table_sha256, result.key)
        with self._lock:
            self._open, self._at, self.key = opened, current.at, result.key
        if before is not None:
            before.connection.close()
            # Whoever still has it open reads on; whoever comes later takes the newer one.
            self._path(before.digest).unlink(missing_ok=True)

    def find(self, key: Sequence[Any]) -> Prediction | None:
        """What was predicted for the row of a key; None where it was not."""
        with self._lock:
            opened = self._open
            if opened is None:
                return None
            found = opened.connection.execute(opened.query, tuple(key)).fetchone()
            at = self._at
        if found is None:
            return None
        value = found[0]
        if opened.lists:
            value = json.loads(value)
        return Prediction(float("nan") if value is None else value, at)

    def follow(self, seconds: float, look: Callable[[], None] | None = None) -> None:
        """Look for a newer result every so many seconds, in a thread of its own, until `close`."""
        refresh = look or self.refresh

        def run() -> None:
            while not self._closed.wait(seconds):
                try:
                    refresh()
                except (PermanentError, RetryableError, sqlite3.Error, OSError) as error:
                    _logger.warning("the predictions %s are not newer than %.0f s: %s", self._name, self.age, error)

        threading.Thread(target=run, name=f"lookup-{self._name}", daemon=True).start()

    @property
    def age(self) -> float:
        """Seconds since the rows of the present result were read."""
        return time.time() - self._at

    def close(self) -> None:
        """Look for no newer result any more."""
        self._closed.set()

    def _opened(self, key: str, digest: str, names: Sequence[str]) -> _Open:
        path = self._path(digest)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (path.is_file() and sha256_of(path) == digest):
            with suppress(FileNotFoundError):
                path.unlink()
            self._store.get_file(key, path)
        if (found := sha256_of(path)) != digest:
            raise RetryableError(f"{self._store.uri(key)} has the SHA-256 {found[:12]}, its manifest says {digest[:12]}")
        # Nobody writes it: SQLite need neither lock it nor look whether it changed.
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        where = " AND ".join(f'"{name}" = ?' for name in names)
        sample = connection.execute(f"SELECT typeof({PREDICTION}), {PREDICTION} FROM predictions LIMIT 1").fetchone()  # noqa: S608
        lists = sample is not None and sample[0] == "text" and _is_list(sample[1])
        return _Open(connection, f"SELECT {PREDICTION} FROM predictions WHERE {where}", lists, digest)  # noqa: S608 - checked names

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.sqlite"


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False
