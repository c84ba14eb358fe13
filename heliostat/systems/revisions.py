"""A value in the object store that several may change: each change is a new object, and whoever is second begins anew.

A revision is written once, under the next number. A process that is killed leaves the value before or the one after.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import ObjectInfo, ObjectMissingError, ObjectStore

_KEPT: Final = 20
"""Revisions that stay, whatever their age."""
_AGE: Final = timedelta(hours=6)
"""How old one is before it goes: whoever read it and has not written since then is not going to."""
_ATTEMPTS: Final = 50


class Revisions:
    """A value below `prefix`, which ends with `/`."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def number(self) -> int:
        """The number of the last revision; 0 where there is none.

        Raises:
            PermanentError, RetryableError: the store does not say.
        """
        there = self._there()
        return _number(there[-1]) if there else 0

    def newest(self) -> tuple[int, bytes | None]:
        """The number and the content of the last revision; 0 and None where there is none.

        Raises:
            PermanentError, RetryableError: the store does not say.
        """
        while True:
            there = self._there()
            if not there:
                return 0, None
            number = _number(there[-1])
            try:
                return number, self._store.get(self._key(number))
            except ObjectMissingError:  # it went since, for there are newer ones
                continue

    def change(self, change: Callable[[bytes | None], bytes | None]) -> bytes | None:
        """Write what follows from the newest revision, and return it; where somebody else was faster, from theirs.

        `change` is called with the content, None where there is none yet, and may be called again. It returns None where
        nothing is to be written.

        Raises:
            RetryableError: others change it without end.
            PermanentError: the store refuses. Whatever `change` raises comes through as it is.
        """
        for _ in range(_ATTEMPTS):
            number, content = self.newest()
            made = change(content)
            if made is None or made == content:
                return content
            if self._store.put(self._key(number + 1), made, only_if_absent=True):
                self._forget(number + 1)
                return made
        raise RetryableError(f"{self._store.uri(self._prefix)} is changed by others all the time: try again")

    def _there(self) -> list[ObjectInfo]:
        return [info for info in self._store.list(self._prefix) if info.key.endswith(".json")]

    def _forget(self, newest: int) -> None:
        """Remove old revisions; never all at once, so that the numbers go on."""
        limit = datetime.now(UTC) - _AGE
        for info in self._there():
            if _number(info) <= newest - _KEPT and info.modified.astimezone(UTC) < limit:
                self._store.delete(info.key)

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:012d}.json"


def _number(info: ObjectInfo) -> int:
    return int(info.key.rpartition("/")[2].removesuffix(".json"))
