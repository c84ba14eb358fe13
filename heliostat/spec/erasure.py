"""The deletion of what is kept of a person: announced first, proven last.

governance/erasures/<application>/<id>.json            `ErasureAnnouncement`: whoever stores rows later leaves theirs out
governance/erasures/<application>/<id>.progress.json   `ErasureProgress`, while it runs
governance/erasures/<application>/<id>.proof.json      `ErasureProof`, whose digest is in the audit log
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final

from pydantic import Field

from heliostat.spec.base import Digest, Model, Name, is_empty, is_none

TOP: Final = "governance/erasures/"
ErasureId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_ANNOUNCED: Final = re.compile(rf"{TOP}([^/]+)/([0-9a-f]{{32}})\.json")


class ErasureAnnouncement(Model):
    """Whose rows are deleted: by their hashes alone, with every key that there is."""

    id: ErasureId
    application: Name
    field: str
    """The field of the contract that says whose row it is."""
    tokens: tuple[str, ...]
    """What stands in its place, by each key."""
    at: float
    """Rows of requests up to then are deleted, Unix time; who comes again later is somebody who comes again."""
    reason: str = ""

    def told(self) -> dict[str, Any]:
        """What the audit log is told."""
        return {"erasure": self.id, "field": self.field, "subject": list(self.tokens)}


class ErasedObject(Model):
    """An object that had rows of the person."""

    key: str
    rows: int
    """That were removed; of a text places that named them, of what counts rows those that it counted."""
    before: Digest
    """Of its content."""
    after: Digest | None = Field(default=None, exclude_if=is_none)
    """None: nothing was left of it, and it is gone."""
    successor: str = Field(default="", exclude_if=is_empty)
    """Key of what has its place, where that is another object."""


class ErasedTable(Model):
    """A table of a database that had rows of the person."""

    database: str
    """Host, port and name."""
    table: str
    rows: int
    """That were removed."""


class ErasedSnapshot(Model):
    """A snapshot that had rows of the person: its bytes are gone, its name and its manifest stay, and name what follows it."""

    name: Name
    before: Digest
    """Its digest."""
    after: Digest
    """Of the snapshot without the rows."""
    rows: dict[str, int]
    """That were removed, by split."""


class ErasureProgress(Model):
    """What was found so far; written before anything of it is removed."""

    began: float
    objects: tuple[ErasedObject, ...] = ()
    snapshots: tuple[ErasedSnapshot, ...] = ()
    tables: tuple[ErasedTable, ...] = ()
    predictions: tuple[tuple[str, int], ...] = ()
    """Request id and row of the predictions that were removed, whose labels go as well."""


class ErasureProof(Model):
    """What was searched, what was removed, and what was not."""

    id: ErasureId
    application: Name
    field: str
    began: float
    ended: float
    reason: str = ""
    searched: dict[str, int]
    """Objects that were looked into, by what they are."""
    left: int
    """Rows that a second search of the same objects found afterwards: 0, or the deletion is not done."""
    objects: tuple[ErasedObject, ...]
    snapshots: tuple[ErasedSnapshot, ...]
    tables: tuple[ErasedTable, ...] = ()
    versions: int = Field(default=0, exclude_if=is_empty)
    """Old versions of these objects that were deleted, in a bucket that keeps such."""
    data_sets: tuple[Name, ...] = Field(default=(), exclude_if=is_empty)
    """Which were searched: those that the application's versions learned of, and what was made of them or of its log."""
    notes: tuple[str, ...] = ()
    """What cannot be searched or removed from here, and what to do about it."""

    @property
    def rows(self) -> int:
        """All that were removed."""
        of_files = sum(each.rows for each in self.objects) + sum(each.rows for each in self.tables)
        return of_files + sum(sum(each.rows.values()) for each in self.snapshots)

    def told(self) -> dict[str, Any]:
        """What the audit log is told: enough to hold the proof against it."""
        return {"proof": digest_of(self), "rows": self.rows, "searched": self.searched, "left": self.left}


def digest_of(proof: ErasureProof) -> str:
    """The SHA-256 of a proof as it is stored."""
    return hashlib.sha256(content_of(proof)).hexdigest()


def content_of(proof: ErasureProof) -> bytes:
    """A proof as it is stored."""
    return proof.model_dump_json(indent=1).encode()


def key_of(application: str, erasure: str, kind: str = "") -> str:
    """Where an announcement lies, or with a `kind` the `progress` or the `proof`."""
    return f"{TOP}{application}/{erasure}{f'.{kind}' if kind else ''}.json"


def announced_at(key: str) -> str | None:
    """The id of the deletion that is announced there; None of other objects."""
    fits = _ANNOUNCED.fullmatch(key)
    return fits[2] if fits else None
