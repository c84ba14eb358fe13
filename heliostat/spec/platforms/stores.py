"""Where a platform's objects lie, as a stack's config says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heliostat.spec.addresses import HttpUrl
from heliostat.spec.base import Model


class DirectoryStore(Model):
    """Objects as files below one directory of this machine."""

    kind: Literal["directory"] = "directory"
    path: str | None = None
    """Absolute path; by default `objects` in the stack's data folder."""


class S3Store(Model):
    """Objects in a bucket of S3 or of anything that speaks its protocol. Credentials come from boto3's usual chain."""

    kind: Literal["s3"] = "s3"
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]+[a-z0-9]$")]
    """Its name. The local platform makes one that is not there."""
    prefix: str = ""
    """Everything lies below this key; by default at the bucket's top."""
    endpoint: str | None = None
    """URL of a server other than AWS's."""
    region: str | None = None
    """By default the one that boto3 finds."""


class GcsStore(Model):
    """Objects in a bucket of Google Cloud Storage. Credentials are Google's Application Default Credentials."""

    kind: Literal["gcs"] = "gcs"
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9._-]+[a-z0-9]$")]
    """Its name. The local platform makes one that is not there, in the project that GOOGLE_CLOUD_PROJECT names."""
    prefix: str = ""
    """Everything lies below this key; by default at the bucket's top."""
    endpoint: HttpUrl | None = None
    """URL of another server. None but Google's own (`https://….googleapis.com`) is sent credentials."""
    region: str | None = None
    """Location of a bucket that is made; by default Google's, which is `US`."""


Store = Annotated[DirectoryStore | S3Store | GcsStore, Field(discriminator="kind")]
