"""Rows that the ingestion of a data set read, as it keeps them. Below `datasets/<name>/ingested/` in an object store lie

parts/<digest>.parquet    rows of a file, or of a stretch of a query; immutable
<source>.json             `SourceState`: the parts of a source, and how far it was read; written last
erased/<digest>.json      `ErasedPart`: of a part that had rows of a person, which one without them has its place
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import Field

from heliostat.spec.base import Digest, Model, is_empty, is_none
from heliostat.spec.data_sets import TOP, prefix_of
from heliostat.spec.ingestion import RowSource

_PLACE: Final = re.compile(rf"{TOP}([^/]+)/ingested/(?:(parts|erased)/)?([0-9a-f]{{64}})\.(?:parquet|json)")


class Part(Model):
    """Rows that were read, in a file of their own."""

    uri: str
    """What they were read from: a file, or a stretch of a query."""
    tag: str
    """What tells that it changed."""
    digest: Digest
    rows: int
    rounded: Mapping[str, int] = Field(default={}, exclude_if=is_empty)
    """Of columns of decimals: how many values are another number as a double."""


class ErasedPart(Model):
    """That a part had rows of a person: it is gone, and who names it is given another one."""

    erasure: str
    successor: Digest
    rows: int
    """Of the successor."""


class SourceState(Model):
    """How far a source was read."""

    parts: tuple[Part, ...] = ()
    cursor: int | float | str | None = Field(default=None, exclude_if=is_none)
    until: datetime | None = Field(default=None, exclude_if=is_none)
    """Up to when the last data set was made."""
    made: tuple[Digest, ...] = ()
    """The parts that were in it."""

    def without_people(self, erased: Mapping[Digest, ErasedPart]) -> SourceState:
        """The same, of the parts that have the place of others by now."""
        return self.model_copy(
            update={
                "parts": tuple(part_now(part, erased) for part in self.parts),
                "made": tuple(digest_now(each, erased) for each in self.made),
            }
        )


def part_now(part: Part, erased: Mapping[Digest, ErasedPart]) -> Part:
    """A part, or the one that has its place."""
    digest = digest_now(part.digest, erased)
    if digest == part.digest:
        return part
    rows = next(each.rows for each in erased.values() if each.successor == digest)
    return part.model_copy(update={"digest": digest, "rows": rows})


def digest_now(digest: Digest, erased: Mapping[Digest, ErasedPart]) -> Digest:
    """The digest of a part, or of the one that has its place: people are deleted one after another."""
    seen = set[str]()
    while digest in erased and digest not in seen:
        seen.add(digest)
        digest = erased[digest].successor
    return digest


def top(name: str) -> str:
    """Where all that is read for a data set lies."""
    return f"{prefix_of(name)}ingested/"


def part_key(name: str, digest: Digest) -> str:
    """Where a part lies."""
    return f"{top(name)}parts/{digest}.parquet"


def erased_key(name: str, digest: Digest) -> str:
    """Where it is said that a part had rows of a person."""
    return f"{top(name)}erased/{digest}.json"


def state_key(name: str, source: str) -> str:
    """Where it is said how far a source, by its digest, was read."""
    return f"{top(name)}{source}.json"


def digest_of_source(source: RowSource) -> Digest:
    """What tells one source from another."""
    return hashlib.sha256(source.model_dump_json().encode()).hexdigest()


def place(key: str) -> tuple[str, str, str] | None:
    """The data set, what lies there (`parts`, `erased` or `states`) and its digest; None of other objects."""
    fits = _PLACE.fullmatch(key)
    return (fits[1], fits[2] or "states", fits[3]) if fits else None
