"""Which version is watched: the one that serves. What is declared may be on its way still, or have been turned back."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from heliostat.jobs.specification import progress
from heliostat.spec.ledger import Entry, EntryKind, key_of, place_of, prefix_of
from heliostat.spec.monitoring import MonitorSpecification, version_key
from heliostat.spec.rollouts import Phase
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_OF_A_VERSION: Final = (
    "contract", "code_digest", "model_uri", "dataset_key", "dataset_digest", "problem", "transformed", "data_value",
)  # fmt: skip
"""What of a specification a version brings with it; all else is as it is declared now."""


def of_what_serves(specification: MonitorSpecification, store: ObjectStore) -> MonitorSpecification:
    """The specification, about the version that serves where the ledger says that this is another one than is declared.

    A version that serves is noted with each look. One that never was looked at cannot be told, and neither can what serves
    where there is no ledger: then what is declared is watched.
    """
    serving = _model_that_serves(store, specification.name)
    if serving is None:
        return specification
    if serving == specification.model_uri:
        _note(specification, store)
        return specification
    noted = _noted(store, specification.name, serving)
    if noted is None:
        return specification
    progress(f"{serving} serves and is watched; {specification.model_uri}, which is declared, is not through its rollout")
    return specification.model_copy(update={name: getattr(noted, name) for name in _OF_A_VERSION})


def _model_that_serves(store: ObjectStore, name: str) -> str | None:
    """The model whose answers most clients are to get; None where nobody knows, or nothing serves."""
    numbers = [place[1] for info in store.list(prefix_of(name)) if (place := place_of(info.key)) is not None]
    if not numbers:
        return None
    try:
        entry = Entry.model_validate_json(store.get(key_of(name, max(numbers))))
    except (ObjectMissingError, ValidationError):
        return None
    if entry.kind is EntryKind.REMOVED:
        return None
    if entry.kind is EntryKind.END:
        served = entry.previous if entry.phase is Phase.FAILED else entry.target
    else:
        served = entry.previous or entry.target
    return served.version.model_uri if served is not None else None


def _note(specification: MonitorSpecification, store: ObjectStore) -> None:
    note = specification.model_copy(update={"at": None, "result_key": ""})
    if _noted(store, note.name, note.model_uri) != note:
        store.put(version_key(note.name, note.model_uri), note.model_dump_json(indent=2).encode())


def _noted(store: ObjectStore, name: str, model_uri: str) -> MonitorSpecification | None:
    try:
        found = MonitorSpecification.model_validate_json(store.get(version_key(name, model_uri)))
    except (ObjectMissingError, ValidationError):
        return None
    return found if found.model_uri == model_uri else None
