"""The ledger of packages: which wheel was made of what, and where it was published.

ledger/packages/<distribution>/<number, ten digits>.json     one immutable object an entry, numbered without a gap
packages/files/<distribution>/<wheel>                        the wheels
packages/simple/<distribution>/index.html                    the index that pip and others install from (PEP 503)
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from heliostat.spec.base import Digest, Model, Name
from heliostat.spec.ledger import TOP
from heliostat.spec.packages import DistributionName


class PublicationKind(StrEnum):
    """What happened to a package."""

    BUILT = "built"
    """A wheel was made; it is installed from the object store."""
    UPLOADED = "uploaded"
    """It was sent to another index."""
    REMOVED = "removed"
    """It was taken out of the object store."""


class PackageDigests(Model):
    """What a wheel was made of. The same, and the same model, are the same wheel."""

    code: Digest
    """Of the workload's code that the contract needs."""
    library: Digest
    """Of the library's part in it."""
    model: Digest
    """Of the model's files."""
    data: str
    """Of the data that the model was trained on; empty where the registry does not know."""
    row: Digest
    """Of the JSON Schema of a row."""
    answer: Digest
    """Of the JSON Schema of an answer."""


class Publication(Model):
    """One entry of a package's ledger."""

    number: Annotated[int, Field(ge=1)]
    """From 1, of the distribution."""
    kind: PublicationKind
    at: float
    """Unix time, seconds."""
    application: Name
    distribution: DistributionName
    version: str
    """The model version's number, and how many wheels of it there were before (PEP 440), as `3.0`."""
    file: str
    """The wheel's name."""
    sha256: Digest
    model_uri: str
    identity: Digest
    """Of the model's name in the registry, of `digests` and of what else goes into the wheel."""
    digests: PackageDigests
    requires_python: str
    place: str
    """URI of the wheel in the object store, or the URL that it was uploaded to."""
    origin: str = ""
    """The commit that it was declared by, with a `+` where the checkout differed; empty where it was in none."""


_PACKAGES: Final = f"{TOP}packages/"
_KEY = re.compile(rf"{_PACKAGES}([a-z0-9-]+)/([0-9]{{10}})\.json")


def publications_prefix(distribution: str = "") -> str:
    """Where a distribution's entries lie in the object store; those of all, where none is named."""
    return f"{_PACKAGES}{distribution}/" if distribution else _PACKAGES


def publication_key(distribution: str, number: int) -> str:
    """Where an entry lies in the object store."""
    return f"{publications_prefix(distribution)}{number:010d}.json"


def publication_place(key: str) -> tuple[str, int] | None:
    """The distribution and the number of the entry that lies there; None of what is no entry."""
    fits = _KEY.fullmatch(key)
    return (fits[1], int(fits[2])) if fits else None


def wheel_key(distribution: str, file: str) -> str:
    """Where a wheel lies in the object store."""
    return f"packages/files/{distribution}/{file}"


def index_key(distribution: str) -> str:
    """Where the page of a distribution's wheels lies in the object store."""
    return f"packages/simple/{distribution}/index.html"


ROOT_INDEX: Final = "packages/simple/index.html"
"""Where the page of all distributions lies in the object store."""


def next_version(earlier: tuple[Publication, ...], model_version: int) -> str:
    """The version that the next wheel of a model version gets."""
    built = {each.version for each in earlier if each.kind is PublicationKind.BUILT}
    return f"{model_version}.{sum(version.partition('.')[0] == str(model_version) for version in built)}"
