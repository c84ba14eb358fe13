"""A backend in a bucket of Google Cloud Storage (`gs://BUCKET?prefix=a/b/` or `gs://BUCKET/a/b`).

Credentials are found where the official CLI finds them: GOOGLE_CREDENTIALS (a key as JSON), GOOGLE_OAUTH_ACCESS_TOKEN, then
Google's Application Default Credentials; federated identities, which obstore does not know, are google-auth's to read.
STORAGE_EMULATOR_HOST names another server, which is sent none of them. An object is replaced as a whole, so each write is
atomic by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.engine.stackerrors import StackError, StorageError

if TYPE_CHECKING:
    from obstore.store import GCSStore

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GcsBucket:
    """The objects of a bucket below a prefix."""

    def __init__(self, bucket: str, path: str, query: Mapping[str, str], url: str) -> None:
        if not bucket:
            raise StackError(f"{url!r} names no bucket: write gs://BUCKET or gs://BUCKET/PREFIX")
        if unknown := sorted(query.keys() - {"prefix"}):
            raise StackError(f"unknown parameters in the backend URL: {', '.join(unknown)}; known is prefix")
        parts = (query.get("prefix", "").strip("/"), path)
        self.url = url
        self._bucket = bucket
        self._prefix = "".join(f"{part}/" for part in parts if part)
        self._client = _client(bucket)

    def read(self, key: str) -> bytes | None:
        """The object's content, or None."""
        import obstore

        with self._reported("read", key):
            try:
                return bytes(obstore.get(self._client, self._prefix + key).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def write(self, key: str, content: bytes, *, keep: str = "") -> None:
        """Puts the object; what stood there is copied to `keep` before."""
        import obstore

        if keep:
            with self._reported("copy", key), contextlib.suppress(FileNotFoundError):
                obstore.copy(self._client, self._prefix + key, self._prefix + keep)
        with self._reported("write", key):
            obstore.put(self._client, self._prefix + key, content, use_multipart=False)

    def copy(self, source: str, target: str) -> None:
        """Copies inside the bucket."""
        import obstore

        with self._reported("copy", source):
            obstore.copy(self._client, self._prefix + source, self._prefix + target)

    def delete(self, key: str) -> None:
        """Removes the object."""
        import obstore

        with self._reported("remove", key), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._client, self._prefix + key)

    def list(self, prefix: str) -> list[str]:
        """Every key below the folder, sorted."""
        import obstore

        folder = f"{self._prefix}{prefix.rstrip('/')}"
        with self._reported("list", prefix):
            pages = obstore.list(self._client, folder)
            return sorted(found["path"].removeprefix(self._prefix) for page in pages for found in page)

    def describe(self, key: str) -> str:
        """The object's URL."""
        return f"gs://{self._bucket}/{self._prefix}{key}"

    @contextlib.contextmanager
    def _reported(self, action: str, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError, PermissionDeniedError

        try:
            yield
        # Where an object or the bucket is missing, obstore raises Python's own error.
        except (BaseError, FileNotFoundError) as error:
            told = str(error).split("\n\nDebug source:", 1)[0].strip()
            if isinstance(error, PermissionDeniedError):
                told = f"whoever this runs as has no right to it ({told})"
            raise StorageError(f"cannot {action} {self.describe(key)}: {told}") from error


def _client(bucket: str) -> GCSStore:
    """A client for the bucket."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import GCSStore
    except ImportError:
        fix = "install obstore (heliostat[gcp]), or use the official Pulumi CLI (https://www.pulumi.com/docs/install/)"
        raise StackError(f"state at gs:// needs the package obstore, which is missing: {fix}") from None
    settings = _settings(os.environ)
    if not settings and _is_federated(os.environ):
        settings = {"credential_provider": _federated()}
    plain = settings.get("base_url", "").startswith("http:")
    try:
        return GCSStore(
            bucket,
            client_options={"allow_http": plain, "connect_timeout": "10s", "timeout": "60s"},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
            **settings,
        )
    except BaseError as error:
        raise StackError(f"the credentials for gs:// are refused: {str(error).splitlines()[0]}") from error


def _is_federated(environment: Mapping[str, str]) -> bool:
    """Whether the file of the Application Default Credentials tells how another's token is exchanged, as a CI system's."""
    try:
        said = json.loads(Path(environment.get("GOOGLE_APPLICATION_CREDENTIALS", "")).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # obstore says what is wrong with it
    return isinstance(said, dict) and said.get("type") == "external_account"


def _federated() -> Any:
    """What exchanges the token anew before it expires."""
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from obstore.auth.google import GoogleCredentialProvider
    except ImportError:
        fix = "install heliostat[gcp]"
        raise StackError(f"a federated identity needs the package google-auth, which is missing: {fix}") from None
    try:
        # No token of a service account is given for no scope.
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        return GoogleCredentialProvider(credentials)
    except GoogleAuthError as error:
        raise StackError(f"the credentials for gs:// are refused: {str(error).splitlines()[0]}") from error


def _settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """obstore's arguments for the server and the credentials that the environment names. Pure."""
    if emulator := environment.get("STORAGE_EMULATOR_HOST"):
        url = emulator if "://" in emulator else f"http://{emulator}"
        # obstore writes nothing without a token.
        return {"base_url": url.rstrip("/"), "bearer_token": "anonymous"}
    if token := environment.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        return {"bearer_token": token}
    key = environment.get("GOOGLE_CREDENTIALS")
    return {"service_account_key": key} if key else {}
