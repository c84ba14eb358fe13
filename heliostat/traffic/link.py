"""The way to the controller, and to the other members."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TypeVar

import httpx
from pydantic import ValidationError

from heliostat.spec.addresses import ControllerAddress, HttpUrl
from heliostat.spec.base import Model
from heliostat.spec.formatting import counted
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_client, reason, timeout_of
from heliostat.traffic.messages import LEASE_SECONDS, Acknowledgement, Report, Sight, WantedRoutes

_PEER_SECONDS = 1.0
M = TypeVar("M", bound=Model)


class ControllerLink:
    """One member's calls. Each raises RetryableError where the controller does not answer, PermanentError where it refuses."""

    def __init__(self, address: ControllerAddress, member: str) -> None:
        self._address = address
        self._path = f"/v1/traffic/members/{member}"
        self._client = open_client(address)
        self._peers = httpx.AsyncClient(timeout=_PEER_SECONDS, trust_env=False)

    async def wanted(self, revision: int | None, seconds: float) -> WantedRoutes | None:
        """What shall be, once that is another revision; None where it is the same after `seconds`."""
        query = f"?seconds={seconds:g}" + (f"&revision={revision}" if revision is not None else "")
        answer = await self._call("GET", f"/v1/traffic/wanted{query}", seconds + LEASE_SECONDS)
        return self._read(WantedRoutes, answer) if answer.status_code == httpx.codes.OK else None

    async def report(self, report: Report) -> Acknowledgement:
        """Tell what the member does."""
        answer = await self._call("PUT", self._path, LEASE_SECONDS, report.model_dump_json())
        return self._read(Acknowledgement, answer)

    async def sights(self, peers: Iterable[HttpUrl]) -> tuple[Sight, ...]:
        """How the peers are that answer."""
        return tuple(each for each in await asyncio.gather(*map(self._sight, peers)) if each is not None)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
        await self._peers.aclose()

    async def _sight(self, url: HttpUrl) -> Sight | None:
        with contextlib.suppress(httpx.HTTPError, ValidationError):
            return Sight.model_validate_json((await self._peers.get(f"{url}/peer")).content)
        return None

    def _read(self, model: type[M], answer: httpx.Response) -> M:
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise PermanentError(
                f"the controller at {self._address.url} says what this release does not know "
                f"({counted(error.error_count(), 'mistake')}): give both the same image"
            ) from None

    async def _call(self, method: str, path: str, seconds: float, body: str | None = None) -> httpx.Response:
        url = self._address.url
        try:
            answer = await self._client.request(
                method,
                path,
                content=body,
                headers={"content-type": "application/json"},
                timeout=timeout_of(self._address, seconds),
            )
        except httpx.HTTPError as error:
            raise RetryableError(f"the controller at {url} does not answer: {reason(error)}") from None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise RetryableError(f"the controller at {url} failed: {answer.text[:500]}")
        if answer.is_error:
            raise PermanentError(f"the controller at {url} refused {path} ({answer.status_code}): {answer.text[:500]}")
        return answer
