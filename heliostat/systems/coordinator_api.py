"""The API of a federated training's coordinator, as a site calls it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from heliostat.federated.messages import Abstention, FrameError, Reason, Step, Task, unpack
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.http import reason
from heliostat.systems.loopback import is_loopback

_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 1 << 20


class NotTakenError(PermanentError):
    """The coordinator did not take what was sent; the text has every mistake with its path.

    Attributes:
        is_late: The round has gone on: nothing is wrong with what was sent.
    """

    def __init__(self, text: str, is_late: bool) -> None:
        super().__init__(text)
        self.is_late = is_late


class CoordinatorClient:
    """One site's way to its coordinator. Use as a context manager.

    Every call raises RetryableError where the coordinator does not answer, and NoAccessError where it does not know the token.

    Args:
        url: The coordinator's, with https:// anywhere but on this machine.
        token: The site's.
        authority: A file of certificates to trust besides; by default the system's.

    Raises:
        PermanentError: the URL would send the token over a network in clear, or the authority cannot be read.
    """

    def __init__(
        self, url: str, token: str, authority: Path | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise PermanentError(f"{url!r} is no address of a coordinator: give http://HOST:PORT or https://HOST:PORT")
        if not url.startswith("https://") and not is_loopback(url):
            raise PermanentError(f"{url} would send the token over a network in clear: use https://")
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=not is_loopback(url),
            verify=_trusted(authority),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def task(self, version: str) -> tuple[Task, bytes]:
        """What there is to do, and the bytes behind it; with the version that is known, not before there is news."""
        answer = self._call("GET", "/v1/task", params={"version": version})
        try:
            return unpack(Task, answer.content)
        except FrameError as error:
            raise PermanentError(f"{self._client.base_url} speaks another protocol than this release: {error}") from None

    def send(self, task: Task, step: Step, body: bytes) -> None:
        """Send what a task asks for.

        Raises:
            NotTakenError: with every mistake.
        """
        self._call("PUT", f"/v1/rounds/{task.round}/{task.attempt}/{step}", content=body)

    def abstain(self, task: Task, why: Reason) -> None:
        """Say that this site takes no part in the attempt."""
        body = Abstention(reason=why).model_dump_json(by_alias=True)
        self._call("PUT", f"/v1/rounds/{task.round}/{task.attempt}/abstention", content=body.encode())

    def fetch_package(self, path: Path) -> None:
        """Write the newest wheel to `path`."""
        try:
            with self._client.stream("GET", "/v1/package") as answer, path.open("wb") as file:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    self._raise(answer)
                for chunk in answer.iter_bytes(_CHUNK):
                    file.write(chunk)
        except httpx.HTTPError as error:
            raise RetryableError(f"{self._client.base_url} does not answer: {reason(error)}") from None

    def delivered(self, digest: str) -> None:
        """Say that the package of a digest is here and was loaded."""
        self._call("PUT", f"/v1/packages/{digest}/delivered")

    def _call(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise RetryableError(f"{self._client.base_url} does not answer: {reason(error)}") from None
        if answer.is_error:
            self._raise(answer)
        return answer

    def _raise(self, answer: httpx.Response) -> None:
        text = _told(answer)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise NoAccessError(
                f"{self._client.base_url} does not know this site's token: put the hash that `heliostat site token` tells "
                "into the stack's config"
            )
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise RetryableError(f"{self._client.base_url} failed ({answer.status_code}): {text}")
        raise NotTakenError(text, answer.status_code == httpx.codes.CONFLICT)


def _told(answer: httpx.Response) -> str:
    try:
        return "; ".join(f"{each['path']}: {each['text']}" for each in answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]


def _trusted(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise PermanentError(f"the certificates in {authority} cannot be read: {error}") from None
    return context
