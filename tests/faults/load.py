"""A steady light load: a request each so many milliseconds, whatever became of the ones before, and how each ended."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import httpx

ANSWER_TIMEOUT_S = 15.0
_GOOD = 200


@dataclass(frozen=True)
class Sent:
    """One request. Times are of the monotonic clock, in seconds."""

    began: float
    ended: float
    how: str
    """The status, or the error's name."""
    version: str
    """Which answered; empty where none did."""

    @property
    def good(self) -> bool:
        """Whether it was answered as it should be."""
        return self.how == str(_GOOD)


class Load:
    """Requests at a constant rate from a thread of its own, for as long as the block takes."""

    def __init__(self, url: str, body: Any, rate: float) -> None:
        self._url, self._body, self._every = url, body, 1 / rate
        self._sent: list[Sent] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()

    def finish(self) -> tuple[Sent, ...]:
        """Send no more, wait for the answers that are due, and tell all."""
        self._over.set()
        self._thread.join(ANSWER_TIMEOUT_S + 5)
        return self.seen()

    def seen(self) -> tuple[Sent, ...]:
        """What has ended by now, in the order of the beginnings."""
        return tuple(sorted(self._sent, key=lambda each: each.began))

    async def _send(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, limits=limits, trust_env=False) as client:
            began, number = time.monotonic(), 0
            under_way: set[asyncio.Task[None]] = set()
            while not self._over.is_set():
                task = asyncio.create_task(self._ask(client))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                number += 1
                await asyncio.sleep(max(0.0, began + number * self._every - time.monotonic()))
            await asyncio.gather(*under_way)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        began, version = time.monotonic(), ""
        try:
            answer = await client.post(self._url, json=self._body)
            how, version = str(answer.status_code), answer.headers.get("x-heliostat-version", "")
        except httpx.HTTPError as error:
            how = type(error).__name__
        self._sent.append(Sent(began, time.monotonic(), how, version))


@dataclass(frozen=True)
class Noticed:
    """What clients noticed."""

    requests: int
    failed: int
    gap_seconds: float
    """The longest time without a good answer."""
    ends: dict[str, int]
    """How requests ended."""


def noticed(sent: Sequence[Sent]) -> Noticed:
    """What these requests say; the time before the first good answer and after the last one counts as well."""
    good = sorted(each.ended for each in sent if each.good)
    edges = (min((each.began for each in sent), default=0.0), *good, max((each.ended for each in sent), default=0.0))
    gap = max(later - earlier for earlier, later in pairwise(edges))
    ends = Counter(each.how for each in sent)
    return Noticed(len(sent), sum(not each.good for each in sent), round(gap, 3), dict(ends))
