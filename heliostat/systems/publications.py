"""The ledger of packages in the object store: entries are written once, under the next number, by whoever is first."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from heliostat.spec.formatting import counted
from heliostat.spec.publications import Publication, publication_key, publication_place, publications_prefix
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore


def read(store: ObjectStore, distribution: str) -> tuple[Publication, ...]:
    """All entries of a distribution, in their order.

    Raises:
        PermanentError: one of them cannot be read.
    """
    found = []
    for info in store.list(publications_prefix(distribution)):
        place = publication_place(info.key)
        if place is None:
            continue
        try:
            found.append(Publication.model_validate_json(store.get(info.key)))
        except ValidationError as error:
            wrong = counted(error.error_count(), "mistake")
            raise PermanentError(
                f"{store.uri(info.key)} is no entry of the ledger ({wrong}): it was changed, or a later release wrote it"
            ) from None
    return tuple(found)


def distributions(store: ObjectStore) -> tuple[str, ...]:
    """The distributions that the store has a ledger of."""
    places = (publication_place(info.key) for info in store.list(publications_prefix()))
    return tuple(sorted({place[0] for place in places if place is not None}))


def of_application(store: ObjectStore, application: str) -> tuple[Publication, ...]:
    """What was published of an application, the oldest first."""
    found = [each for name in distributions(store) for each in read(store, name) if each.application == application]
    return tuple(sorted(found, key=lambda each: (each.at, each.number)))


def next_number(there: tuple[Publication, ...]) -> int:
    """The number of the entry that comes after some."""
    return there[-1].number + 1 if there else 1


def append(
    store: ObjectStore, distribution: str, entry: Callable[[tuple[Publication, ...]], Publication | None]
) -> Publication | None:
    """Write the entry that follows from those that are there; from more of them, where somebody else was faster.

    `entry` gives it the number after theirs, or None where nothing is to be written.
    """
    while True:
        there = read(store, distribution)
        made = entry(there)
        if made is None:
            return None
        body = made.model_dump_json().encode()
        if store.put(publication_key(distribution, made.number), body, only_if_absent=True):
            return made
