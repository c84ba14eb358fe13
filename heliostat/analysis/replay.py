"""Sends requests that clients sent before to both versions at once: a bounded number at a time, and slowly."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from typing import Final

from heliostat.analysis.answers import Pair
from heliostat.analysis.client import NobodyThereError, Reply, Request, VersionClient
from heliostat.analysis.logged_requests import LoggedRequests, date_fields
from heliostat.analysis.state import AnalysisState
from heliostat.serving.prediction_log.spools import default_spool
from heliostat.serving.tap import MOST_REQUESTS, RecentRequest, TapQuery
from heliostat.spec.analysis import Source
from heliostat.spec.routes import Ending
from heliostat.systems.errors import PermanentError, RetryableError

AT_ONCE: Final = 4
_PER_SECOND: Final = 100.0
_MOST_PER_SECOND: Final = 1_000.0
_TIME_SHARE: Final = 0.5
"""Of an analysis's time in which its requests are to be through."""
_PATIENCE_SECONDS: Final = 5.0
"""How long a replay waits for what serves; the candidate is waited for as long as it takes."""
_AGAIN_SECONDS: Final = 0.25
_MOST_FILES: Final = 500
"""Of the prediction log that are looked through for requests whose truth is known."""
_MOST_AGAIN: Final = 5_000
"""Requests that are kept to be sent again, where there are too few."""
_LOG_ROWS: Final = 2_000

_log = logging.getLogger(__name__)

Requests = tuple[Source, list[Request]]


class Use(Enum):
    """What a replayed request is good for."""

    BOTH = "both"
    COUNT = "count"
    """It was compared before."""
    COMPARE = "compare"
    """Failures and times are counted from other requests."""


class Replay:
    """One replay: until there are enough requests, or none is left."""

    def __init__(self, state: AnalysisState, seconds: float) -> None:
        """`seconds`: within which it is to be through, as far as the rate's limits allow."""
        self._state = state
        needed = state.task.analysis.min_requests * (2 if state.metrics else 1)
        self._interval = 1 / min(_MOST_PER_SECOND, max(_PER_SECOND, needed / (seconds * _TIME_SHARE)))
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._next = 0.0
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._begun = self._said_nothing = 0
        self._spoke: deque[tuple[Source, Request]] = deque(maxlen=_MOST_AGAIN)
        """Requests that told something, each once."""

    async def run(self) -> None:
        """Send what there is, the best first."""
        needed = self._state.task.analysis.min_requests
        async for source, requests in self._sources(needed):
            for request in requests:
                if self._begun - self._said_nothing >= needed:
                    break
                await self._begin(source, request)
            await self._ended()
            if self._begun - self._said_nothing >= needed:
                break
        else:
            await self._golden(needed)
        if self._state.metrics:
            await self.known(self._state.task.analysis.min_requests)

    async def known(self, most: int) -> None:
        """Send logged requests whose truth is known, and that were not sent yet."""
        wanted = self._state.truth.requests - self._state.scored
        use = Use.BOTH if self._state.task.shadow_share is None else Use.COMPARE
        begun, log = self._begun, self._logged(await self._dates())
        async for requests in self._files(log.newest(1 << 30, wanted) if wanted else iter(())):
            for request in requests:
                if self._begun - begun >= most:
                    break
                if request.request_id not in self._state.scored:
                    await self._begin(Source.PREDICTION_LOG, request, use)
            if self._begun - begun >= most:
                break
        await self._ended()

    async def _sources(self, needed: int) -> AsyncIterator[Requests]:
        recent = await self._recent(needed)
        yield Source.RECENT, recent
        known = {request.request_id for request in recent}
        async for requests in self._files(self._logged(await self._dates()).newest(max(_LOG_ROWS, 2 * needed))):
            yield Source.PREDICTION_LOG, [request for request in requests if request.request_id not in known]
            known.update(request.request_id for request in requests)

    async def _recent(self, needed: int) -> list[Request]:
        """The newest requests of every replica: of what serves, where it has any."""
        for client in (self._state.serving, self._state.candidate):
            share = -(-2 * needed // max(1, len(client.urls)))  # some were asked more than others
            found = [await self._tapped(client, url, min(share, MOST_REQUESTS)) for url in client.urls]
            mixed = [request for requests in itertools.zip_longest(*found) for request in requests if request is not None]
            if mixed:
                return mixed
        return []

    async def _tapped(self, client: VersionClient, url: str, most: int) -> list[Request]:
        found: list[Request] = []
        question = TapQuery(limit=most)
        while len(found) < most and (page := await client.tap(url, question)) is not None:
            found += [request_of(tapped) for tapped in page.requests]
            question = TapQuery(after=page.cursor, limit=most - len(found))
            if not page.more:
                break
        return found[::-1]

    async def _golden(self, needed: int) -> None:
        """The contract's own requests; then all that there was over again, which tells the versions' times apart, not them."""
        bodies = await self._state.candidate.golden() or await self._state.serving.golden() or []
        for number, body in enumerate(bodies):
            await self._begin(Source.GOLDEN, Request(f"golden-{number}", body))
        await self._ended()
        # Twice as many as are needed at most: what is rejected the second time would never make them up.
        for source, request in itertools.islice(itertools.cycle(tuple(self._spoke)), 2 * needed):
            if self._begun - self._said_nothing >= needed:
                break
            await self._begin(source, request, Use.COUNT)
        await self._ended()

    async def _files(self, files: Iterator[list[Request]]) -> AsyncIterator[list[Request]]:
        """File by file, read beside the loop. What cannot be read ends it: there are other sources."""
        with contextlib.suppress(StopAsyncIteration):
            for _ in range(_MOST_FILES):
                try:
                    requests = await asyncio.to_thread(next, files, None)
                except (PermanentError, RetryableError, OSError, ValueError, KeyError) as error:
                    _log.warning("the prediction log cannot be read: %s", error)
                    return
                if requests is None:
                    return
                yield requests

    def _logged(self, dates: frozenset[str]) -> LoggedRequests:
        version = self._state.task.candidate
        return LoggedRequests(self._state.task.application, version.store, default_spool(), dates)

    async def _dates(self) -> frozenset[str]:
        return date_fields(await self._state.candidate.openapi())

    async def _begin(self, source: Source, request: Request, use: Use | None = None) -> None:
        await self._slots.acquire()
        wait = self._next - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._next = max(self._next, time.monotonic() - self._interval) + self._interval
        self._begun += 1
        task = asyncio.create_task(self._send(source, request, use or Use.BOTH))
        self._on_their_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        if task.cancelled() or task.exception() is None:
            self._on_their_way.discard(task)  # a failed one stays, for `_ended` to raise what it did

    async def _ended(self) -> None:
        await asyncio.gather(*self._on_their_way)

    async def _send(self, source: Source, request: Request, use: Use) -> None:
        pair = await both(self._state, request)
        if says_nothing(source, pair):
            self._said_nothing += 1
            return
        if use is not Use.COMPARE:
            self._state.count_replay(source, pair)
        if use is not Use.COUNT:
            self._state.compare(pair)
        if pair.candidate.ending is Ending.REJECTED:
            self._said_nothing += 1  # of predictions: it is counted among the rejections alone
        elif use is not Use.COUNT:
            self._spoke.append((source, request))


async def both(state: AnalysisState, request: Request) -> Pair:
    """A request and both versions' answers, asked for at the same time; None of what does not serve."""
    candidate = asyncio.create_task(answered(state, state.candidate, request))
    try:
        serving = await answered(state, state.serving, request, _PATIENCE_SECONDS) if state.serving.urls else None
        reply = await candidate
    finally:
        candidate.cancel()
    assert reply is not None  # noqa: S101 - it was waited for without an end
    return Pair(request, reply, serving)


async def answered(
    state: AnalysisState, client: VersionClient, request: Request, patience: float | None = None
) -> Reply | None:
    """A version's answer as soon as a replica takes connections; None where none did for `patience` seconds."""
    version = state.task.candidate if client is state.candidate else state.task.serving
    label = version.label if version else "what serves"
    deadline = None if patience is None else time.monotonic() + patience
    while True:
        try:
            reply = await client.send(request)
        except NobodyThereError:
            state.waits_for.add(label)
            if deadline is not None and time.monotonic() > deadline:
                return None
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            state.waits_for.discard(label)
            return reply


def says_nothing(source: Source, pair: Pair) -> bool:
    """Whether a request that was not sent as it stands by a client tells nothing of the candidate.

    What was logged was answered: refused by what serves now, the log did not keep it as it was. And a golden request that only
    the candidate takes is a change of the contract.
    """
    judge = pair.serving or pair.candidate
    if source is Source.PREDICTION_LOG:
        return 400 <= judge.status < 500
    return source is Source.GOLDEN and judge.status in (404, 422) and pair.candidate.status == 200


def request_of(tapped: RecentRequest) -> Request:
    """A request that a tap kept."""
    return Request(tapped.request_id, tapped.body.encode("latin-1"))
