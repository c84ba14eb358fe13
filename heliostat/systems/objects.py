"""Object stores: named bytes in a directory or in a bucket of S3, behind one small interface."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import quote, unquote, urlsplit

from heliostat.spec.resources import StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

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

    def get_file(self, key: str, path: Path) -> None:
        """Write the object's content to `path`, whole or not at all."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose keys begin with `prefix`, in the order of the keys."""

    def delete(self, key: str) -> None:
        """Remove the object; nothing where it is gone."""

    def uri(self, key: str) -> str:
        """`file:///...` or `s3://...` of the object."""


def open_store(address: StoreAddress) -> ObjectStore:
    """The store at `address`. Opening touches nothing: a bucket that is not there shows at the first call."""
    if address.uri.startswith("s3://"):
        return S3(address)
    return Directory(directory_of(address))


def directory_of(address: StoreAddress) -> Path:
    """The folder that a `file:///` address names."""
    return Path(unquote(urlsplit(address.uri).path))


class Directory:
    """Objects as files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:  # noqa: D102 - see ObjectStore
        return self._write(key, lambda file: file.write(data), only_if_absent)

    def put_file(self, key: str, path: Path) -> None:  # noqa: D102
        with _reading(path) as source:
            self._write(key, lambda file: shutil.copyfileobj(source, file, 1 << 20), only_if_absent=False)

    def get(self, key: str) -> bytes:  # noqa: D102
        with self._found(key):
            return self._path(key).read_bytes()

    def get_file(self, key: str, path: Path) -> None:  # noqa: D102
        with self._found(key), self._path(key).open("rb") as source:
            _write_whole(path, lambda file: shutil.copyfileobj(source, file, 1 << 20), path.parent)

    def exists(self, key: str) -> bool:  # noqa: D102
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: D102
        top = self.root / prefix.rpartition("/")[0]
        keys: list[str] = []
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if Path(folder, name) != self.root / OWN]
            keys += (Path(folder, name).relative_to(self.root).as_posix() for name in files)
        for key in sorted(key for key in keys if key.startswith(prefix)):
            try:
                found = (self.root / key).stat()
            except FileNotFoundError:  # deleted since
                continue
            yield ObjectInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, key: str) -> None:  # noqa: D102
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise explained(error, f"delete {self._path(key)}") from error

    def uri(self, key: str) -> str:  # noqa: D102
        return f"file://{quote(str(self.root / key))}"

    @property
    def _partial(self) -> Path:
        return self.root / OWN / "partial"

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def _write(self, key: str, write: Callable[[IO[bytes]], object], only_if_absent: bool) -> bool:
        path = self._path(key)
        if only_if_absent and path.exists():
            return False
        return _write_whole(path, write, self._partial, only_if_absent)

    @contextmanager
    def _found(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise ObjectMissingError(f"there is no object {key} in {self.root}") from None
        except OSError as error:
            raise explained(error, f"read {self._path(key)}") from error


class S3:
    """Objects in a bucket, below a prefix."""

    def __init__(self, address: StoreAddress) -> None:
        parts = urlsplit(address.uri)
        self.bucket = parts.netloc
        self.prefix = f"{unquote(parts.path).strip('/')}/".lstrip("/")
        self.address = address
        self._client: S3Client | None = None

    @property
    def client(self) -> S3Client:
        """boto3's client, made at the first use: importing it takes a third of a second."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 5, "mode": "standard"})
            session = boto3.session.Session(region_name=self.address.region)
            region = session.region_name or "us-east-1"
            self._client = session.client("s3", endpoint_url=self.address.endpoint, region_name=region, config=config)
        return self._client

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:  # noqa: D102
        with self.errors(f"write {self.uri(key)}"):
            if not only_if_absent:
                self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)
                return True
            return self._put_first(key, data)

    def put_file(self, key: str, path: Path) -> None:  # noqa: D102
        with self.errors(f"write {self.uri(key)}"), _reading(path) as source:
            self.client.upload_fileobj(source, self.bucket, self._key(key))

    def get(self, key: str) -> bytes:  # noqa: D102
        with self.errors(f"read {self.uri(key)}"):
            return self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()

    def get_file(self, key: str, path: Path) -> None:  # noqa: D102
        with self.errors(f"read {self.uri(key)}"):
            _write_whole(path, lambda file: self.client.download_fileobj(self.bucket, self._key(key), file), path.parent)

    def exists(self, key: str) -> bool:  # noqa: D102
        try:
            with self.errors(f"look for {self.uri(key)}"):
                self.client.head_object(Bucket=self.bucket, Key=self._key(key))
            return True
        except ObjectMissingError:
            return False

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: D102
        with self.errors(f"list {self.uri(prefix or '')}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self.prefix)
                    if not key.startswith(f"{OWN}/"):
                        yield ObjectInfo(key, item["Size"], item["LastModified"])

    def delete(self, key: str) -> None:  # noqa: D102
        with self.errors(f"delete {self.uri(key)}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def uri(self, key: str) -> str:  # noqa: D102
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def _key(self, key: str) -> str:
        return self.prefix + checked(key)

    def _put_first(self, key: str, data: bytes) -> bool:
        from botocore.exceptions import ClientError

        try:
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*")
            return True
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "412"):
                return False
            raise

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Whatever S3 says no with while doing `what`, as one of our errors."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except ClientError as error:
            raise self._explained(error.response, what) from None
        except NoCredentialsError:
            fix = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise PermanentError(f"cannot {what}: no AWS credentials; {fix}") from None
        except BotoCoreError as error:
            raise RetryableError(f"cannot {what}: {error}") from None

    def _explained(self, response: object, what: str) -> PermanentError | RetryableError:
        answer = response if isinstance(response, dict) else {}
        code = str(answer.get("Error", {}).get("Code", ""))
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket":
            return PermanentError(f"cannot {what}: there is no bucket {self.bucket}; create it, or correct its name")
        if code in ("NoSuchKey", "404", "NotFound"):
            return ObjectMissingError(f"cannot {what}: there is no such object")
        if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling", "ConditionalRequestConflict"):
            return RetryableError(f"cannot {what}: the store answered {status} {code}")
        reason = answer.get("Error", {}).get("Message", "")
        return PermanentError(f"cannot {what}: the store answered {status} {code}: {reason}")


def checked(key: str) -> str:
    """`key`, where it is a relative path that stays below its root.

    Raises:
        PermanentError: it is not.
    """
    if not key or "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise PermanentError(f"{key!r} is no key of an object: it must be a relative path without empty, `.` or `..` parts")
    return key


def _write_whole(path: Path, write: Callable[[IO[bytes]], object], partial: Path, only_if_absent: bool = False) -> bool:
    """Write beside, make durable, then put in place: a kill leaves the old content or the new."""
    temporary: str | None = None
    try:
        partial.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=partial)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
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
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        source = path.open("rb")
    except OSError as error:
        raise explained(error, f"read {path}") from error
    with source:
        yield source
