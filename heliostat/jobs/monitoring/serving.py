"""Which version is looked at: the one that serves, which need not be the one that was declared last.

A candidate waits for days in a canary, or went back, and no `up` says so: the ledger does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from heliostat.spec.data_sets import prefix_of as data_set_at
from heliostat.spec.ledger import Entry, EntryKind, place_of, prefix_of
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.rollouts import Phase, Version
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_lineage import DATA_TAG
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import ObjectMissingError, ObjectStore


@dataclass(frozen=True)
class Serving:
    """The version that is looked at."""

    specification: MonitorSpecification
    """The monitor's, of this version."""
    version: Version | None = None
    """As the ledger has it; None where the ledger does not speak of it."""
    is_other: bool = False
    """Whether it is of another model than was declared last."""
    problem: str = ""
    """What of what serves is not known, so that it is not looked at."""


def of_what_serves(specification: MonitorSpecification, store: ObjectStore, data_of: Callable[[str], str]) -> Serving:
    """The version that serves, for a monitor.

    Args:
        specification: Of the version that was declared last; it stays where no ledger says that another one serves.
        store: Where the ledger is.
        data_of: The digest of what a version was trained on, by its URI; PermanentError, RetryableError where nobody knows.
    """
    entry = _newest(store, specification.name)
    version = serving_in(entry) if entry is not None else None
    if version is None or version.model_uri == specification.model_uri:
        return Serving(specification, version)
    # What was declared for the other version is not what this one was trained with.
    found = specification.model_copy(update={"model_uri": version.model_uri, "data_value": None})
    if specification.dataset_digest is None:  # of others: its own first answers are its reference
        return Serving(found, version, is_other=True)
    try:
        digest = data_of(version.model_uri)
    except (PermanentError, RetryableError) as error:
        told = (
            f"{version.model_uri} serves, and {specification.model_uri} is looked at, for the data of the former are not known"
        )
        return Serving(specification, problem=f"{told}: {error}")
    key = data_set_at(specification.dataset_key.split("/")[1], digest)[:-1]
    found = found.model_copy(update={"dataset_key": key, "dataset_digest": digest})
    return Serving(found, version, is_other=True)


def serving_in(entry: Entry) -> Version | None:
    """What serves by a ledger's entry: until its rollout is through, or all requests go to it, not the target.

    None where the application was removed, or its first version did not come to serve.
    """
    if entry.kind is EntryKind.REMOVED:
        return None
    if entry.kind is EntryKind.END:
        is_through = entry.phase is not Phase.FAILED
    else:
        is_through = entry.previous is None or entry.weights.get(entry.target.version.digest, 0.0) >= 1.0
    served = entry.target if is_through else entry.previous
    return served.version if served is not None else None


def registered_data(specification: MonitorSpecification) -> Callable[[str], str]:
    """What the registry says of it."""

    def found(uri: str) -> str:
        with Registry(specification.tracking_uri) as registry:
            version = registry.version(uri)
        if version is None or DATA_TAG not in version.tags:
            raise PermanentError(f"the registry at {specification.tracking_uri} does not say it of {uri}")
        return version.tags[DATA_TAG]

    return found


def _newest(store: ObjectStore, name: str) -> Entry | None:
    """The ledger's last entry; None where there is none, or another release wrote it."""
    places = (info.key for info in store.list(prefix_of(name)) if place_of(info.key) is not None)
    if (key := max(places, default=None)) is None:
        return None
    try:
        return Entry.model_validate_json(store.get(key))
    except (ObjectMissingError, ValidationError):
        return None
