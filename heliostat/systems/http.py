"""The one way to an HTTP API: an address becomes a client, which finds its credential at each request.

A cluster or a controller that is made anew has a new token; a client that has lived longer than the old one goes on.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from collections.abc import Generator
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from heliostat.spec.addresses import BasicVariables, Credential, HttpAddress, TokenFile, TokenVariable
from heliostat.systems.errors import PermanentError, RetryableError

_CONNECT_SECONDS = 2.0
_FAR_CONNECT_SECONDS = 10.0
"""The same over a network, with TLS."""


def open_client(
    address: HttpAddress, seconds: float = 30.0, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Open a client of an API; each answer may take `seconds`.

    A request raises httpx's errors, RetryableError where the credential is not there yet, and PermanentError where this
    process cannot have it.
    """
    return httpx.AsyncClient(
        base_url=address.url,
        auth=_auth(address),
        timeout=timeout_of(address, seconds),
        transport=transport,
        trust_env=not is_loopback(address.url),
        verify=_authorities(address.url),
    )


def open_sync_client(
    address: HttpAddress, seconds: float = 30.0, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """Open the same for code that is not asynchronous."""
    return httpx.Client(
        base_url=address.url,
        auth=_auth(address),
        timeout=timeout_of(address, seconds),
        transport=transport,
        trust_env=not is_loopback(address.url),
        verify=_authorities(address.url),
    )


def timeout_of(address: HttpAddress, seconds: float | None) -> httpx.Timeout:
    """Limit a call: `seconds` for an answer, or none for a stream, and less to find out that nobody is there."""
    connect = _CONNECT_SECONDS if is_loopback(address.url) else _FAR_CONNECT_SECONDS
    return httpx.Timeout(seconds, connect=min(seconds or connect, connect))


def read_token(address: HttpAddress) -> str:
    """Read the bearer token of an API; empty where it asks for none.

    Raises:
        RetryableError: its file cannot be read.
        PermanentError: the variable that should hold it is not set, or a name and a password are asked for.
    """
    if isinstance(address.credential, BasicVariables):
        raise PermanentError(f"{address.url} asks for a name and a password, not for a token")
    return "" if address.credential is None else _token(address.credential, address.url)


def reason(error: httpx.HTTPError) -> str:
    """Why a call got no answer; some of httpx's errors have no text."""
    return str(error) or type(error).__name__


class _Authorization(httpx.Auth):
    """Lets each request in with the credential of its moment."""

    def __init__(self, credential: Credential, url: str) -> None:
        self._credential, self._url = credential, url

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = _authorization(self._credential, self._url)
        yield request


def _auth(address: HttpAddress) -> httpx.Auth | None:
    return None if address.credential is None else _Authorization(address.credential, address.url)


def _authorization(credential: Credential, url: str) -> str:
    if isinstance(credential, BasicVariables):
        names = (credential.username_variable, credential.password_variable)
        pair = ":".join(_variable(name, "credential", url) for name in names)
        return f"Basic {b64encode(pair.encode()).decode()}"
    return f"Bearer {_token(credential, url)}"


def _token(credential: TokenFile | TokenVariable, url: str) -> str:
    if isinstance(credential, TokenVariable):
        return _variable(credential.variable, "token", url)
    try:
        token = Path(credential.path).read_text().strip()
    except OSError as error:
        raise RetryableError(
            f"the token of {url} cannot be read from {credential.path}: {error.strerror}; is it up, on this machine?"
        ) from None
    if not token:
        raise RetryableError(f"the token of {url} is not written yet: {credential.path} is empty")
    return token


def _variable(name: str, what: str, url: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise PermanentError(f"the {what} of {url} is to be in the environment variable {name}: set it here")
    return value


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine: no proxy reaches that, and a token that is sent to one is lost."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _authorities(url: str) -> ssl.SSLContext | bool:
    """The certificate authorities that a client trusts: none for plain HTTP, where no certificate is shown.

    httpx reads all of the world's for every client that it makes, some 20 ms each, whatever the client speaks to.
    """
    return _no_authorities() if url.startswith("http://") else True


@cache
def _no_authorities() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
