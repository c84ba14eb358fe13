"""What a deletion found, written down before anything of it is removed: killed anywhere, it knows what it did."""

from __future__ import annotations

import time
from collections.abc import Callable

from heliostat.governance import objects
from heliostat.governance.objects import Cleaned
from heliostat.spec.erasure import ErasedObject, ErasureAnnouncement, ErasureProgress, key_of
from heliostat.systems.objects import ObjectMissingError, ObjectStore


class Journal:
    """The progress of one deletion, and the only way in which it replaces an object by itself without rows."""

    def __init__(self, store: ObjectStore, announced: ErasureAnnouncement, tell: Callable[[str], None]) -> None:
        """Begin an empty one; `begin` goes on with what the store has."""
        self.store = store
        self.progress = ErasureProgress(began=time.time())
        self._announced, self._tell = announced, tell

    @property
    def _key(self) -> str:
        return key_of(self._announced.application, self._announced.id, "progress")

    def begin(self) -> None:
        """Announce the deletion, or go on with what was written of it before."""
        content = self._announced.model_dump_json(indent=1).encode()
        self.store.put(key_of(self._announced.application, self._announced.id), content, only_if_absent=True)
        try:
            found = self.store.get(self._key)
        except ObjectMissingError:
            return
        self.progress = ErasureProgress.model_validate_json(found)
        self._tell(f"going on with the deletion {self._announced.id}, which was begun before")

    def write(self, **changes: object) -> None:
        """Write down what was found, by the fields of `ErasureProgress`."""
        self.progress = self.progress.model_copy(update=changes)
        self.store.put(self._key, self.progress.model_dump_json(indent=1).encode())

    def write_succeeded(self, made: ErasedObject) -> None:
        """Write down that another object has the place of one."""
        self.write(objects=(*(each for each in self.progress.objects if each.key != made.key), made))

    def end(self) -> None:
        """Forget it: the proof has all of it."""
        self.store.delete(self._key)

    def replace(self, key: str, cleaned: Cleaned, tag: str = "") -> bool:
        """Put an object's successor into its place, once that is written down.

        False, and nothing done, where somebody put another one there since it was read, with `tag`.
        """
        try:
            found = self.store.read(key)
        except ObjectMissingError:
            return True  # somebody removed it beside us
        if tag and found.tag != tag:
            return False
        before = objects.sha256(found.content)
        after = objects.sha256(cleaned.content) if cleaned.content is not None else None
        erased = ErasedObject(key=key, rows=cleaned.rows, before=before, after=after)
        known = self.progress.objects
        places = dict.fromkeys((*self.progress.predictions, *cleaned.predictions))
        if not any(each.key == key and each.before == before for each in known):
            self.write(objects=(*known, erased), predictions=tuple(places))
        if cleaned.content is None:
            self.store.delete(key)
        elif not self.store.put_over(key, cleaned.content, found.tag):
            self.write(objects=known)
            return False
        self._tell(f"{key}: {f'{cleaned.rows} rows' if cleaned.rows else 'what it told of people'} removed")
        return True
