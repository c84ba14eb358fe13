"""Object stores: named bytes in a directory or in a bucket of S3 or Google Cloud Storage, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from heliostat.spec.addresses import StoreAddress
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
    "arrow_location",
    "checked",
    "contents",
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


def contents(store: ObjectStore, prefix: str, is_wanted: Callable[[str], object] = bool) -> Iterator[tuple[str, bytes]]:
    """What lies below a prefix, keys and contents; what somebody deletes meanwhile is passed over.

    `is_wanted` says of a key whether it is read.
    """
    for info in list(store.list(prefix)):
        if is_wanted(info.key):
            try:
                found = store.get(info.key)
            except ObjectMissingError:
                continue
            yield info.key, found


def directory_of(address: StoreAddress) -> Path:
    """The folder that a `file:///` address names."""
    return Path(unquote(urlsplit(address.uri).path))


def arrow_location(address: StoreAddress, key: str) -> tuple[str, Any]:
    """Where pyarrow and Ray find what is below `key`, and the file system that they need where the path does not say it."""
    if address.uri.startswith("gs://"):
        from heliostat.systems.storage.elsewhere import google_filesystem

        return f"{address.uri.removeprefix('gs://')}/{key}", google_filesystem(address)
    if not address.uri.startswith("s3://"):
        return str(directory_of(address) / key), None
    if not address.endpoint:
        return f"{address.uri}/{key}", None
    from pyarrow.fs import S3FileSystem

    filesystem = S3FileSystem(endpoint_override=address.endpoint, region=address.region)
    return f"{address.uri.removeprefix('s3://')}/{key}", filesystem
