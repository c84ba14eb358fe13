"""The content behind the URI of a remote asset or archive."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from heliostat.engine.errors import EngineError

TRIES = 5
TIMEOUT_S = 60.0
LONGEST_WAIT_S = 1.3


def opened(uri: str) -> IO[bytes]:
    """What `uri` names, to be read and closed by the caller. Raises EngineError where it cannot be had."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return io.BytesIO(_downloaded(uri))
    if parts.scheme != "file":
        raise EngineError(f"{uri} has the scheme {parts.scheme!r}; file, http and https can be read")
    if parts.netloc not in ("", "localhost"):
        raise EngineError(f"{uri} is a file of the host {parts.netloc!r}; only this host's can be read")
    try:
        return Path(unquote(parts.path)).open("rb")
    except OSError as error:
        raise EngineError(f"{uri} cannot be read: {error.strerror}") from None


def _downloaded(uri: str) -> bytes:
    import httpx
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    def passing(error: BaseException) -> bool:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
        return isinstance(error, httpx.TransportError)

    def get() -> bytes:
        return httpx.get(uri, follow_redirects=True, timeout=TIMEOUT_S).raise_for_status().content

    wait: Any = wait_exponential(0.1, max=LONGEST_WAIT_S)
    try:
        return Retrying(stop=stop_after_attempt(TRIES), wait=wait, retry=retry_if_exception(passing), reraise=True)(get)
    except httpx.HTTPStatusError as error:
        raise EngineError(f"{uri} cannot be downloaded: it answers {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EngineError(f"{uri} cannot be downloaded: {error}") from None
