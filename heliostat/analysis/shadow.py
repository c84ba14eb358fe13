"""Copies clients' requests to the candidate while they come. What serves is not asked: its tap has what it answered."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final

from heliostat.analysis.answers import Pair
from heliostat.analysis.client import Reply
from heliostat.analysis.replay import answered, request_of
from heliostat.analysis.state import AnalysisState
from heliostat.serving.tap import RecentRequest, TapQuery

AT_ONCE: Final = 8
_LOOK_SECONDS: Final = 0.1
_PAGE: Final = 64
_ANSWERED: Final = 200
_WAITING: Final = 64
"""Copies that wait to be sent. Where the candidate does not keep up, the ring at the source forgets the oldest."""

_log = logging.getLogger(__name__)


class Shadow:
    """Follows the taps of every replica that serves."""

    def __init__(self, state: AnalysisState, share: float) -> None:
        self._missed = 0
        self._state = state
        self._share = share
        self._waiting: asyncio.Queue[RecentRequest] = asyncio.Queue(_WAITING)

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._send_on())
                await self._follow_all(group)
        finally:
            if self._missed:
                _log.warning("%s requests came faster than the candidate took their copies", self._missed)

    async def _follow_all(self, group: asyncio.TaskGroup) -> None:
        following: dict[str, asyncio.Task[None]] = {}
        while True:
            for url in self._state.serving.urls:
                if url not in following or following[url].done():
                    following[url] = group.create_task(self._follow(url))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _follow(self, url: str) -> None:
        """From now on, for as long as the replica is named; a cursor outlives moments without an answer."""
        client, cursor, limit = self._state.serving, "", 0
        while url in client.urls:
            page = await client.tap(url, TapQuery(after=cursor, limit=limit, share=self._share))
            if page is not None:
                cursor, limit = page.cursor, _PAGE
                self._missed += page.missed
                for tapped in page.requests:
                    await self._waiting.put(tapped)
            if page is None or not page.more:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _send_on(self) -> None:
        while True:
            tapped = await self._waiting.get()
            request = request_of(tapped)
            reply = await answered(self._state, self._state.candidate, request)
            assert reply is not None  # noqa: S101 - it was waited for without an end
            serving = Reply(tapped.status, tapped.answer.encode("latin-1"), tapped.milliseconds, tapped.milliseconds)
            if tapped.treated and tapped.status == _ANSWERED:
                # The candidate never saw the personal fields that this was answered to: both are asked the same.
                again = await answered(self._state, self._state.serving, request)
                assert again is not None  # noqa: S101 - it was waited for without an end
                serving = replace(serving, status=again.status, body=again.body)
            self._state.take_copy(Pair(request, reply, serving))
