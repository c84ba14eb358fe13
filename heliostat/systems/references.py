"""Snapshots that lie in another store: their manifest is here, with `origin` in it, and what is small beside it; the files of
their rows are read where they are. Nothing is ever written there."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import prefix_of
from heliostat.systems.objects import ObjectMissingError, ObjectStore, open_store

_SMALL: Final = ("statistics.json", "schema.json")


class ReadableStore(Protocol):
    """What of an ObjectStore only reads."""

    def get(self, key: str) -> bytes:
        """The object's content."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def uri(self, key: str) -> str:
        """Where the object lies."""


def open_origin(address: StoreAddress) -> ReadableStore:
    """Another stack's store."""
    return open_store(address)


def home_of(manifest: dict[str, Any], own: StoreAddress) -> StoreAddress:
    """The store that has the files of a snapshot whose manifest is in the store `own`."""
    return StoreAddress.model_validate(manifest["origin"]) if "origin" in manifest else own


def is_whole(store: ReadableStore, name: str, digest: str) -> bool:
    """Whether a snapshot is there, with its files; the manifest of one that a person's rows were deleted from names its
    successor."""
    try:
        manifest = json.loads(store.get(f"{prefix_of(name, digest)}manifest.json"))
    except ObjectMissingError:
        return False
    if "erased" in manifest:
        return False
    return "origin" not in manifest or is_whole(open_origin(StoreAddress.model_validate(manifest["origin"])), name, digest)


def known_manifest(store: ReadableStore, result_key: str, name: str) -> dict[str, Any] | None:
    """The manifest of the snapshot that a making left at `result_key`; None where there is none, or it is not whole now."""
    try:
        manifest: dict[str, Any] = json.loads(store.get(result_key))
    except ObjectMissingError:
        return None
    return manifest if is_whole(store, name, manifest["digest"]) else None


def refer(store: ObjectStore, origin: StoreAddress, result_key: str, known: dict[str, Any]) -> dict[str, Any]:
    """Have the snapshot of a manifest, which is in the store `origin`, in `store` by reference; its manifest there.

    Killed at any moment it is whole or not there, and the same once more does nothing: the manifest comes last.
    """
    kept = take(store, origin, known)
    made = {"made": known["made"]} if "made" in known else {}
    store.put(result_key, _json({**kept, **made}))
    return {**kept, **made}


def take(store: ObjectStore, origin: StoreAddress, known: dict[str, Any]) -> dict[str, Any]:
    """The same, with nothing that says how it was made."""
    name, digest = known["name"], known["digest"]
    prefix = prefix_of(name, digest)
    other = open_origin(origin)
    for part in [*_SMALL, *(f"profiles/{split}.arrow" for split in known["rows"])]:
        if other.exists(f"{prefix}{part}") and not store.exists(f"{prefix}{part}"):
            store.put(f"{prefix}{part}", other.get(f"{prefix}{part}"))
    manifest = {
        **{key: value for key, value in known.items() if key != "made"},
        # What is there by reference itself lies where that says.
        "origin": home_of(known, origin).model_dump(mode="json", exclude_none=True),
        "uri": store.uri(prefix[:-1]),
        "statisticsUri": store.uri(f"{prefix}statistics.json"),
        "schemaUri": store.uri(f"{prefix}schema.json"),
    }
    if not is_whole(store, name, digest):
        store.put(f"{prefix}manifest.json", _json(manifest))
    kept: dict[str, Any] = json.loads(store.get(f"{prefix}manifest.json"))
    return kept


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
