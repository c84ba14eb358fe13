"""A steady stream of requests from threads of its own, which counts what did not answer as it should."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

import httpx


class Load:
    """Sends one request after another from `clients` connections until it is left."""

    def __init__(self, url: str, request: Any, clients: int = 4) -> None:
        self._url, self._request = url, request
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(clients)]
        self._lock = threading.Lock()
        self.versions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.is_set():
                try:
                    answer = client.post(self._url, json=self._request)
                    outcome, counter = answer.headers.get("x-heliostat-version", "?"), self.versions
                    if answer.status_code != 200:
                        outcome, counter = f"{answer.status_code}: {answer.text[:200]}", self.failures
                except httpx.HTTPError as error:
                    outcome, counter = repr(error), self.failures
                with self._lock:
                    counter[outcome] += 1
                # A pause keeps the clients from taking the cores from what they measure.
                self._over.wait(0.02)
