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

from heliostat.ml.analyst_answers import Pair
from heliostat.ml.analyst_client import Ask, NobodyThereError, Reply, Side
from heliostat.ml.analyst_log import LoggedRequests, date_fields
from heliostat.ml.analyst_work import Work
from heliostat.ml.serving import default_spool
from heliostat.ml.tap import MOST_REQUESTS, Question, Tapped
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

Requests = tuple[Source, list[Ask]]


class Use(Enum):
    """What a replayed request is good for."""

    BOTH = "both"
    COUNT = "count"
    """It was compared before."""
    COMPARE = "compare"
    """Failures and times are counted from other requests."""


class Replay:
    """One replay: until there are enough requests, or none is left."""

    def __init__(self, work: Work, seconds: float) -> None:
        """`seconds`: within which it is to be through, as far as the rate's limits allow."""
        self._work = work
        needed = work.task.analysis.min_requests * (2 if work.metrics else 1)
        self._interval = 1 / min(_MOST_PER_SECOND, max(_PER_SECOND, needed / (seconds * _TIME_SHARE)))
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._next = 0.0
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._begun = self._said_nothing = 0
        self._spoke: deque[tuple[Source, Ask]] = deque(maxlen=_MOST_AGAIN)
        """Requests that told something, each once."""

    async def run(self) -> None:
        """Send what there is, the best first."""
        needed = self._work.task.analysis.min_requests
        async for source, asks in self._sources(needed):
            for ask in asks:
                if self._begun - self._said_nothing >= needed:
                    break
                await self._begin(source, ask)
            await self._ended()
            if self._begun - self._said_nothing >= needed:
                break
        else:
            await self._golden(needed)
        if self._work.metrics:
            await self.known(self._work.task.analysis.min_requests)

    async def known(self, most: int) -> None:
        """Send logged requests whose truth is known, and that were not sent yet."""
        wanted = self._work.truth.requests - self._work.scored
        use = Use.BOTH if self._work.task.shadow_share is None else Use.COMPARE
        begun, log = self._begun, self._logged(await self._dates())
        async for asks in self._files(log.newest(1 << 30, wanted) if wanted else iter(())):
            for ask in asks:
                if self._begun - begun >= most:
                    break
                if ask.request_id not in self._work.scored:
                    await self._begin(Source.PREDICTION_LOG, ask, use)
            if self._begun - begun >= most:
                break
        await self._ended()

    async def _sources(self, needed: int) -> AsyncIterator[Requests]:
        recent = await self._recent(needed)
        yield Source.RECENT, recent
        known = {ask.request_id for ask in recent}
        async for asks in self._files(self._logged(await self._dates()).newest(max(_LOG_ROWS, 2 * needed))):
            yield Source.PREDICTION_LOG, [ask for ask in asks if ask.request_id not in known]
            known.update(ask.request_id for ask in asks)

    async def _recent(self, needed: int) -> list[Ask]:
        """The newest requests of every replica: of what serves, where it has any."""
        for side in (self._work.serving, self._work.candidate):
            share = -(-2 * needed // max(1, len(side.urls)))  # some were asked more than others
            found = [await self._tapped(side, url, min(share, MOST_REQUESTS)) for url in side.urls]
            mixed = [ask for asks in itertools.zip_longest(*found) for ask in asks if ask is not None]
            if mixed:
                return mixed
        return []

    async def _tapped(self, side: Side, url: str, most: int) -> list[Ask]:
        found: list[Ask] = []
        question = Question(limit=most)
        while len(found) < most and (page := await side.tap(url, question)) is not None:
            found += [ask_of(tapped) for tapped in page.requests]
            question = Question(after=page.cursor, limit=most - len(found))
            if not page.more:
                break
        return found[::-1]

    async def _golden(self, needed: int) -> None:
        """The contract's own requests; then all that there was over again, which tells the versions' times apart, not them."""
        bodies = await self._work.candidate.golden() or await self._work.serving.golden() or []
        for number, body in enumerate(bodies):
            await self._begin(Source.GOLDEN, Ask(f"golden-{number}", body))
        await self._ended()
        # Twice as many as are needed at most: what is rejected the second time would never make them up.
        for source, ask in itertools.islice(itertools.cycle(tuple(self._spoke)), 2 * needed):
            if self._begun - self._said_nothing >= needed:
                break
            await self._begin(source, ask, Use.COUNT)
        await self._ended()

    async def _files(self, files: Iterator[list[Ask]]) -> AsyncIterator[list[Ask]]:
        """File by file, read beside the loop. What cannot be read ends it: there are other sources."""
        with contextlib.suppress(StopAsyncIteration):
            for _ in range(_MOST_FILES):
                try:
                    asks = await asyncio.to_thread(next, files, None)
                except (PermanentError, RetryableError, OSError, ValueError, KeyError) as error:
                    _log.warning("the prediction log cannot be read: %s", error)
                    return
                if asks is None:
                    return
                yield asks

    def _logged(self, dates: frozenset[str]) -> LoggedRequests:
        version = self._work.task.candidate
        return LoggedRequests(self._work.task.application, version.store, default_spool(), dates)

    async def _dates(self) -> frozenset[str]:
        return date_fields(await self._work.candidate.openapi())

    async def _begin(self, source: Source, ask: Ask, use: Use | None = None) -> None:
        await self._slots.acquire()
        wait = self._next - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._next = max(self._next, time.monotonic() - self._interval) + self._interval
        self._begun += 1
        task = asyncio.create_task(self._send(source, ask, use or Use.BOTH))
        self._on_their_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        if task.cancelled() or task.exception() is None:
            self._on_their_way.discard(task)  # a failed one stays, for `_ended` to raise what it did

    async def _ended(self) -> None:
        await asyncio.gather(*self._on_their_way)

    async def _send(self, source: Source, ask: Ask, use: Use) -> None:
        pair = await both(self._work, ask)
        if says_nothing(source, pair):
            self._said_nothing += 1
            return
        if use is not Use.COMPARE:
            self._work.count_replay(source, pair)
        if use is not Use.COUNT:
            self._work.compare(pair)
        if pair.candidate.ending is Ending.REJECTED:
            self._said_nothing += 1  # of predictions: it is counted among the rejections alone
        elif use is not Use.COUNT:
            self._spoke.append((source, ask))


async def both(work: Work, ask: Ask) -> Pair:
    """A request and both versions' answers, asked for at the same time; None of what does not serve."""
    candidate = asyncio.create_task(answered(work, work.candidate, ask))
    try:
        serving = await answered(work, work.serving, ask, _PATIENCE_SECONDS) if work.serving.urls else None
        reply = await candidate
    finally:
        candidate.cancel()
    assert reply is not None  # noqa: S101 - it was waited for without an end
    return Pair(ask, reply, serving)


async def answered(work: Work, side: Side, ask: Ask, patience: float | None = None) -> Reply | None:
    """A version's answer as soon as a replica takes connections; None where none did for `patience` seconds."""
    version = work.task.candidate if side is work.candidate else work.task.serving
    label = version.label if version else "what serves"
    deadline = None if patience is None else time.monotonic() + patience
    while True:
        try:
            reply = await side.ask(ask)
        except NobodyThereError:
            work.waits_for.add(label)
            if deadline is not None and time.monotonic() > deadline:
                return None
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            work.waits_for.discard(label)
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


def ask_of(tapped: Tapped) -> Ask:
    """A request that a tap kept."""
    return Ask(tapped.request_id, tapped.body.encode("latin-1"))
