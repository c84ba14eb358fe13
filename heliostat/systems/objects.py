"""Object stores: named bytes in a directory or in a bucket of S3 or Google Cloud Storage, behind one small interface."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from heliostat.spec.resources import StoreAddress
from heliostat.systems.storage.base import OWN, BucketStore, ObjectInfo, ObjectMissingError, ObjectStore, checked
from heliostat.systems.storage.directory import Directory
from heliostat.systems.storage.s3 import S3

__all__ = [
    "OWN",
    "BucketStore",
    "Directory",
    "ObjectInfo",
    "ObjectMissingError",
    "ObjectStore",
    "checked",
    "directory_of",
    "open_bucket",
    "open_store",
]


def open_store(address: StoreAddress) -> ObjectStore:
    """The store at `address`. Opening touches nothing: a bucket that is not there shows at the first call."""
    return open_bucket(address) or Directory(directory_of(address))


def open_bucket(address: StoreAddress) -> BucketStore | None:
    """The same where it is in a bucket; None where it is a folder."""
    if address.uri.startswith("gs://"):
        # Replicas import this module, and most stores are elsewhere.
        from heliostat.systems.storage.gcs import Gcs

        return Gcs(address)
    return S3(address) if address.uri.startswith("s3://") else None


def directory_of(address: StoreAddress) -> Path:
    """The folder that a `file:///` address names."""
    return Path(unquote(urlsplit(address.uri).path))
