"""The rows of another data set, which becomes the parent of the one that is made of them."""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

from heliostat.ml.datasets import Snapshot
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import Parent, manifest_place, prefix_of
from heliostat.spec.ingestion import DataSetSource
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore, open_store

_SHOWN: Final = 12
"""Digits of a digest that people read."""


def rows_of_parent(source: DataSetSource, address: StoreAddress) -> tuple[pa.Table, Parent, tuple[str, ...]]:
    """The rows, which snapshot they are of, and what is to be told of it: where a person's rows were deleted from the one
    that is named, the one that has its place is read.

    Raises:
        PermanentError: there is no such snapshot, or several.
    """
    store = open_store(address)
    digest, told = _named(source, store), list[str]()
    while (erased := _manifest(store, source.name, digest).get("erased")) is not None:
        told.append(
            f"a person's rows were deleted from {source.name}@{digest[:_SHOWN]}: {erased['successor'][:_SHOWN]} has its place"
        )
        digest = erased["successor"]
    snapshot = Snapshot(prefix_of(source.name, digest)[:-1], address)
    tables = [snapshot.table(split) for split in source.splits]
    return pa.concat_tables(tables), Parent(name=source.name, digest=digest), tuple(told)


def _named(source: DataSetSource, store: ObjectStore) -> str:
    places = (manifest_place(info.key) for info in store.list(f"{prefix_of(source.name)}{source.digest}"))
    found = sorted({place[1] for place in places if place is not None})
    if len(found) == 1:
        return found[0]
    if found:
        raise PermanentError(f"{source.digest!r} names several snapshots of {source.name}: {', '.join(found)}")
    there = {place[1][:_SHOWN] for info in store.list(prefix_of(source.name)) if (place := manifest_place(info.key))}
    known = f"there are {', '.join(sorted(there)[:5])}" if there else "it has none"
    raise PermanentError(f"the data set {source.name} has no snapshot {source.digest}: {known} (`heliostat datasets list`)")


def _manifest(store: ObjectStore, name: str, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.get(f"{prefix_of(name, digest)}manifest.json"))
    return found
