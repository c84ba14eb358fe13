"""How the snapshots of a data set were made, as far as the object store says it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from heliostat.spec.base import Name
from heliostat.spec.data_sets import Making, SnapshotManifest, prefix_of
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def manifests_made(store: ObjectStore, name: Name) -> Iterator[SnapshotManifest]:
    """The manifests of all that was made, those of snapshots that are gone included; a damaged one is left out."""
    for info in store.list(f"{prefix_of(name)}made/"):
        try:
            yield SnapshotManifest.model_validate(json.loads(store.get(info.key)))
        except (ObjectMissingError, ValidationError, ValueError):
            continue


def making_of(store: ObjectStore, name: Name, digest: str) -> Making | None:
    """How a snapshot was made, the newest way; None where nothing says it."""
    found = [each.made for each in manifests_made(store, name) if each.digest == digest and each.made is not None]
    return max(found, key=lambda made: made.at, default=None)
