"""The coordinator's API, which sites connect to: each by the token that is its alone."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from heliostat.federated.messages import Abstention, Reason, Step
from heliostat.jobs.federation.refusals import RefusedError
from heliostat.spec.federated import CoordinatorListener, Site
from heliostat.systems.errors import PermanentError

_GRACE_SECONDS: Final = 1
_BYTES: Final = "application/octet-stream"
_Answer = Callable[[Request, str], Awaitable[Response]]


class Sites(Protocol):
    """What sites ask of whoever coordinates them."""

    @property
    def most_bytes(self) -> int:
        """Of a message that a site may send."""

    async def task(self, site: str, version: str) -> bytes:
        """What a site is to do."""

    async def accept(self, site: str, round_: int, attempt: int, step: Step, body: bytes) -> None:
        """Take what a site sent, or raise RefusedError."""

    async def abstain(self, site: str, round_: int, attempt: int, reason: Reason) -> None:
        """Note that a site takes no part."""

    async def close(self) -> None:
        """Answer those that wait: the server ends."""


class Wheels(Protocol):
    """What gives packages of the model to sites."""

    def wheel(self) -> Path | None:
        """The newest, on this machine; None where there is none."""

    async def delivered(self, site: str, digest: str) -> None:
        """Note that a site has loaded the package of a digest."""


class Api:
    """The API over a coordinator. Tokens are compared by their hashes: the coordinator has no others."""

    def __init__(self, sites: Sites, known: Mapping[str, Site], wheels: Wheels) -> None:
        self._sites, self._known, self._wheels = sites, known, wheels

    def app(self) -> Starlette:
        """As an application of ASGI."""
        place = "/v1/rounds/{round:int}/{attempt:int}"
        return Starlette(
            routes=[
                Route("/v1/task", self._let_in(self._task)),
                Route(f"{place}/abstention", self._let_in(self._abstain), methods=["PUT"]),
                Route(f"{place}/{{step}}", self._let_in(self._accept), methods=["PUT"]),
                Route("/v1/package", self._let_in(self._package)),
                Route("/v1/packages/{digest}/delivered", self._let_in(self._delivered), methods=["PUT"]),
            ]
        )

    async def close(self) -> None:
        """Answer those that wait."""
        await self._sites.close()

    def _let_in(self, answer: _Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            site = _site_of(request, self._known)
            if site is None:
                return _refusal(401, [("authorization", "the token is none of a declared site")])
            try:
                return await answer(request, site)
            except RefusedError as error:
                return _refusal(error.status, list(error.mistakes))

        return endpoint

    async def _task(self, request: Request, site: str) -> Response:
        body = await self._sites.task(site, request.query_params.get("version", ""))
        return Response(body, media_type=_BYTES)

    async def _accept(self, request: Request, site: str) -> Response:
        place = request.path_params
        body = await _body(request, self._sites.most_bytes)
        try:
            step = Step(place["step"])
        except ValueError:
            return _refusal(404, [("step", f"there is no step {place['step']!r}")])
        await self._sites.accept(site, place["round"], place["attempt"], step, body)
        return Response(status_code=204)

    async def _abstain(self, request: Request, site: str) -> Response:
        place = request.path_params
        try:
            given = Abstention.model_validate_json(await _body(request, self._sites.most_bytes))
        except ValidationError:
            return _refusal(422, [("reason", f"it is none of: {', '.join(Reason)}")])
        await self._sites.abstain(site, place["round"], place["attempt"], given.reason)
        return Response(status_code=204)

    async def _package(self, request: Request, site: str) -> Response:
        wheel = await asyncio.to_thread(self._wheels.wheel)
        if wheel is None:
            return _refusal(404, [("package", "there is none")])
        return Response(await asyncio.to_thread(wheel.read_bytes), media_type=_BYTES)

    async def _delivered(self, request: Request, site: str) -> Response:
        await self._wheels.delivered(site, request.path_params["digest"])
        return Response(status_code=204)


def _site_of(request: Request, known: Mapping[str, Site]) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = sha256(token.strip().encode()).hexdigest() if scheme.lower() == "bearer" else ""
    # All are compared, so that the time says nothing of which one it was.
    found = [name for name, site in known.items() if hmac.compare_digest(site.token_sha256, given)]
    return found[0] if found else None


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RefusedError(413, ("body", f"it has more than {most} bytes"))
        parts.append(part)
    return b"".join(parts)


def _refusal(status: int, mistakes: list[tuple[str, str]]) -> Response:
    return JSONResponse({"detail": [{"path": path, "text": text} for path, text in mistakes]}, status)


@asynccontextmanager
async def listening(api: Api, listener: CoordinatorListener) -> AsyncGenerator[None]:
    """Serve sites while this is open.

    Raises:
        PermanentError: the port is another program's, or the certificate cannot be read.
    """
    import socket

    with socket.socket(socket.AF_INET6 if ":" in listener.host else socket.AF_INET) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((listener.host, listener.port))
        except OSError as error:
            raise PermanentError(
                f"the coordinator cannot listen on {listener.host}:{listener.port} ({error.strerror}): end the program that "
                "does, or give `federated.coordinator` another host or port"
            ) from None
        config = uvicorn.Config(
            api.app(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            ssl_certfile=listener.certificate,
            ssl_keyfile=listener.key,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = _Server(config)
        try:
            config.load()
        except OSError as error:
            raise PermanentError(f"the coordinator's certificate or key cannot be read: {error}") from None
        serving = asyncio.create_task(server.serve(sockets=[taken]))
        try:
            yield
        finally:
            server.should_exit = True
            await api.close()
            await serving


class _Server(uvicorn.Server):
    """One that leaves signals to the job."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Capture none."""
        return nullcontext()
