"""The one way to an HTTP API: an address becomes a client, which finds its credential at each request.

A cluster or a controller that is made anew has a new token; a client that has lived longer than the old one goes on.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from functools import cache

import httpx

from heliostat.spec.addresses import BasicVariables, Credential, HttpAddress, KubernetesSecret
from heliostat.systems.credentials import read_pair, read_text
from heliostat.systems.errors import PermanentError
from heliostat.systems.kubernetes_api import through, through_sync
from heliostat.systems.loopback import is_loopback

_CONNECT_SECONDS = 2.0
_FAR_CONNECT_SECONDS = 10.0
"""The same over a network, with TLS."""
_REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
"""Ray answers 403 to a token that is another's."""


def open_client(
    address: HttpAddress, seconds: float = 30.0, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Open a client of an API; each answer may take `seconds`. A `transport` is used in place of the way there.

    A request raises httpx's errors, RetryableError where the credential or the way there is not there yet, and PermanentError
    where this process cannot have it.
    """
    return httpx.AsyncClient(
        base_url=address.url,
        auth=_auth(address),
        timeout=timeout_of(address, seconds),
        transport=through(address.proxy, address.url) if address.proxy and transport is None else transport,
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
        transport=through_sync(address.proxy, address.url) if address.proxy and transport is None else transport,
        trust_env=not is_loopback(address.url),
        verify=_authorities(address.url),
    )


def timeout_of(address: HttpAddress, seconds: float | None) -> httpx.Timeout:
    """Limit a call: `seconds` for an answer, or none for a stream, and less to find out that nobody is there."""
    connect = _CONNECT_SECONDS if is_loopback(address.url) else _FAR_CONNECT_SECONDS
    return httpx.Timeout(seconds, connect=min(seconds or connect, connect))


def read_token(address: HttpAddress, refused: str = "") -> str:
    """Read the bearer token of an API; empty where it asks for none. A secret that held what was `refused` is read again.

    Raises:
        RetryableError: its file cannot be read, or what keeps its secret does not answer.
        NoAccessError: its variable is not set, or there is no way to what keeps its secret.
        PermanentError: this process cannot have it, or a name and a password are asked for.
    """
    if isinstance(address.credential, BasicVariables):
        raise PermanentError(f"{address.url} asks for a name and a password, not for a token")
    return "" if address.credential is None else read_text(address.credential, address.url, refused)


def reason(error: httpx.HTTPError) -> str:
    """Why a call got no answer; some of httpx's errors have no text."""
    return str(error) or type(error).__name__


class _Authorization(httpx.Auth):
    """Lets each request in with the credential of its moment."""

    def __init__(self, credential: Credential, url: str, header: str) -> None:
        self._credential, self._url, self._header = credential, url, header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._header] = _authorization(self._credential, self._url)
        yield request


class _SecretAuthorization(httpx.Auth):
    """The same with a secret, which is read over a network: less often, and again where what it held is refused."""

    def __init__(self, secret: KubernetesSecret, url: str, header: str) -> None:
        self._secret, self._url, self._header = secret, url, header

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = read_text(self._secret, self._url)
        answer = yield self._let_in(request, token)
        if answer.status_code in _REFUSED and (newer := read_text(self._secret, self._url, token)) != token:
            yield self._let_in(request, newer)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await asyncio.to_thread(read_text, self._secret, self._url)
        answer = yield self._let_in(request, token)
        if answer.status_code not in _REFUSED:
            return
        newer = await asyncio.to_thread(read_text, self._secret, self._url, token)
        if newer != token:
            yield self._let_in(request, newer)

    def _let_in(self, request: httpx.Request, token: str) -> httpx.Request:
        request.headers[self._header] = f"Bearer {token}"
        return request


def _auth(address: HttpAddress) -> httpx.Auth | None:
    header = address.proxied_header if address.proxy else "Authorization"
    match address.credential:
        case None:
            return None
        case KubernetesSecret():
            return _SecretAuthorization(address.credential, address.url, header)
        case _:
            return _Authorization(address.credential, address.url, header)


def _authorization(credential: Credential, url: str) -> str:
    if isinstance(credential, BasicVariables):
        pair = ":".join(read_pair(credential, url))
        return f"Basic {b64encode(pair.encode()).decode()}"
    return f"Bearer {read_text(credential, url)}"


def _authorities(url: str) -> ssl.SSLContext | bool:
    """The certificate authorities that a client trusts: none for plain HTTP, where no certificate is shown.

    httpx reads all of the world's for every client that it makes, some 20 ms each, whatever the client speaks to.
    """
    return _no_authorities() if url.startswith("http://") else True


@cache
def _no_authorities() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
