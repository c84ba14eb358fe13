"""Takes a person's rows out of a snapshot: snapshots are immutable, so another one takes its place, and its bytes go."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from heliostat.governance.subjects import Subject
from heliostat.ml.datasets import SPLITS, Parts, Snapshot, put_json, save
from heliostat.ml.snapshots import told
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import manifest_place
from heliostat.spec.erasure import ErasedSnapshot
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, change, contents, open_store

STATISTICS: Final = "statistics and schemas of snapshots"


def manifests(store: ObjectStore, name: str) -> Iterator[dict[str, Any]]:
    """The manifests of a data set's snapshots, also of those whose bytes are gone."""
    for _, content in contents(store, f"datasets/{name}/", manifest_place):
        yield json.loads(content)


def is_erased(manifest: dict[str, Any]) -> bool:
    """Whether a snapshot's bytes are gone."""
    return "erased" in manifest


def rows_of(address: StoreAddress, manifest: dict[str, Any], subject: Subject) -> dict[str, int]:
    """How many rows of the person each split has; only those that have any. Of a snapshot that is there by reference none is
    here: the erasure is that of the store which has the rows."""
    if subject.field not in manifest["columns"] or "origin" in manifest:
        return {}
    snapshot = Snapshot(f"datasets/{manifest['name']}/{manifest['digest']}", address)
    found = {
        split: sum(
            pc.sum(subject.rows_in(batch[subject.field])).as_py() or 0 for batch in snapshot.batches(split, [subject.field])
        )
        for split in SPLITS
    }
    return {split: count for split, count in found.items() if count}


def marks_of(found: Iterable[dict[str, Any]], marked: Collection[str]) -> dict[str, frozenset[str]]:
    """What is personal in each data set: fields that are marked by now, and what any of its snapshots says."""
    marks: dict[str, frozenset[str]] = {}
    for manifest in found:
        name = str(manifest["name"])
        marks[name] = marks.get(name, frozenset(marked)) | {*manifest.get("personal", ())}
    return marks


def without_values(store: ObjectStore, manifest: dict[str, Any], marks: Collection[str]) -> dict[str, bytes]:
    """Those of the statistics and the schema of a snapshot that tell values of columns which were not marked when they were
    made, by key, as they are without."""
    return {} if is_erased(manifest) else told.values_told(store, manifest, told.personal_columns(manifest, marks))


def keep_marks(store: ObjectStore, manifest: dict[str, Any], marks: Collection[str]) -> None:
    """Have a snapshot say what is personal in it by now, once nothing tells values of that."""
    if not is_erased(manifest):
        told.without_personal_values(store, manifest, marks)


def successor_of(
    address: StoreAddress, manifest: dict[str, Any], subject: Subject, erasure: str, marks: Collection[str] = ()
) -> ErasedSnapshot:
    """Keep a snapshot without the person's rows, which names its parent, and return what became of which.

    Raises:
        PermanentError: nothing would be left of a split.
    """
    store = open_store(address)
    name, digest = manifest["name"], manifest["digest"]
    snapshot = Snapshot(f"datasets/{name}/{digest}", address)
    removed = rows_of(address, manifest, subject)

    def without(split: str) -> Iterator[pa.Table]:
        for batch in snapshot.batches(split):
            yield batch.filter(pc.invert(subject.rows_in(batch[subject.field])))

    parts = Parts(
        train=lambda: without("train"), validation=lambda: without("validation"), test=lambda: without("test"),
        label=manifest["label"], notes=manifest["notes"],
    )  # fmt: skip
    personal = told.personal_columns(manifest, marks)
    more = {
        **({"sample": manifest["sample"]} if "sample" in manifest else {}),
        **({"personal": [*personal]} if personal else {}),
    }
    try:
        made = save(parts, name, store, more=more)
    except PermanentError as error:
        raise PermanentError(f"the snapshot {digest[:12]} of {name} without the person's rows: {error}") from None
    parents = [*made.get("parents", []), {"digest": digest, "erasure": erasure}]
    if not any(each["digest"] == digest for each in made.get("parents", [])):
        put_json(store, f"datasets/{name}/{made['digest']}/manifest.json", {**made, "parents": parents})
    return ErasedSnapshot(name=name, before=digest, after=made["digest"], rows=removed)


def _with_parent(made: dict[str, Any], erased: ErasedSnapshot) -> dict[str, Any]:
    """How the successor came about: as the old one did, and of it."""
    parent = {"name": erased.name, "digest": erased.before}
    return {**made, "parents": [*(each for each in made.get("parents", []) if each != parent), parent]}


def retire(store: ObjectStore, erased: ErasedSnapshot, erasure: str) -> None:
    """Have what was made of the same code be the successor, then remove the old bytes; the old manifest says so and stays."""
    top = f"datasets/{erased.name}"
    successor = json.loads(store.get(f"{top}/{erased.after}/manifest.json"))
    for info in list(store.list(f"{top}/made/")):
        with suppress(ObjectMissingError):
            change(store, info.key, lambda content: _succeeded(content, successor, erased))
    key = f"{top}/{erased.before}/manifest.json"
    why = {"at": time.time(), "erasure": erasure, "successor": erased.after}
    change(store, key, lambda content: _retired(content, why))
    for info in list(store.list(f"{top}/{erased.before}/")):
        if info.key != key:
            store.delete(info.key)


def _succeeded(content: bytes, successor: dict[str, Any], erased: ErasedSnapshot) -> bytes:
    """What a making left, with the successor where it was the snapshot that goes."""
    known = json.loads(content)
    if known.get("digest") != erased.before:
        return content
    how = {"made": _with_parent(known["made"], erased)} if "made" in known else {}
    return told.content_of({**successor, **how})


def _retired(content: bytes, why: dict[str, Any]) -> bytes:
    manifest = json.loads(content)
    return content if is_erased(manifest) else told.content_of({**manifest, "files": {}, "erased": why})
