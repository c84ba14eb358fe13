"""Where the backend's files are: a directory, or a bucket of S3 or Google Cloud Storage behind the same five calls.

Keys are slash-separated paths below the backend's root. A write is atomic and durable: afterwards either the old
content is there or the new, whole, also where the machine or the process dies half way.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from heliostat.engine.stackerrors import StackError, StorageError


class Bucket(Protocol):
    """What the backend needs of a store."""

    url: str
    """How the user named it, for messages and for the CLI's record of the selected stack."""

    def read(self, key: str) -> bytes | None:
        """The content of `key`, or None where it does not exist."""

    def write(self, key: str, content: bytes, *, keep: str = "") -> None:
        """Replaces `key`; what stood there before is found at `keep` afterwards, where that is given."""

    def copy(self, source: str, target: str) -> None:
        """Copies `source`, which exists."""

    def delete(self, key: str) -> None:
        """Removes `key`; it is no error where it does not exist."""

    def list(self, prefix: str) -> list[str]:
        """The keys below the folder `prefix`, sorted."""

    def describe(self, key: str) -> str:
        """The path or URL of `key`, for messages."""


@contextlib.contextmanager
def _reported(action: str, path: Path) -> Iterator[None]:
    """Turns an OSError into a StorageError that says what is to be done."""
    try:
        yield
    except OSError as error:
        fix = {
            errno.ENOSPC: "The disk is full. Nothing that was there is lost: free some space and run the same command again.",
            errno.EDQUOT: "The disk quota is used up. Nothing that was there is lost: free some space and run it again.",
            errno.EROFS: "The file system is read-only.",
            errno.EACCES: "Give this user the right to it, or choose another place with PULUMI_BACKEND_URL.",
            errno.EPERM: "Give this user the right to it, or choose another place with PULUMI_BACKEND_URL.",
            errno.ENAMETOOLONG: "The path is too long for this file system: choose a shorter place with PULUMI_BACKEND_URL.",
        }.get(error.errno or 0, "")
        raise StorageError(f"cannot {action} {path}: {error.strerror or error}. {fix}".rstrip()) from error


class FileBucket:
    """A directory, laid out as the official CLI's `file://` backend."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url

    def read(self, key: str) -> bytes | None:
        """The content of the file, or None."""
        path = self.root / key
        with _reported("read", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, key: str, content: bytes, *, keep: str = "") -> None:
        """Writes beside the file, to the disk, then renames over it."""
        path = self.root / key
        with _reported("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                if keep and path.exists():
                    _set_aside(path, self.root / keep)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def copy(self, source: str, target: str) -> None:
        """A copy of its own: later edits of one file are not seen in the other."""
        content = self.read(source)
        if content is None:
            raise StorageError(f"cannot copy {self.root / source}: it does not exist")
        self.write(target, content)

    def delete(self, key: str) -> None:
        """Removes the file."""
        path = self.root / key
        with _reported("remove", path):
            path.unlink(missing_ok=True)

    def list(self, prefix: str) -> list[str]:
        """Every file below the folder; half-written ones, and the CLI's `.attrs`, are left out."""
        folder = self.root / prefix
        with _reported("list", folder):
            found = [p.relative_to(self.root).as_posix() for p in folder.rglob("*") if p.is_file()]
        return sorted(key for key in found if not key.endswith((".attrs", ".tmp")))

    def remove_empty_folders(self, prefix: str) -> None:
        """Removes a folder with those in it, as far as they hold nothing; a bucket elsewhere has no folders at all."""
        top = self.root / prefix
        for folder in sorted((path for path in [top, *top.rglob("*")] if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):  # somebody has put something into it
                folder.rmdir()

    def remove_unfinished(self, key: str) -> None:
        """Removes what writers of `key` left beside it when they were killed; nobody may be writing it."""
        path = self.root / key
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            left.unlink(missing_ok=True)

    def describe(self, key: str) -> str:
        """The file's path."""
        return str(self.root / key)


def require_folder(bucket: Bucket) -> None:
    """See that the folder of a `file://` backend is there: where state is shared, one that is missing is not mounted.

    Raises:
        StorageError: it is not. Buckets say so themselves.
    """
    if isinstance(bucket, FileBucket) and not bucket.root.is_dir():
        raise StorageError(
            f"there is no folder {bucket.root}, where {bucket.url} has its state: mount it, or name another one with "
            "PULUMI_BACKEND_URL"
        )


def _set_aside(path: Path, kept: Path) -> None:
    """Leaves the present content of `path` at `kept`, at the cost of one directory entry where links are possible.

    The next step renames a new file over `path`, so that the two names never share content afterwards.
    """
    link = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, link)
    link.replace(kept)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_bucket(url: str) -> Bucket:
    """The store that a backend URL (`file://…`, `s3://…`, `gs://…`) names; raises StackError for any other."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        raw = url.removeprefix("file://").split("?", 1)[0]
        return FileBucket(Path(raw).expanduser().absolute(), url)
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme == "gs":
        from heliostat.engine.state.bucket_gcs import GcsBucket

        return GcsBucket(parts.netloc, parts.path.strip("/"), query, url)
    if parts.scheme == "s3":
        from heliostat.engine.state.bucket_s3 import S3Bucket

        return S3Bucket(parts.netloc, parts.path.strip("/"), query, url)
    raise StackError(
        f"the embedded engine keeps state at file://, s3:// and gs:// URLs, not at {_without_credentials(url)!r}: set "
        "PULUMI_BACKEND_URL to one of these, or use the official Pulumi CLI (https://www.pulumi.com/docs/install/)"
    )


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
