"""What statistics and schema tell of a snapshot once more columns are marked as personal than when it was made."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from heliostat.ml import dataset_statistics
from heliostat.spec.data_sets import prefix_of
from heliostat.systems.objects import ObjectStore, change


def without_personal_values(store: ObjectStore, manifest: Mapping[str, Any], personal: Collection[str]) -> dict[str, Any]:
    """Have neither statistics nor schema of a snapshot tell values of columns that are marked as personal by now, and return
    its manifest, which is written last and says so."""
    marked = personal_columns(manifest, personal)
    if marked == tuple(manifest.get("personal", ())):
        return dict(manifest)
    for key, content in values_told(store, manifest, marked).items():
        store.put(key, content)  # two who do this write the same, or less
    key = f"{prefix_of(manifest['name'], manifest['digest'])}manifest.json"
    # A deletion may say in it meanwhile that the snapshot has a successor: that stays.
    found: dict[str, Any] = json.loads(change(store, key, lambda content: _marked(content, marked)))
    return found


def _marked(content: bytes, personal: Collection[str]) -> bytes:
    manifest = json.loads(content)
    said = list(manifest.get("personal", ()))
    return content_of({**manifest, "personal": [*said, *(name for name in personal if name not in said)]})


def personal_columns(manifest: Mapping[str, Any], personal: Collection[str]) -> tuple[str, ...]:
    """The columns of a snapshot that are personal: as it says itself, and those of `personal` that it has."""
    said = tuple(manifest.get("personal", ()))
    return (*said, *sorted(name for name in {*personal} - {*said} if name in manifest["columns"]))


def values_told(store: ObjectStore, manifest: Mapping[str, Any], personal: Collection[str]) -> dict[str, bytes]:
    """Those of a snapshot's statistics and schema that tell values of `personal` columns, by key, as they are without."""
    found = {}
    for name, without in (
        ("statistics", dataset_statistics.without_values),
        ("schema", dataset_statistics.without_domains),
    ):
        key = f"{prefix_of(manifest['name'], manifest['digest'])}{name}.json"
        if store.exists(key):
            before = json.loads(store.get(key))
            if (left := without(before, personal)) != before:
                found[key] = content_of(left)
    return found


def content_of(value: object) -> bytes:
    """`value` as readable JSON."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
