"""The runner's way to replicas: straight, past the traffic plane, each request marked as no client's."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from heliostat.ml.checks import REPLAY_HEADER
from heliostat.serving.tap import Page, TapQuery
from heliostat.spec.base import REQUEST_ID
from heliostat.spec.routes import BROKEN, PREDICT, Ending, ending_of

ANSWER_SECONDS: Final = 30.0
"""A request without an answer for so long has failed."""
_CONNECT_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 2.0
"""Less than servers keep an idle connection, so that a request seldom meets one that is being closed."""
_ASIDE_SECONDS: Final = 0.5
"""For so long a replica that refused a connection is not tried again."""


@dataclass(frozen=True)
class Request:
    """A request to send, again or as a copy."""

    request_id: str
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What a version answered."""

    status: int
    """BROKEN: the connection broke, or nothing came in time."""
    body: bytes
    milliseconds: float
    """As whoever asked sees it."""
    inside: float | None = None
    """The part of it that the application took, in milliseconds."""

    @property
    def ending(self) -> Ending:
        """What it says of the version."""
        return ending_of(self.status)

    @property
    def failed(self) -> bool:
        """Whether it is a failure of the version, and not of the request."""
        return self.ending is Ending.FAILED


class NobodyThereError(Exception):
    """No replica of a version takes connections now."""


class VersionClient:
    """The replicas of one version; requests take turns among those that can be reached."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.urls: tuple[str, ...] = ()
        self._session = session
        self._aside: dict[str, float] = {}
        self._turn = 0

    async def send(self, request: Request) -> Reply:
        """The answer to a request.

        A connection that closes before an answer is tried once more, elsewhere where there is an elsewhere, as the traffic
        plane does it for clients.

        Raises:
            NobodyThereError: no replica takes connections.
        """
        began = time.perf_counter()
        for last in (False, True):
            try:
                return await self._send(request)
            except aiohttp.ClientError:
                if last:
                    break
            except TimeoutError:
                break
        return Reply(BROKEN, b"", (time.perf_counter() - began) * 1000)

    async def _send(self, request: Request) -> Reply:
        headers = {"content-type": "application/json", REPLAY_HEADER: "1"}
        if re.fullmatch(REQUEST_ID, request.request_id):
            headers["x-request-id"] = request.request_id
        for url in self._by_turns():
            began = time.perf_counter()
            try:
                async with self._session.post(f"{url}{PREDICT}", data=request.body, headers=headers) as answer:
                    body = await answer.read()
                    milliseconds = (time.perf_counter() - began) * 1000
                    inside = answer.headers.get("x-heliostat-milliseconds")
                    return Reply(answer.status, body, milliseconds, float(inside) if inside else None)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                self._aside[url] = time.monotonic() + _ASIDE_SECONDS
        raise NobodyThereError

    def _by_turns(self) -> list[str]:
        now = time.monotonic()
        usable = [url for url in self.urls if self._aside.get(url, 0.0) <= now]
        self._turn += 1
        start = self._turn % len(usable) if usable else 0
        return usable[start:] + usable[:start]

    async def tap(self, url: str, question: TapQuery) -> Page | None:
        """What the replica at `url` was asked last; None where it does not say."""
        query = {"after": question.after, "limit": str(question.limit), "share": str(question.share)}
        content = await self._get(f"{url}/-/tap", query)
        try:
            return Page.model_validate_json(content) if content is not None else None
        except ValueError:  # another program has the port by now
            return None

    async def golden(self) -> list[bytes] | None:
        """The golden requests and examples of this version; None where no replica says."""
        document = await self._document("/-/golden")
        return [str(body).encode("latin-1") for body in document.get("bodies", ())] or None

    async def openapi(self) -> Mapping[str, Any]:
        """This version's OpenAPI document; empty where no replica has it."""
        return await self._document("/openapi.json")

    async def _document(self, path: str) -> dict[str, Any]:
        for url in self.urls:
            content = await self._get(f"{url}{path}", {})
            if content is not None:
                with contextlib.suppress(ValueError):
                    found = json.loads(content)
                    if isinstance(found, dict):
                        return found
        return {}

    async def _get(self, url: str, query: Mapping[str, str]) -> bytes | None:
        try:
            async with self._session.get(url, params=query, headers={REPLAY_HEADER: "1"}) as answer:
                content = await answer.read()
                return content if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def session() -> aiohttp.ClientSession:
    """Of one event loop; connections are kept, but not as long as servers keep them."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=_CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
