"""Clients over HTTP: one that waits, and one for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, Generic, Self

import httpx

from .exchange import Answer, Exchange, Reply, Retries, Row

DEFAULT_RETRIES = Retries()


class _Base(Generic[Row, Answer]):
    answer: ClassVar[type[Any]]
    """The type of an answer; a package's own clients set it."""
    most_rows: ClassVar[int]
    """Of one request: more rows are sent in several."""

    def _parts(self, rows: Sequence[Row]) -> list[Sequence[Row]]:
        return [rows[at : at + self.most_rows] for at in range(0, len(rows), self.most_rows)]


class SyncClient(_Base[Row, Answer]):
    """Asks an application, and waits. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        retries: Retries = DEFAULT_RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url`: the application's, e.g. `https://models.example.com/flights`; `timeout`: of one attempt, in seconds;
        `transport`: httpx's own, for tests and for proxies."""
        self._retries = retries
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/", timeout=timeout, transport=transport)

    def predict(self, row: Row, *, request_id: str | None = None) -> Answer:
        """The answer to a row; `request_id`: what the application's log calls it.

        Raises:
            RejectedError: it does not fit.
            UnavailableError: nobody answered.
            FailedError: the application failed.
        """
        return self._asked([row], request_id)[0]

    def predict_many(self, rows: Sequence[Row]) -> list[Answer]:
        """The answers to rows, in their order; in several requests where there are many. Raises what `predict` does."""
        return [answer for part in self._parts(rows) for answer in self._asked(part, None)]

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _asked(self, rows: Sequence[Row], request_id: str | None) -> list[Answer]:
        exchange: Exchange[Row, Answer] = Exchange(rows, self.answer, self._retries, request_id)
        while True:
            try:
                found = self._http.post("predict", content=exchange.body, headers=exchange.headers)
            except httpx.TransportError as error:
                outcome: list[Answer] | float = exchange.broken(error)
            else:
                outcome = exchange.answers(Reply(found.status_code, found.headers, found.content))
            if isinstance(outcome, list):
                return outcome
            time.sleep(outcome)


class AsyncClient(_Base[Row, Answer]):
    """Asks an application from asyncio."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        retries: Retries = DEFAULT_RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As `SyncClient`."""
        self._retries = retries
        self._http = httpx.AsyncClient(base_url=f"{url.rstrip('/')}/", timeout=timeout, transport=transport)

    async def predict(self, row: Row, *, request_id: str | None = None) -> Answer:
        """As `SyncClient.predict`."""
        return (await self._asked([row], request_id))[0]

    async def predict_many(self, rows: Sequence[Row]) -> list[Answer]:
        """As `SyncClient.predict_many`; one request after the other."""
        return [answer for part in self._parts(rows) for answer in await self._asked(part, None)]

    async def close(self) -> None:
        """End its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _asked(self, rows: Sequence[Row], request_id: str | None) -> list[Answer]:
        exchange: Exchange[Row, Answer] = Exchange(rows, self.answer, self._retries, request_id)
        while True:
            try:
                found = await self._http.post("predict", content=exchange.body, headers=exchange.headers)
            except httpx.TransportError as error:
                outcome: list[Answer] | float = exchange.broken(error)
            else:
                outcome = exchange.answers(Reply(found.status_code, found.headers, found.content))
            if isinstance(outcome, list):
                return outcome
            await asyncio.sleep(outcome)
