"""The data sets of an object store, as they are listed there."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from heliostat.spec.data_sets import TOP, Making, SnapshotManifest, prefix_of
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectInfo, ObjectMissingError, ObjectStore

_READERS: Final = 8
_PLACE: Final = re.compile(rf"{TOP}([^/]+)/([0-9a-f]{{64}})/(.+)")
_MADE: Final = re.compile(rf"{TOP}([^/]+)/made/[0-9a-f]{{64}}\.json")
_REFUSED: Final = re.compile(rf"{TOP}([^/]+)/refused/[0-9a-f]{{64}}\.json")
_INGESTED: Final = re.compile(rf"{TOP}[^/]+/ingested/.+")
_SHORTEST: Final = 6
"""Digits of a digest that name a snapshot."""
SHOWN: Final = 12
"""Digits of a digest that people read."""


@dataclass(frozen=True)
class Stored:
    """A snapshot that is there."""

    manifest: SnapshotManifest
    makings: tuple[Making, ...]
    """The newest first; none where it was made before this was kept."""
    keys: tuple[str, ...]
    """All of its objects."""
    size: int
    """Of these, in bytes."""
    modified: float
    """When its newest object was written, as Unix time in seconds."""

    @property
    def name(self) -> str:
        """The data set's."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """Of its content."""
        return self.manifest.digest

    @property
    def made_at(self) -> float:
        """When it was made last."""
        return self.makings[0].at if self.makings else self.modified

    @property
    def reference(self) -> str:
        """As the commands take and show it."""
        return f"{self.name}@{self.digest[:SHOWN]}"


@dataclass(frozen=True)
class Leftover:
    """Objects of what is no snapshot: files without a manifest, which a killed job or deletion left, and refusals."""

    name: str
    what: str
    keys: tuple[str, ...]
    size: int
    modified: float


@dataclass(frozen=True)
class Unread:
    """A manifest that cannot be read."""

    name: str
    """Of its data set."""
    text: str


@dataclass(frozen=True)
class Catalogue:
    """What is there."""

    snapshots: tuple[Stored, ...]
    """By name, and the newest first."""
    leftovers: tuple[Leftover, ...] = ()
    pruned: tuple[SnapshotManifest, ...] = ()
    """Of which only how they were made is known still."""
    unread: tuple[Unread, ...] = ()
    notes: tuple[str, ...] = ()
    ingested: tuple[ObjectInfo, ...] = ()
    """Rows that ingestions keep, and what is known of them."""

    def of(self, name: str) -> tuple[Stored, ...]:
        """The snapshots of a data set, the newest first."""
        return tuple(each for each in self.snapshots if each.name == name)

    def found(self, reference: str) -> Stored:
        """The snapshot that `NAME`, `NAME@DIGEST` or `DIGEST` names, with six digits of a digest at least.

        Raises:
            PermanentError: there is none, or several.
        """
        name, _, digest = reference.rpartition("@") if "@" in reference else (reference, "", "")
        whole = [each for each in self.of(reference) if each.manifest.erased is None]
        if not digest and whole:
            return whole[0]
        digest = digest or reference
        fits = [
            each
            for each in self.snapshots
            if each.digest.startswith(digest) and ("@" not in reference or each.name == name) and len(digest) >= _SHORTEST
        ]
        if len(fits) == 1:
            if erased := fits[0].manifest.erased:
                successor = str(erased.get("successor", ""))[:SHOWN]
                raise PermanentError(
                    f"the rows of {fits[0].reference} were deleted with a person's: {successor} took its place"
                )
            return fits[0]
        if fits:
            raise PermanentError(
                f"{reference!r} names several: {', '.join(each.reference for each in fits)}; write more digits"
            )
        raise PermanentError(self._unknown(reference, digest))

    def _unknown(self, reference: str, digest: str) -> str:
        gone = [each for each in self.pruned if len(digest) >= _SHORTEST and each.digest.startswith(digest)]
        if gone:
            made = gone[0].made
            how = f"; the code {made.code_digest[:SHOWN]} with the same parameters makes it again" if made is not None else ""
            return f"the snapshot {gone[0].name}@{gone[0].digest[:SHOWN]} was pruned{how}"
        names = ", ".join(dict.fromkeys(each.name for each in self.snapshots)) or "none"
        return f"there is no data set {reference!r}; there are: {names}"


@dataclass
class _Folder:
    keys: list[str] = field(default_factory=list)
    size: int = 0
    modified: float = 0.0

    def add(self, info: ObjectInfo) -> None:
        self.keys.append(info.key)
        self.size += info.size
        self.modified = max(self.modified, info.modified.timestamp())


def read(store: ObjectStore, name: str | None = None) -> Catalogue:
    """All data sets of a store, or one. What cannot be read is told, and the rest is there."""
    folders: dict[tuple[str, str], _Folder] = defaultdict(_Folder)
    made: list[str] = []
    refused: list[Leftover] = []
    ingested: list[ObjectInfo] = []
    for info in store.list(prefix_of(name) if name else TOP):
        if place := _PLACE.fullmatch(info.key):
            folders[place[1], place[2]].add(info)
        elif _MADE.fullmatch(info.key):
            made.append(info.key)
        elif place := _REFUSED.fullmatch(info.key):
            refused.append(Leftover(place[1], "refused data", (info.key,), info.size, info.modified.timestamp()))
        elif _INGESTED.fullmatch(info.key):
            ingested.append(info)
    whole = {place: each for place, each in folders.items() if f"{prefix_of(*place)}manifest.json" in each.keys}
    unread: list[Unread] = []
    manifests = _manifests(store, [f"{prefix_of(*place)}manifest.json" for place in whole], unread)
    by_digest: dict[tuple[str, str], list[SnapshotManifest]] = defaultdict(list)
    for each in _manifests(store, made, unread).values():
        by_digest[each.name, each.digest].append(each)
    snapshots = [
        _stored(manifests[key], whole[place], by_digest.get(place, ()))
        for place in whole
        if (key := f"{prefix_of(*place)}manifest.json") in manifests
    ]
    partial = [
        Leftover(place[0], f"files of {place[1][:SHOWN]}, without a manifest", tuple(each.keys), each.size, each.modified)
        for place, each in folders.items()
        if place not in whole
    ]
    gone = [found[0] for place, found in by_digest.items() if place not in whole]
    return Catalogue(tuple(_ordered(snapshots)), (*partial, *refused), tuple(gone), tuple(unread), ingested=tuple(ingested))


def _ordered(snapshots: Iterable[Stored]) -> list[Stored]:
    return sorted(snapshots, key=lambda each: (each.name, -each.made_at, each.digest))


def _stored(manifest: SnapshotManifest, folder: _Folder, known: Sequence[SnapshotManifest]) -> Stored:
    makings = sorted((each.made for each in known if each.made is not None), key=lambda made: -made.at)
    return Stored(manifest, tuple(makings), tuple(sorted(folder.keys)), folder.size, folder.modified)


def _manifests(store: ObjectStore, keys: Sequence[str], unread: list[Unread]) -> Mapping[str, SnapshotManifest]:
    with ThreadPoolExecutor(_READERS) as readers:
        found = list(readers.map(lambda key: _manifest(store, key), keys))
    unread += [Unread(key.split("/")[1], each) for key, each in zip(keys, found, strict=True) if isinstance(each, str)]
    return {key: each for key, each in zip(keys, found, strict=True) if isinstance(each, SnapshotManifest)}


def _manifest(store: ObjectStore, key: str) -> SnapshotManifest | str | None:
    try:
        given: Any = json.loads(store.get(key))
        return SnapshotManifest.model_validate(given)
    except ObjectMissingError:
        return None  # somebody prunes beside us
    except (ValueError, ValidationError) as error:
        return f"{store.uri(key)} is no manifest: {' '.join(str(error).split())[:200]}"
