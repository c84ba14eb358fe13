"""What is known of a data set: its manifest, named by content, and how it was made; each time, for the same content may come
of other code. Below `datasets/<name>/` in an object store lie

    <digest>/manifest.json     what it is; written last: without it there is no snapshot
    <digest>/profiles/<split>.arrow
    made/<identity>.json       the manifest with how it was made; it stays when the snapshot is pruned
    refused/<identity>.json    why data was refused, with the rows
    ingested/                  rows that were read from elsewhere: `heliostat.spec.ingested`
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, Field

from heliostat.spec.base import Digest, EntryPoint, Model, Name, Parameters, is_empty, is_none
from heliostat.spec.readings import Reading
from heliostat.spec.snapshot_settings import SampleShare, sample_text

SCHEMA_FILE: Final = "schema.yaml"
"""What is expected of the data, in the workload's folder."""
TOP: Final = "datasets/"
"""Where all data sets lie in an object store."""
_MANIFEST: Final = re.compile(rf"{TOP}([^/]+)/([0-9a-f]{{64}})/manifest\.json")


class DataSource(Model):
    """Something that a data set was made of."""

    uri: str
    """Where it lies: a file, an object, a table, a package; without any password."""
    digest: str = Field(default="", exclude_if=is_empty)
    """Of its content, where that is known."""
    rows: int | None = Field(default=None, exclude_if=is_none)
    """How many rows were taken of it."""
    note: str = Field(default="", exclude_if=is_empty)
    """What people should know of it, as a query or a version."""


class Parent(Model):
    """A data set, by content, that another one was made of."""

    name: Name
    digest: Digest


class Making(Model):
    """How a snapshot was made, once."""

    identity: Digest
    """Of code, entry point, parameters, task and schema: the same make the same."""
    at: float
    """Unix time, seconds."""
    entry_point: EntryPoint
    code_digest: Digest
    parameters: Parameters = {}
    library: str = ""
    """The library's version."""
    sources: tuple[DataSource, ...] = ()
    parents: tuple[Parent, ...] = ()
    schema_digest: str = Field(default="", exclude_if=is_empty)
    """Of the schema that it was held to; empty where the workload has none."""
    findings: tuple[dict[str, Any], ...] = Field(default=(), exclude_if=is_empty)
    """Expectations that failed and stopped nothing: of columns that no model is given."""
    reading: Reading | None = Field(default=None, exclude_if=is_none)
    """How far the source of its rows was read, where they are ingested from files or a query."""


class SnapshotManifest(Model):
    """A snapshot, as its manifest tells of it; what other releases add is left aside."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    digest: Digest
    uri: str
    label: str
    rows: dict[str, int]
    """By split."""
    columns: dict[str, str]
    """Arrow's types, by name."""
    files: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    personal: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """What the workload's contract marked as personal when it was made, by all names: no statistics quote such columns."""
    origin: dict[str, Any] | None = Field(default=None, exclude_if=is_none)
    """The other store that has the files of its rows, a `StoreAddress`; None where they are beside the manifest."""
    sample: SampleShare | None = Field(default=None, exclude_if=is_none)
    """The share of the rows of whole data that it is a sample of."""
    erased: dict[str, Any] | None = Field(default=None, exclude_if=is_none)
    """That its rows are gone, since a person's were deleted: when, and which snapshot took its place."""
    made: Making | None = Field(default=None, exclude_if=is_none)
    """How it was made; in `made/<identity>.json` alone, and None where that was before it was kept."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What people have to know beside its figures."""
        sample = (sample_text(self.sample),) if self.sample is not None else ()
        return (*sample, f"by reference: its rows are in {self.origin['uri']}") if self.origin is not None else sample


class PrunedData(Model):
    """What of a data set somebody deletes, as the audit log is told."""

    what: tuple[str, ...]
    """Snapshots, and what was left of some."""
    size: int
    """In bytes."""


def schema_file(root: Path, dataset: EntryPoint) -> Path:
    """Where the schema of a workload lies in its checkout: beside the module that makes the data."""
    return root.joinpath(*dataset.partition(":")[0].split(".")).with_name(SCHEMA_FILE)


def prefix_of(name: str, digest: str = "") -> str:
    """Where a data set lies, or one snapshot of it."""
    return f"{TOP}{name}/{digest}/" if digest else f"{TOP}{name}/"


def manifest_place(key: str) -> tuple[str, str] | None:
    """The data set and the digest of the snapshot whose manifest lies at `key`; None of any other object."""
    fits = _MANIFEST.fullmatch(key)
    return (fits[1], fits[2]) if fits else None


def profile_key(name: str, digest: str, split: str) -> str:
    """Where the profile of a split lies."""
    return f"{prefix_of(name, digest)}profiles/{split}.arrow"
