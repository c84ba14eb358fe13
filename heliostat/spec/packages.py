"""Models as packages: what a stack may say of them. Names of distributions are normalized (PEP 503)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from heliostat.spec.addresses import BasicVariables, HttpUrl, TokenVariable
from heliostat.spec.base import Model
from heliostat.spec.platforms.base import OnDestroy

DistributionName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,62}[a-z0-9])?$")]
"""The name that a package is installed by: lower case, digits and dashes, at most 64 characters."""


class PackageIndex(Model):
    """A package index to publish to, as PyPI is one: it takes uploads as `twine` and `uv publish` send them."""

    url: HttpUrl
    """Where it takes uploads, as `https://upload.example.com/legacy/`."""
    check_url: HttpUrl | None = None
    """Where it lists packages (PEP 503), so that what is there already is not sent again."""
    credential: Annotated[TokenVariable | BasicVariables, Field(discriminator="kind")] | None = None
    """The environment variables of `up` that a token, or a name and a password, are in; by default nobody is named."""


class Package(Model):
    """A workload's model as a wheel."""

    distribution: DistributionName | None = None
    """What it is installed by; by default `<workload>-model`. What it is imported by is the same with underscores."""
    index: PackageIndex | None = None
    """Where it is published besides the object store."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    """What becomes of the wheels in the object store; those of another index stay there in any case."""


def import_name(distribution: str) -> str:
    """What a distribution is imported by."""
    return distribution.replace("-", "_")


def default_distribution(application: str) -> str:
    """What the package of an application is installed by, where nothing is said."""
    return f"{application}-model"
