"""A data set that is made while a person's rows are deleted: what was read before may have them, and is not kept."""

from __future__ import annotations

from heliostat.spec.data_sets import manifest_place, prefix_of
from heliostat.systems.erasures import erasures
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import ObjectStore


class NobodyErased:
    """That nobody was deleted since rows of the store began to be read."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        """Begin to read for the data set of that name."""
        self._store, self._name = store, name
        self._before = erasures(store)
        self._there = self._snapshots()

    def require(self) -> None:
        """See that it is so.

        Raises:
            RetryableError: a deletion began or ended since.
        """
        if erasures(self._store) != self._before:
            raise RetryableError("a person's rows were deleted while a data set was made of them: make it again")

    def require_of(self, digest: str) -> None:
        """See that it is so once a snapshot is kept; else that goes, where it was not there before: the search of a deletion
        may have been over by then, and found nothing of it.

        Raises:
            RetryableError: a deletion began or ended since.
        """
        top = prefix_of(self._name, digest)
        try:
            self.require_of_object(f"{top}manifest.json" if digest not in self._there else None)
        except RetryableError:
            for info in list(self._store.list(top)) if digest not in self._there else ():
                self._store.delete(info.key)
            raise

    def require_of_object(self, key: str | None) -> None:
        """The same of one object that tells of rows; of None that it is so."""
        try:
            self.require()
        except RetryableError:
            if key is not None:
                self._store.delete(key)
            raise

    def _snapshots(self) -> frozenset[str]:
        places = (manifest_place(info.key) for info in self._store.list(prefix_of(self._name)))
        return frozenset(place[1] for place in places if place is not None)
