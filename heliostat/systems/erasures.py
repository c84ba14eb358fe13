"""Deletions that are announced in an object store: whoever stores rows leaves those of the people out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from heliostat.spec import ingested
from heliostat.spec.base import Digest
from heliostat.spec.erasure import TOP, ErasureAnnouncement, announced_at
from heliostat.spec.ingested import ErasedPart
from heliostat.systems.objects import ObjectStore

_PROOF: Final = ".proof.json"


def announced(store: ObjectStore, application: str) -> tuple[ErasureAnnouncement, ...]:
    """All of an application's, whether they have ended or not.

    Raises:
        RetryableError, PermanentError: the store does not answer.
    """
    keys = [info.key for info in store.list(f"{TOP}{application}/") if announced_at(info.key)]
    return tuple(ErasureAnnouncement.model_validate_json(store.get(key)) for key in keys)


@dataclass(frozen=True)
class Erasures:
    """The deletions of people, by their ids: of all applications, for several learn of one data set."""

    announced: frozenset[str]
    proven: frozenset[str]

    @property
    def under_way(self) -> bool:
        """Whether one is not ended: rows may go while they are read."""
        return not self.announced <= self.proven


def erasures(store: ObjectStore) -> Erasures:
    """Those that there are now.

    Raises:
        RetryableError, PermanentError: the store does not answer.
    """
    keys = [info.key for info in store.list(TOP)]
    proofs = (key.rpartition("/")[2] for key in keys if key.endswith(_PROOF))
    return Erasures(
        announced=frozenset(each for key in keys if (each := announced_at(key))),
        proven=frozenset(name.removesuffix(_PROOF) for name in proofs),
    )


class ErasedPeople:
    """Whose rows are not stored any more."""

    def __init__(self, announcements: tuple[ErasureAnnouncement, ...]) -> None:
        self._until: dict[tuple[str, str], float] = {}
        for each in announcements:
            for token in each.tokens:
                place = each.field, token
                self._until[place] = max(each.at, self._until.get(place, each.at))
        self._fields = {field for field, _ in self._until}
        self._texts = {token.encode() for _, token in self._until}

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self._fields)

    def has(self, row: Any, at: float) -> bool:
        """Whether a row, of a request at that Unix time, is one of theirs."""
        if not self._fields or not isinstance(row, Mapping):
            return False
        return any(
            at <= self._until.get((field, row[field]), -1.0) for field in self._fields if isinstance(row.get(field), str)
        )

    def are_in(self, line: bytes) -> bool:
        """Whether a line that nobody can read has one of them in it, whenever it was written."""
        return any(text in line for text in self._texts)


def erased_parts(store: ObjectStore, name: str) -> dict[Digest, ErasedPart]:
    """The parts of a data set's ingested rows that had rows of people, and which ones have their place.

    Raises:
        RetryableError, PermanentError: the store does not answer.
    """
    found = {}
    for info in store.list(f"{ingested.top(name)}erased/"):
        if (place := ingested.place(info.key)) is not None:
            found[place[2]] = ErasedPart.model_validate_json(store.get(info.key))
    return found
