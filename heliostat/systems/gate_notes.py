"""What the gate said of an application's candidates, as notes in the object store: for its monitor, for its report, and for
whoever trains it again."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from heliostat.spec.base import Name
from heliostat.spec.monitoring import Acceptance, Refusal, acceptances, refusals
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_Note = TypeVar("_Note", Acceptance, Refusal)


def note(store: ObjectStore, application: Name, candidate: str, said: Acceptance | Refusal) -> None:
    """Keep what the gate said, once for each candidate; `candidate` names it, such as a run's id."""
    prefix = refusals(application) if isinstance(said, Refusal) else acceptances(application)
    store.put(f"{prefix}{candidate}.json", said.model_dump_json().encode(), only_if_absent=True)


def refused(store: ObjectStore, application: Name) -> tuple[Refusal, ...]:
    """The candidates that the gate refused, the oldest first.

    Raises:
        PermanentError, RetryableError: the store does not say.
    """
    return _notes(store, refusals(application), Refusal)


def accepted(store: ObjectStore, application: Name) -> tuple[Acceptance, ...]:
    """The candidates that it accepted, the oldest first.

    Raises:
        PermanentError, RetryableError: the store does not say.
    """
    return _notes(store, acceptances(application), Acceptance)


def _notes(store: ObjectStore, prefix: str, kind: type[_Note]) -> tuple[_Note, ...]:
    found = []
    for info in store.list(prefix):
        try:
            found.append(kind.model_validate_json(store.get(info.key)))
        except (ObjectMissingError, ValidationError):
            continue  # taken away meanwhile, or of another release
    return tuple(sorted(found, key=lambda each: each.at))
