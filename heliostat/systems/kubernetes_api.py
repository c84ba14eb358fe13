"""The way to a Kubernetes cluster's API, and through it to services inside of the cluster."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from typing import Any, Final

import httpx

from heliostat.spec.addresses import ClusterAddress, KubernetesProxy, service_of
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kubernetes_access import ApiServer, api_server
from heliostat.systems.loopback import is_loopback

_LATER: Final = ("address not allowed",)
"""What an API server says with a status of 4xx while a service's pod has no address yet."""
_NEVER: Final = ("no service port",)
"""What it says with a status of 5xx that does not pass."""
_TRIES, _PAUSE_SECONDS = 10, 0.2
"""An API server's proxy goes by the Endpoints that a controller writes a moment after a service was made, and says until then
that there is no such service."""


class RefusedError(PermanentError):
    """An API server's own refusal."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def through(proxy: KubernetesProxy, url: str) -> httpx.AsyncBaseTransport:
    """Make the transport to the service that a URL names. Its requests raise PermanentError and RetryableError, too."""
    return _AsyncTransport(proxy.where, *_way(url))


def through_sync(proxy: KubernetesProxy, url: str) -> httpx.BaseTransport:
    """Make the same for code that is not asynchronous."""
    return _Transport(proxy.where, *_way(url))


def to_api(cluster: ClusterAddress, what: str) -> httpx.BaseTransport:
    """Make the transport to a cluster's API itself; errors say that `what` was asked for."""
    return _Transport(cluster, "", what)


def to_api_async(cluster: ClusterAddress, what: str) -> httpx.AsyncBaseTransport:
    """Make the same for asynchronous code."""
    return _AsyncTransport(cluster, "", what)


def _way(url: str) -> tuple[str, str]:
    """The path of a service's proxy, and what people call the service."""
    service = service_of(url)
    path = f"/api/v1/namespaces/{service.namespace}/services/{service.scheme}:{service.name}:{service.port}/proxy"
    return path, f"the service {service.name} in the namespace {service.namespace}"


def _ready(cluster: ClusterAddress, refused: ApiServer | None) -> tuple[ApiServer, str]:
    server = api_server(cluster, refused)
    return server, server.authorization()


def _rewritten(request: httpx.Request, server: ApiServer, path: str, authorization: str) -> httpx.Request:
    """A request to a service as the one to the API server that brings it there."""
    url = httpx.URL(f"{server.url}{path}{request.url.raw_path.decode('ascii')}")
    headers = httpx.Headers(request.headers)
    headers["Host"] = url.netloc.decode("ascii")
    headers.pop("authorization", None)
    if authorization:
        headers["Authorization"] = authorization
    extensions = {**request.extensions, **({"sni_hostname": server.server_name} if server.server_name else {})}
    return httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=extensions)


def _options(server: ApiServer) -> dict[str, Any]:
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if server.tls is None else server.tls
    return {"verify": verify, "proxy": server.proxy, "trust_env": not is_loopback(server.url)}


def _may_be_its_own(answer: httpx.Response) -> bool:
    return answer.status_code >= 400 and "json" in answer.headers.get("content-type", "")


def _own_words(answer: httpx.Response) -> str | None:
    """What an API server says itself with an answer that was read; None where it is the service's answer."""
    try:
        body = json.loads(answer.content)
        return str(body.get("message") or "") if (body["kind"], body["apiVersion"]) == ("Status", "v1") else None
    except (ValueError, KeyError, TypeError):
        return None


def _is_unseen(answer: httpx.Response, told: str | None) -> bool:
    """Whether an API server's proxy knows of no such service, which may have been made a moment ago."""
    return answer.status_code == httpx.codes.NOT_FOUND and re.fullmatch('services ".*" not found', told or "") is not None


def _refusal(server: ApiServer, what: str, status: int, told: str) -> Exception:
    """The error that an API server's own answer is."""
    if status == httpx.codes.UNAUTHORIZED:
        text = f"{server} does not know who asks for {what} (401): log in to the cluster, or name another context"
        return RefusedError(text, status)
    later = any(text in told for text in _LATER)
    if later or ((status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS) and not any(text in told for text in _NEVER)):
        return RetryableError(f"{server} does not reach {what} ({status}): {told}")
    fix = {403: "; let this user do that", 404: "; make it, or correct the address"}.get(status, "")
    return RefusedError(f"{server} refuses {what} ({status}): {told}{fix}", status)


def _away(server: ApiServer, what: str, error: httpx.HTTPError) -> Exception:
    """The error that an API server is that does not answer itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PermanentError(f"{server} is not trusted ({cause.verify_message}): correct its certificate-authority")
        cause = cause.__cause__ or cause.__context__
    return RetryableError(f"{server}, which leads to {what}, does not answer: {error or type(error).__name__}")


_NOBODY_THERE: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


def _passed_on(answer: httpx.Response, content: bytes | None = None) -> httpx.Response:
    """An answer as the caller's client takes it: as it came, or with what was read of it already, decoded."""
    if content is None:
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream, extensions=answer.extensions)
    dropped = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in dropped]
    return httpx.Response(answer.status_code, headers=headers, content=content, extensions=answer.extensions)


class _Transport(httpx.BaseTransport):
    """Requests below a path of an API server. A client of its own goes with each reading of the kubeconfig."""

    def __init__(self, cluster: ClusterAddress, path: str, what: str) -> None:
        self._cluster, self._path, self._what = cluster, path, what
        self._clients: list[tuple[ApiServer, httpx.Client]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        server, authorization = _ready(self._cluster, None)
        answer, told = self._send(request, server, authorization)
        if told is not None and answer.status_code == httpx.codes.UNAUTHORIZED:
            server, authorization = _ready(self._cluster, server)
            answer, told = self._send(request, server, authorization)
        for _ in range(_TRIES):
            if not _is_unseen(answer, told):
                break
            time.sleep(_PAUSE_SECONDS)
            answer, told = self._send(request, server, authorization)
        if told is not None:
            raise _refusal(server, self._what, answer.status_code, told)
        return answer

    def close(self) -> None:
        for _, client in self._clients:
            client.close()

    def _send(self, request: httpx.Request, server: ApiServer, authorization: str) -> tuple[httpx.Response, str | None]:
        client = self._client(server)
        try:
            answer = client.send(_rewritten(request, server, self._path, authorization), stream=True)
            if not _may_be_its_own(answer):
                return _passed_on(answer), None
            answer.read()
        except _NOBODY_THERE as error:
            raise _away(server, self._what, error) from None
        return _passed_on(answer, answer.content), _own_words(answer)

    def _client(self, server: ApiServer) -> httpx.Client:
        if not self._clients or self._clients[-1][0] is not server:
            self._clients.append((server, httpx.Client(**_options(server))))
            # The one before may still bring answers.
            for _, client in self._clients[:-2]:
                client.close()
            del self._clients[:-2]
        return self._clients[-1][1]


class _AsyncTransport(httpx.AsyncBaseTransport):
    """The same for asynchronous code, which no plugin of a kubeconfig holds up."""

    def __init__(self, cluster: ClusterAddress, path: str, what: str) -> None:
        self._cluster, self._path, self._what = cluster, path, what
        self._clients: list[tuple[ApiServer, httpx.AsyncClient]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        server, authorization = await asyncio.to_thread(_ready, self._cluster, None)
        answer, told = await self._send(request, server, authorization)
        if told is not None and answer.status_code == httpx.codes.UNAUTHORIZED:
            server, authorization = await asyncio.to_thread(_ready, self._cluster, server)
            answer, told = await self._send(request, server, authorization)
        for _ in range(_TRIES):
            if not _is_unseen(answer, told):
                break
            await asyncio.sleep(_PAUSE_SECONDS)
            answer, told = await self._send(request, server, authorization)
        if told is not None:
            raise _refusal(server, self._what, answer.status_code, told)
        return answer

    async def aclose(self) -> None:
        for _, client in self._clients:
            await client.aclose()

    async def _send(self, request: httpx.Request, server: ApiServer, authorization: str) -> tuple[httpx.Response, str | None]:
        client = await self._client(server)
        try:
            answer = await client.send(_rewritten(request, server, self._path, authorization), stream=True)
            if not _may_be_its_own(answer):
                return _passed_on(answer), None
            await answer.aread()
        except _NOBODY_THERE as error:
            raise _away(server, self._what, error) from None
        return _passed_on(answer, answer.content), _own_words(answer)

    async def _client(self, server: ApiServer) -> httpx.AsyncClient:
        if not self._clients or self._clients[-1][0] is not server:
            self._clients.append((server, httpx.AsyncClient(**_options(server))))
            for _, client in self._clients[:-2]:
                await client.aclose()
            del self._clients[:-2]
        return self._clients[-1][1]
