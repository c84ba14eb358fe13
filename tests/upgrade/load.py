"""Predictions asked for at a steady rate, whatever became of the ones before, each answer of which is looked at."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

_ROUTES = (("UA", "EWR", "IAH", 1400.0), ("B6", "JFK", "BOS", 187.0), ("AA", "LGA", "MIA", 1096.0))
_ROWS = [
    {
        "carrier": carrier, "origin": origin, "destination": destination, "distance_miles": miles,
        "scheduled_departure": f"2013-07-09T{hour:02d}:00:00", "scheduled_arrival": f"2013-07-09T{hour + 3:02d}:40:00",
    }
    for carrier, origin, destination, miles in _ROUTES for hour in (6, 12, 18)
]  # fmt: skip
QUESTIONS: list[dict[str, Any]] = [*_ROWS, {"rows": _ROWS}]
_ANSWER_S = 30.0


@dataclass(frozen=True)
class Answered:
    """A request that was answered as it should be."""

    at: float
    """When, of the monotonic clock."""
    version: str
    request_id: str


class Load:
    """So many requests a second from a thread of its own, until it is left."""

    def __init__(self, url: str, rate: float) -> None:
        self._url, self._every = url, 1 / rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)
        self._known: dict[tuple[str, int], Any] = {}
        self.answered: list[Answered] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()

    def finish(self) -> None:
        """Send no more, and wait for the answers that are due."""
        self._over.set()
        self._thread.join(_ANSWER_S + 5)

    @property
    def versions(self) -> Counter[str]:
        """How many answers each version gave."""
        return Counter(each.version for each in self.answered)

    async def _send(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        async with httpx.AsyncClient(timeout=_ANSWER_S, limits=limits, trust_env=False) as client:
            began, number = time.monotonic(), 0
            under_way: set[asyncio.Task[None]] = set()
            while not self._over.is_set():
                task = asyncio.create_task(self._ask(client, number % len(QUESTIONS)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                number += 1
                await asyncio.sleep(max(0.0, began + number * self._every - time.monotonic()))
            await asyncio.gather(*under_way)

    async def _ask(self, client: httpx.AsyncClient, number: int) -> None:
        began = time.monotonic()
        try:
            answer = await client.post(self._url, json=QUESTIONS[number])
            version, request_id = answer.headers.get("x-heliostat-version", ""), answer.headers.get("x-request-id", "")
            wrong = self._wrong(number, version, answer)
        except httpx.HTTPError as error:
            version = request_id = ""
            wrong = repr(error)
        if wrong:
            self.failures.append(f"{time.strftime('%H:%M:%S')}, after {time.monotonic() - began:.2f} s: {wrong}")
        else:
            self.answered.append(Answered(time.monotonic(), version, request_id))

    def _wrong(self, number: int, version: str, answer: httpx.Response) -> str:
        """What is wrong with an answer; the same version has to answer alike, whatever it runs on."""
        if answer.status_code != httpx.codes.OK or not version:
            return f"{answer.status_code}: {answer.text[:300]}"
        found = answer.json()
        rows = found["rows"] if "rows" in QUESTIONS[number] else [found]
        if len(rows) != len(QUESTIONS[number].get("rows", [found])) or not all(
            0 < row["late_probability"] < 1 for row in rows
        ):
            return f"{version} says {answer.text[:300]}"
        before = self._known.setdefault((version, number), found)
        return f"{version} said {before}, and now {found}" if found != before else ""
