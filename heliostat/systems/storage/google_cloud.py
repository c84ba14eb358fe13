"""Google Cloud Storage beside its objects: who is let in, the buckets themselves, and what its refusals mean."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from heliostat.spec.addresses import HttpAddress
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.http import open_sync_client, reason
from heliostat.systems.storage.base import ObjectMissingError, server_time

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from obstore.store import GCSCredential

GOOGLE = "https://storage.googleapis.com"
EXTRA = "install heliostat[gcp]"
ANONYMOUS = "anonymous"
"""What a server that is not Google's is told for a token: obstore writes nothing without one."""
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_WANTED = "name a key in GOOGLE_APPLICATION_CREDENTIALS, run `gcloud auth application-default login`, or use Workload Identity"
_ROLE = "give its account roles/storage.objectUser on the bucket"
_SECONDS = 60.0
_TRIES = 5
_AT_ONCE = 8
_PASSES = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)


def is_googles(url: str) -> bool:
    """Whether a URL is of Google's own servers. Others are sent no credentials of Google's."""
    parts = urlsplit(url)
    return parts.scheme == "https" and f".{parts.hostname}".endswith(".googleapis.com")


def refusal(what: str, bucket: str, status: int, body: str, of_object: bool = False) -> PermanentError | RetryableError:
    """The error that says what the store answered while `what` was done; `of_object` where an object was asked for. Pure."""
    code, message = _reason(body)
    told = f"cannot {what}: the store answered {status}{' ' if code else ''}{code}"
    if status == httpx.codes.NOT_FOUND and of_object and code != "NoSuchBucket":
        return ObjectMissingError(f"cannot {what}: there is no such object")
    if status == httpx.codes.NOT_FOUND:
        return PermanentError(f"cannot {what}: there is no bucket {bucket}; create it, or correct its name")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _PASSES:
        return RetryableError(told)
    if status == httpx.codes.UNAUTHORIZED:
        return PermanentError(f"{told}: the credentials are not accepted; {_WANTED}")
    if status == httpx.codes.FORBIDDEN:
        hint = f"{_ROLE}, or name another bucket if this one is somebody else's"
        return PermanentError(f"{told}: {message or 'access is denied'}; {hint}")
    return PermanentError(f"{told}: {message}" if message else told)


class Tokens:
    """Bearer tokens of Google's Application Default Credentials: a key, a login, a workload's identity, or the machine's.

    obstore's own search knows no federated identities; it calls this again before a token expires.
    """

    def __init__(self) -> None:
        self.problem: PermanentError | RetryableError | None = None
        """Why the last call brought none: obstore tells that as text alone."""
        self._found: tuple[Credentials, str | None] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> GCSCredential:
        """A token that is valid now."""
        try:
            with self._lock, _credential_errors():
                credentials, _ = self._credentials()
                if not credentials.valid:
                    from google.auth.transport.requests import Request

                    credentials.refresh(Request())  # type: ignore[no-untyped-call]
                # google-auth's times have no zone, and are of UTC.
                expiry: datetime | None = credentials.expiry.replace(tzinfo=UTC) if credentials.expiry else None
                self.problem = None
                return {"token": str(credentials.token), "expires_at": expiry}
        except (PermanentError, RetryableError) as error:
            self.problem = error
            raise

    def project(self) -> str:
        """The project that new buckets belong to.

        Raises:
            PermanentError: neither the environment nor the credentials name one.
        """
        named = os.environ.get("GOOGLE_CLOUD_PROJECT")
        if not named:
            with self._lock, _credential_errors():
                named = self._credentials()[1]
        if not named:
            raise PermanentError("no project for a new bucket is named: set GOOGLE_CLOUD_PROJECT, or make the bucket yourself")
        return named

    def _credentials(self) -> tuple[Credentials, str | None]:
        if self._found is None:
            import google.auth

            self._found = google.auth.default(scopes=[_SCOPE])
        return self._found


class BucketApi:
    """The JSON API's calls about one bucket and what is in it, which obstore has none for."""

    def __init__(self, bucket: str, url: str, tokens: Tokens | None) -> None:
        self.bucket, self.url, self.tokens = bucket, url, tokens
        self._path = f"/b/{quote(bucket)}"

    @cached_property
    def client(self) -> httpx.Client:
        """Whose connections are kept: for many calls, from several threads."""
        return open_sync_client(HttpAddress(url=self.url), _SECONDS)

    def look(self) -> datetime | None:
        """Ask for the bucket in the way that takes no more rights than objects do; the server's time."""
        answer = self._tried("GET", f"{self._path}/o", f"look for the bucket {self.bucket}", {"maxResults": "1"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise ObjectMissingError(f"there is no bucket {self.bucket}")
        return server_time(self._good(answer, f"look for the bucket {self.bucket}").headers.get("date"))

    def items(self, prefix: str, what: str) -> Iterator[dict[str, Any]]:
        """Name, size and time of all objects whose names begin with `prefix`, in the order of the names."""
        query = {"prefix": prefix, "fields": "items(name,size,updated),nextPageToken"}
        while True:
            page = self._good(self._tried("GET", f"{self._path}/o", what, query), what).json()
            yield from page.get("items", ())
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def delete_objects(self, names: Sequence[str], what: str) -> None:
        """Remove objects by their exact names; those that are gone are a success."""

        def delete(name: str) -> None:
            answer = self._tried("DELETE", f"{self._path}/o/{quote(name, safe='')}", what)
            if answer.status_code != httpx.codes.NOT_FOUND:
                self._good(answer, what)

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(delete, names):
                pass

    def create(self, location: str | None) -> None:
        """Make it, closed to the public, with one set of rights for all of it."""
        what = f"create the bucket {self.bucket}"
        rights = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        body = {"name": self.bucket, "iamConfiguration": rights, **({"location": location} if location else {})}
        project = self.tokens.project() if self.tokens else os.environ.get("GOOGLE_CLOUD_PROJECT", ANONYMOUS)
        answer = self._call("POST", "/b", what, {"project": project}, body)
        if answer.status_code == httpx.codes.CONFLICT:
            taken = f"cannot {what}: its name is taken, by somebody else or just now; run it again, or choose another name"
            raise PermanentError(taken)
        self._good(answer, what)

    def delete(self) -> None:
        """Remove it; it is empty."""
        what = f"delete the bucket {self.bucket}"
        self._good(self._tried("DELETE", self._path, what), what)

    def _tried(self, method: str, path: str, what: str, query: dict[str, str] | None = None) -> httpx.Response:
        """Call what may be called twice, a few times where that may help."""
        tries = Retrying(
            retry=retry_if_exception_type(RetryableError),
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        return tries(self._call, method, path, what, query)

    def _call(
        self, method: str, path: str, what: str, query: dict[str, str] | None = None, body: Any = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens()['token'] if self.tokens else ANONYMOUS}"}
        try:
            answer = self.client.request(method, f"/storage/v1{path}", params=query, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise RetryableError(f"cannot {what}: {self.url} does not answer: {reason(error)}") from None
        if not answer.is_success and isinstance(refused := self._refusal(answer, what), RetryableError):
            raise refused
        return answer

    def _good(self, answer: httpx.Response, what: str) -> httpx.Response:
        if answer.is_success:
            return answer
        raise self._refusal(answer, what)

    def _refusal(self, answer: httpx.Response, what: str) -> PermanentError | RetryableError:
        return refusal(what, self.bucket, answer.status_code, answer.text)


@contextmanager
def _credential_errors() -> Iterator[None]:
    """What google-auth raises, as one of our errors."""
    try:
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    except ImportError:
        raise PermanentError(f"Google's credentials are found by the package google-auth, which is missing: {EXTRA}") from None
    try:
        yield
    except DefaultCredentialsError as error:
        raise NoAccessError(f"no Google Cloud credentials ({_first_sentence(error)}); {_WANTED}") from None
    except GoogleAuthError as error:
        told = f"Google gives no token for the credentials: {_first_sentence(error)}"
        if isinstance(error, TransportError) or error.retryable:
            raise RetryableError(told) from None
        raise PermanentError(f"{told}; {_WANTED}") from None


def _first_sentence(error: Exception) -> str:
    # Arguments after the first are whole answers of the token's server.
    return str(error.args[0] if error.args else type(error).__name__).split(". ", 1)[0].splitlines()[0]


def _reason(body: str) -> tuple[str, str]:
    """Code and message of an answer of either API; both empty where it is none, as of a HEAD."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - expat expands no entities of outside, and limits its own
        return root.findtext("{*}Code") or "", (root.findtext("{*}Details") or root.findtext("{*}Message") or "").strip()
    except ElementTree.ParseError:
        found = re.search(r'"message":\s*"((?:[^"\\]|\\.)*)"', body)
        return "", found[1] if found else ""
