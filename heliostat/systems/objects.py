"""Object stores: named bytes in a directory or in a bucket of S3 or Google Cloud Storage, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import RetryableError
from heliostat.systems.storage.base import OWN, BucketStore, ObjectInfo, ObjectMissingError, ObjectStore, Read, checked
from heliostat.systems.storage.directory import Directory
from heliostat.systems.storage.s3 import S3

__all__ = [
    "OWN",
    "BucketStore",
    "Directory",
    "ObjectInfo",
    "ObjectMissingError",
    "ObjectStore",
    "Read",
    "arrow_location",
    "change",
    "checked",
    "contents",
    "directory_of",
    "open_bucket",
    "open_store",
]

_ATTEMPTS: Final = 50


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


def change(store: ObjectStore, key: str, made_of: Callable[[bytes], bytes]) -> bytes:
    """Put what follows from an object into its place, and return it; where somebody else was faster, from theirs.

    `made_of` may be called again, also with what it made, where the answer to a write was lost. Nothing is written where it
    returns what it was given.

    Raises:
        ObjectMissingError: there is none, or none any more.
        RetryableError: others change it without end.
    """
    for _ in range(_ATTEMPTS):
        found = store.read(key)
        made = made_of(found.content)
        if made == found.content or store.put_over(key, made, found.tag):
            return made
    raise RetryableError(f"{store.uri(key)} is changed by others all the time: try again")


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
