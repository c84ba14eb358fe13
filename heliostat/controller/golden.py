"""Asks replicas the contract's golden requests, beside the loop: an answer may take its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from heliostat.controller.observing import Golden
from heliostat.controller.store import Store
from heliostat.rollout.model import Colour

_SECONDS = 60.0
_SHOWN = 5

Tested = Callable[[str, Colour, str, str | None], None]


class GoldenAnswers:
    """Which replicas were asked, and what they answered wrongly; kept, so that a restart asks none of them again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Golden] = {}

    def of(self, name: str) -> Golden:
        """An application's replicas."""
        if name not in self._known:
            self._known[name] = self._store.golden(name)
        return self._known[name]

    def take(self, name: str, colour: Colour, replica: str, failure: str | None) -> None:
        """A replica answered."""
        self._known[name] = {**self.of(name), (colour, replica): failure}
        # Where it cannot be written, it is asked once more after a restart.
        self._store.faults.attempt(lambda: self._store.tested(name, colour, replica, failure))

    def forget(self, name: str, colour: Colour) -> None:
        """A colour is emptied: what its replicas answered means nothing any more."""
        self._store.faults.attempt(lambda: self._store.untest(name, colour))
        self._known[name] = {key: failure for key, failure in self.of(name).items() if key[0] is not colour}

    def drop(self, name: str) -> None:
        """An application is gone."""
        self._known.pop(name, None)


class GoldenTests:
    """Tests that are on their way, at most one a replica."""

    def __init__(self, client: httpx.AsyncClient, tested: Tested) -> None:
        self._client = client
        self._tested = tested
        self._running: dict[tuple[str, Colour, str], asyncio.Task[None]] = {}

    def begin(self, application: str, colour: Colour, replica: str, url: str) -> None:
        """Test a replica that answers at `url`; nothing where it is being tested."""
        key = (application, colour, replica)
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._test(key, url))

    async def _test(self, key: tuple[str, Colour, str], url: str) -> None:
        try:
            failure = await ask(self._client, url)
        except httpx.TransportError:
            # It is not there any more, or not yet: that is for its health to say. It is asked again at the next pass.
            return
        finally:
            self._running.pop(key, None)
        self._tested(*key, failure)


async def ask(client: httpx.AsyncClient, url: str) -> str | None:
    """What the replica at `url` answers wrongly; None where all is right."""
    try:
        answer = await client.post(f"{url}/-/golden", timeout=_SECONDS)
    except httpx.TimeoutException:
        return f"no answer to the golden requests within {_SECONDS:g} s"
    if answer.status_code == httpx.codes.OK:
        return None
    try:
        failures = [f"{failure['name']}: {failure['reason']}" for failure in answer.json()["failures"]]
    except (ValueError, KeyError, TypeError):
        failures = [f"status {answer.status_code}: {answer.text[:500]}"]
    more = f" (and {len(failures) - _SHOWN} more)" if len(failures) > _SHOWN else ""
    return "; ".join(failures[:_SHOWN]) + more
