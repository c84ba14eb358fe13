"""Where the prediction log waits on a node until it is stored: `<spool>/<store>.store/<application>/<id>.jsonl`.

Stacks share a node, and serve applications of the same name. So a spool lies below its store's name, its first line says
which store and application it is for, and it is sealed there or not at all. That line also has the columns of the contract:
whoever seals a spool may serve another one.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import to_json

from heliostat.serving.prediction_log.columns import Columns
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Model, Name, without_defaults
from heliostat.spec.review import Review
from heliostat.systems.objects import directory_of
from heliostat.systems.private_folder import node_folder

_SUFFIX: Final = ".jsonl"


class Head(Model):
    """The first line of a spool."""

    spool: Literal[2] = 2
    """Of its form; 1 had no such line."""
    store: StoreAddress
    application: Name
    columns: Columns
    review: Review | None = None
    """Which answers people look at."""
    logged: float = 1.0
    """Share of the requests that is logged at all."""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Of a spool; None where its first line is none, as an older release left it."""
        with path.open("rb") as file:
            return cls.of(file.readline())

    @classmethod
    def of(cls, line: bytes) -> Self | None:
        """What a line says; None where it is an entry, or torn."""
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return None

    @property
    def line(self) -> bytes:
        """As it is written."""
        return to_json({"spool": 2, **without_defaults(self)}) + b"\n"

    def is_for(self, store: StoreAddress, application: Name) -> bool:
        """Whether the spool is sealed into this store under this name."""
        return self.application == application and identity(self.store) == identity(store)


def identity(address: StoreAddress) -> str:
    """The same text for all addresses of one store, and of no other. A bucket's region is no part of its name."""
    if address.uri.startswith("file:"):
        return f"file://{posixpath.normpath(directory_of(address).as_posix())}"
    parts = urlsplit(address.uri)
    return f"{(address.endpoint or '').rstrip('/')} {parts.scheme}://{parts.netloc}/{parts.path.strip('/')}"


def default_spool() -> Path:
    """Where this node keeps the prediction logs of all stacks until they are stored."""
    return node_folder() / "predictions"


def folder_of(spool: Path, store: StoreAddress, application: Name) -> Path:
    """Where this application's spools for this store lie. No application is called as a store's folder is."""
    return spool / f"{hashlib.sha256(identity(store).encode()).hexdigest()[:16]}.store" / application


def spools_in(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The spools of a folder; one that is sealed meanwhile is left out."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            yield path, path.stat()
        except FileNotFoundError:
            continue


def name_of(identifier: str) -> str:
    """The file of a new spool."""
    return f"{identifier}{_SUFFIX}"
