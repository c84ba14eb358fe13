"""Objects in a bucket of Google Cloud Storage, by obstore.

Listings are not: obstore takes `a/` for `a`, so that it would neither tell apart nor remove the marks that other clients make
of folders, and fails at a key such as `a//b`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.storage.base import OWN, ObjectInfo, ObjectMissingError, Read, checked, page_type, reading, write_whole
from heliostat.systems.storage.google_cloud import ANONYMOUS, EXTRA, GOOGLE, BucketApi, Tokens, is_googles, refusal

if TYPE_CHECKING:
    from obstore.store import GCSStore

_CHUNK = 8 << 20
_ANSWER = re.compile(r"Server returned non-2xx status code: (\d{3})[^:]*:(.*?)(?:\n\nDebug source:|\Z)", re.DOTALL)


class Gcs:
    """Objects in a bucket, below a prefix."""

    def __init__(self, address: StoreAddress) -> None:
        parts = urlsplit(address.uri)
        self.bucket = parts.netloc
        self.prefix = f"{unquote(parts.path).strip('/')}/".lstrip("/")
        self.address = address
        self.url = (address.endpoint or GOOGLE).rstrip("/")
        self.tokens = Tokens() if is_googles(self.url) else None

    @cached_property
    def client(self) -> GCSStore:
        """obstore's client of the bucket, made at the first use."""
        from obstore.store import GCSStore

        # obstore's `skip_signature` is for reading alone: it looks for a token to write with all the same.
        token: Any = {"credential_provider": self.tokens} if self.tokens else {"bearer_token": ANONYMOUS}
        return GCSStore(
            self.bucket,
            base_url=self.url,
            client_options={"allow_http": self.url.startswith("http:"), "connect_timeout": "10s", "timeout": "60s"},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
            **token,
        )

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:  # noqa: D102 - see ObjectStore
        path = self._key(key)
        with self.errors(f"write {self.uri(key)}"):
            import obstore

            if not only_if_absent:
                kind: Any = {"attributes": {"Content-Type": page_type(key)}} if page_type(key) else {}
                obstore.put(self.client, path, data, use_multipart=False, **kind)
                return True
            try:
                obstore.put(self.client, path, data, use_multipart=False, mode="create")
                return True
            except obstore.exceptions.AlreadyExistsError as error:
                return self._is_ours(key, data, error)

    def put_over(self, key: str, data: bytes, tag: str) -> bool:  # noqa: D102
        path = self._key(key)
        with self.errors(f"write {self.uri(key)}"):
            import obstore

            try:
                obstore.put(self.client, path, data, use_multipart=False, mode={"version": tag})
                return True
            except obstore.exceptions.PreconditionError as error:
                return self._is_ours(key, data, error)

    def _is_ours(self, key: str, data: bytes, refusal: Exception) -> bool:
        """Whether a request that was refused put what is there: the answer to an earlier try of it may have been lost."""
        if not re.search(r"after \d+ retries", str(refusal)):
            return False
        try:
            return self.get(key) == data
        except ObjectMissingError:
            return False

    def put_file(self, key: str, path: Path) -> None:  # noqa: D102
        target = self._key(key)
        with self.errors(f"write {self.uri(key)}"), reading(path) as source:
            import obstore

            obstore.put(self.client, target, source, chunk_size=_CHUNK)

    def get(self, key: str) -> bytes:  # noqa: D102
        path = self._key(key)
        with self.errors(f"read {self.uri(key)}", of_object=True):
            import obstore

            return bytes(obstore.get(self.client, path).bytes())

    def read(self, key: str) -> Read:  # noqa: D102
        path = self._key(key)
        with self.errors(f"read {self.uri(key)}", of_object=True):
            import obstore

            found = obstore.get(self.client, path)
            return Read(bytes(found.bytes()), str(found.meta.get("version")))

    def get_file(self, key: str, path: Path) -> None:  # noqa: D102
        source = self._key(key)
        with self.errors(f"read {self.uri(key)}", of_object=True):
            import obstore

            chunks = obstore.get(self.client, source).stream(min_chunk_size=_CHUNK)
            write_whole(path, lambda file: file.writelines(chunks), path.parent)

    def exists(self, key: str) -> bool:  # noqa: D102
        path = self._key(key)
        try:
            with self.errors(f"look for {self.uri(key)}", of_object=True):
                import obstore

                obstore.head(self.client, path)
            return True
        except ObjectMissingError:
            return False

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: D102
        for item in self._api.items(self.prefix + prefix, f"list {self.uri(prefix)}"):
            key = item["name"].removeprefix(self.prefix)
            # pyarrow marks its folders with empty objects, which are no objects of ours.
            if not key.startswith(f"{OWN}/") and not item["name"].endswith("/"):
                yield ObjectInfo(key, int(item["size"]), datetime.fromisoformat(item["updated"]))

    def delete(self, key: str) -> None:  # noqa: D102
        path = self._key(key)
        try:
            with self.errors(f"delete {self.uri(key)}", of_object=True):
                import obstore

                obstore.delete(self.client, path)
        except ObjectMissingError:
            return

    def uri(self, key: str) -> str:  # noqa: D102
        return f"gs://{self.bucket}/{self.prefix}{key}"

    def look(self) -> datetime | None:  # noqa: D102 - see BucketStore
        return self._api.look()

    def create_bucket(self) -> None:  # noqa: D102
        self._api.create(self.address.region)

    def delete_bucket(self) -> None:  # noqa: D102
        self._api.delete_objects(self._above, f"delete the bucket {self.bucket}")
        self._api.delete()

    def clear(self, keep: str) -> None:  # noqa: D102
        what, stays = f"empty {self.uri('')}", (f"{self.prefix}{OWN}/", self.prefix + keep)
        names = [item["name"] for item in self._api.items(self.prefix, what)]
        self._api.delete_objects([name for name in names if not name.startswith(stays)], what)

    def holds_others(self, key: str) -> bool:  # noqa: D102
        found = self._api.items("", f"list the bucket {self.bucket}")
        return any(item["name"] not in (self.prefix + key, *self._above) for item in found)

    @property
    def _above(self) -> tuple[str, ...]:
        """What pyarrow's marks of the folders above the store are called."""
        parts = self.prefix.split("/")[:-2]
        return tuple(f"{'/'.join(parts[: count + 1])}/" for count in range(len(parts)))

    @cached_property
    def _api(self) -> BucketApi:
        return BucketApi(self.bucket, self.url, self.tokens)

    def _key(self, key: str) -> str:
        return self.prefix + checked(key)

    @contextmanager
    def errors(self, what: str, of_object: bool = False) -> Iterator[None]:
        """Whatever goes wrong while doing `what`, as one of our errors; `of_object` where an object is asked for.

        obstore is imported inside of it only.
        """
        try:
            from obstore.exceptions import BaseError
        except ImportError:
            raise PermanentError(f"cannot {what}: this needs the package obstore, which is missing; {EXTRA}") from None
        try:
            yield
        # Where an object is missing, obstore raises Python's own error and not the one that it has for that.
        except (BaseError, FileNotFoundError) as error:
            raise self._explained(error, what, of_object) from None

    def _explained(self, error: Exception, what: str, of_object: bool) -> PermanentError | RetryableError:
        from obstore.exceptions import GenericError, UnauthenticatedError

        text = str(error)
        if isinstance(error, UnauthenticatedError) and self.tokens and self.tokens.problem:
            return type(self.tokens.problem)(f"cannot {what}: {self.tokens.problem}")
        if answer := _ANSWER.search(text):
            return refusal(what, self.bucket, int(answer[1]), answer[2].strip(), of_object)
        first = text.splitlines()[0]
        if not isinstance(error, GenericError):
            return PermanentError(f"cannot {what}: {first}")
        kind = re.search(r"kind: (\w+)", text)
        told = f" ({kind[1].lower()})" if kind else ""
        return RetryableError(f"cannot {what}: {self.url} does not answer{told}: {first.rpartition(' - ')[2]}")
