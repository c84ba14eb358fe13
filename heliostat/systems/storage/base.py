"""What every object store does, and the files of this machine that objects come from and go to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Protocol

from heliostat.systems.errors import PermanentError, explained

OWN = ".heliostat"
"""Top of the keys that a store keeps for itself; they are never listed."""


class ObjectMissingError(PermanentError):
    """No object has that key."""


@dataclass(frozen=True)
class ObjectInfo:
    """One object, as a listing shows it; `size` in bytes."""

    key: str
    size: int
    modified: datetime
    tag: str = ""
    """What tells this content from another one, where the store says it."""


@dataclass(frozen=True)
class Read:
    """An object's content, with what tells it from every other one that this key has had."""

    content: bytes
    tag: str


class ObjectStore(Protocol):
    """Keys are relative paths with `/`. An object is there whole or not at all.

    Raises PermanentError or RetryableError from every call; ObjectMissingError where a key that is read is not there.
    """

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:
        """Store `data`; False, and nothing done, where `only_if_absent` and the key is taken."""

    def put_file(self, key: str, path: Path) -> None:
        """Store a file's content."""

    def get(self, key: str) -> bytes:
        """The object's content."""

    def read(self, key: str) -> Read:
        """The object's content and its tag, which `put_over` wants."""

    def put_over(self, key: str, data: bytes, tag: str) -> bool:
        """Store `data` in the place of the object that had this tag; False, and nothing done, where it is another."""

    def get_file(self, key: str, path: Path) -> None:
        """Write the object's content to `path`, whole or not at all."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose keys begin with `prefix`, in the order of the keys."""

    def delete(self, key: str) -> None:
        """Remove the object; nothing where it is gone."""

    def uri(self, key: str) -> str:
        """`file:///...`, `s3://...` or `gs://...` of the object."""


class BucketStore(ObjectStore, Protocol):
    """A store in a bucket, which can be made and removed with it."""

    bucket: str
    prefix: str
    """What the store's keys begin with in the bucket; empty, or ending with `/`."""

    def look(self) -> datetime | None:
        """Ask for the bucket; what the server's clock says, where it tells.

        Raises:
            ObjectMissingError: there is no such bucket.
        """

    def create_bucket(self) -> None:
        """Make the bucket, where the address says."""

    def delete_bucket(self) -> None:
        """Remove the bucket, which is empty."""

    def clear(self, keep: str) -> None:
        """Remove all of the store, also what listings leave out, but its own keys and those that begin with `keep`."""

    def holds_others(self, key: str) -> bool:
        """Whether anything is in the bucket, below the store's prefix or not, but the store's object `key`."""


def checked(key: str) -> str:
    """`key`, where it is a relative path that stays below its root.

    Raises:
        PermanentError: it is not.
    """
    if not key or "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise PermanentError(f"{key!r} is no key of an object: it must be a relative path without empty, `.` or `..` parts")
    return key


def page_type(key: str) -> str | None:
    """The media type of what is a page for other programs than ours; None of all else, which is bytes to everybody."""
    return "text/html" if key.endswith(".html") else None


def server_time(date: str | None) -> datetime | None:
    """What a server's `Date` header says; None where it says nothing."""
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None


def write_whole(
    path: Path,
    write: Callable[[IO[bytes]], object],
    partial: Path,
    only_if_absent: bool = False,
    is_wanted: Callable[[], bool] = lambda: True,
    held: AbstractContextManager[object] | None = None,
) -> bool:
    """Write beside, make durable, then put in place: a kill leaves the old content or the new.

    `is_wanted` is asked last, and what puts it in place is inside of `held`; False where it is not wanted any more.
    """
    temporary: str | None = None
    try:
        partial.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=partial)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        with held or nullcontext():
            if not is_wanted():
                return False
            if only_if_absent:
                os.link(temporary, path)
            else:
                Path(temporary).replace(path)
                temporary = None
        _sync_folder(path.parent)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise explained(error, f"write {path}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file whose content is to be stored."""
    try:
        source = path.open("rb")
    except OSError as error:
        raise explained(error, f"read {path}") from error
    with source:
        yield source
