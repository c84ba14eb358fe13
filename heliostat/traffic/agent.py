"""One member of the traffic plane: has its HAProxy do what a controller says, and tells what it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Coroutine

from heliostat.spec.controller import TRAFFIC_SERVICE
from heliostat.spec.endpoints import TrafficSnapshot
from heliostat.systems import haproxy, processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.traffic import readiness
from heliostat.traffic.haproxy import HAProxyRouter
from heliostat.traffic.link import ControllerLink
from heliostat.traffic.memory import AgentMemory
from heliostat.traffic.messages import (
    BEHIND_SECONDS,
    LEASE_SECONDS,
    REPORT_SECONDS,
    Acknowledgement,
    Report,
    Sight,
    WantedRoutes,
)
from heliostat.traffic.settings import AgentSettings

_log = logging.getLogger(__name__)

_AT_ONCE_SECONDS = 0.005
_LOOK_SECONDS = 0.2
"""Between two looks at HAProxy where nothing is to be done."""
_AWAY_SECONDS = 0.5
"""Between two calls of a controller that does not answer."""
_POLL_SECONDS = 25.0
_PEERS_SECONDS = 1.0
"""Between two questions to the peers, while some may be better off."""
_MOST_FAILURES = 3
"""Looks at a HAProxy that runs and does not answer, until it is started again; each takes some seconds."""
_FAREWELL_SECONDS = 3.0


class Agent:
    """All of it. What it waits for never keeps HAProxy from what it was told last."""

    def __init__(self, settings: AgentSettings, link: ControllerLink) -> None:
        """Read what an earlier agent of this folder left.

        Raises:
            PermanentError: the folder cannot be used.
        """
        self.settings = settings
        self._link = link
        self._memory = AgentMemory(settings.plane.directory)
        self._router = HAProxyRouter(settings.plane, self._memory)
        self._snapshot: TrafficSnapshot | None = None
        self._applied: int | None = None
        """The newest revision that is wholly so."""
        self._caught_up = False
        """Whether it once did what the controller wanted then, or all there is to know while that does not answer."""
        self._lease_until = self._sighted_at = -math.inf
        self._acknowledged: Acknowledgement | None = None
        self._before = self._memory.wanted is not None
        self._behind = 0
        self._poll: asyncio.Task[WantedRoutes | None] | None = None
        self._worse: str | None = None
        self._leaving = False
        self._sent_away = False
        self._failures = 0
        self._began = self._wanted_at = self.looked_at = time.monotonic()
        self._told: object = None
        self._complaints: dict[str, str] = {}
        self._wake, self._news = asyncio.Event(), asyncio.Event()

    @property
    def sight(self) -> Sight:
        """How it is."""
        now = time.monotonic()
        return Sight(
            serves=self._snapshot is not None and self._caught_up and not self._leaving,
            # A probe or two that went astray are no reason to send clients away.
            sighted=now - self._sighted_at < LEASE_SECONDS,
            leased=now < self._lease_until,
            current=self._is_current or now - self._wanted_at < BEHIND_SECONDS,
        )

    @property
    def _is_current(self) -> bool:
        wanted = self._memory.wanted
        return wanted is not None and self._applied == wanted.revision

    @property
    def unready(self) -> str | None:
        """Why clients are not to come here; None where they may."""
        if self._leaving:
            return "it ends"
        if self._snapshot is None:
            return "HAProxy does not answer"
        if not self._caught_up:
            return "it does not do yet what the controller wants"
        return self._worse

    async def adopt(self) -> None:
        """Have HAProxy run with what was applied last.

        Raises:
            PermanentError: it cannot be started, or refuses its configuration.
        """
        await self._router.adopt()

    async def run(self) -> None:
        """Follow the controller, for ever."""
        loops = (
            self._router.supervise(self._wake.set),
            self._look_on(),
            self._follow(),
            self._report_on(),
            self._compare_on(),
        )
        async with asyncio.TaskGroup() as group:
            for each in loops:
                group.create_task(_forever(each))

    async def drain(self) -> None:
        """Send all clients away, and return once none is left, or their time is up; `run` has to go on meanwhile."""
        began, settings = time.monotonic(), self.settings
        self._leaving = True
        self._wake.set()
        self._news.set()
        _log.info("draining: clients have %g s to go elsewhere", settings.settle_seconds + settings.drain_seconds)
        while (passed := time.monotonic() - began) < settings.settle_seconds + settings.drain_seconds:
            if passed >= settings.settle_seconds and await self._connections() == 0:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        _log.warning("%s connections of clients are cut off", await self._connections())

    async def leave(self) -> None:
        """Tell the controller the last figures, and end HAProxy; nothing but this may run any more."""
        with contextlib.suppress(RetryableError, PermanentError, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                self._snapshot = await self._router.snapshot()
                await self._link.report(self._report().model_copy(update={"gone": True}))
        await processes.stop(self.settings.plane.directory, TRAFFIC_SERVICE, grace_seconds=1)

    async def _connections(self) -> int:
        try:
            return await haproxy.connections(self._router.plane)
        except RetryableError:
            return 0

    # What HAProxy does

    async def _look_on(self) -> None:
        while True:
            self._wake.clear()
            again = await self._look_safely()
            await _either(self._wake, _AT_ONCE_SECONDS if again else _LOOK_SECONDS)

    async def _look_safely(self) -> bool:
        try:
            again = await self._look()
            self._failures = 0
            self._complain("HAProxy", "")
            return again
        except RetryableError as error:
            self._take(None)
            self._complain("HAProxy", str(error))
            self._failures += 1
            if self._failures >= _MOST_FAILURES and self._router.alive:
                _log.error("HAProxy does not answer any more; it is started again")
                self._failures = 0
                await processes.stop(self._router.plane.directory, TRAFFIC_SERVICE, grace_seconds=0)
        except PermanentError as error:
            self._complain("HAProxy", str(error))
        except Exception as error:
            # What it has goes on; to end would take that away.
            if str(error) != self._complaints.get("HAProxy"):
                _log.exception("a look failed")
            self._complaints["HAProxy"] = str(error)
        finally:
            self.looked_at = time.monotonic()
        return False

    async def _look(self) -> bool:
        """One look, and one step nearer to what is wanted; whether there was anything to do."""
        found, wanted = await self._router.snapshot(), self._memory.wanted
        self._take(found)
        away = self._leaving or self._worse is not None
        if away or self._sent_away:
            # Each time: a worker that took over does not know.
            await haproxy.send_away(self._router.plane, away)
            self._sent_away = away
        if wanted is None:
            return False
        moves = readiness.share_moves(wanted.routes, found)
        for name, share in moves.items():
            await self._router.set_share(name, share)
        changed = await self._router.apply(wanted.routes, found) or bool(moves)
        if not changed and readiness.is_applied(wanted.routes, found):
            self._note_applied(wanted.revision)
        return changed

    def _take(self, found: TrafficSnapshot | None) -> None:
        self._snapshot = found
        wanted = self._memory.wanted or WantedRoutes()
        if found is not None and readiness.is_sighted(wanted.routes, found):
            self._sighted_at = time.monotonic()
        told = (found and readiness.shape(found), self._applied, self.unready)
        if told != self._told:
            self._told = told
            self._news.set()

    def _note_applied(self, revision: int) -> None:
        if revision != self._applied:
            self._applied = revision
            self._news.set()
        known = self._acknowledged
        alone = known is None and time.monotonic() - self._began > LEASE_SECONDS
        if not self._caught_up and (alone or (known is not None and revision >= known.revision)):
            self._caught_up = True
            _log.info("revision %s is applied; clients may come", revision)
            self._news.set()

    # What the controller says

    async def _follow(self) -> None:
        while True:
            wanted = self._memory.wanted
            self._poll = asyncio.create_task(self._link.wanted(wanted.revision if wanted else None, _POLL_SECONDS))
            try:
                await asyncio.wait({self._poll})
            finally:
                self._poll.cancel()
            if self._poll.cancelled():
                continue
            error = self._poll.exception()
            if error is not None:
                if not isinstance(error, (RetryableError, PermanentError)):
                    raise error
                self._complain("controller", str(error))
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            found = self._poll.result()
            if found is not None:
                if self._is_current:
                    self._wanted_at = time.monotonic()
                self._memory.save_wanted(found)
                self._wake.set()

    async def _report_on(self) -> None:
        while True:
            self._news.clear()
            sent = time.monotonic()
            try:
                self._heard(await self._link.report(self._report()), sent)
            except (RetryableError, PermanentError) as error:
                self._complain("controller", str(error))
                await asyncio.sleep(_AWAY_SECONDS)
            await _either(self._news, REPORT_SECONDS)

    def _report(self) -> Report:
        return Report(
            url=self.settings.url,
            revision=self._applied,
            ready=self.unready is None,
            # What an earlier agent of this folder let in may be on its way yet.
            routes=self._caught_up or self._before,
            snapshot=self._snapshot,
        )

    def _heard(self, answer: Acknowledgement, sent: float) -> None:
        self._complain("controller", "")
        self._lease_until = sent + LEASE_SECONDS
        self._acknowledged = answer
        self._memory.save_peers(answer.peers)
        wanted = self._memory.wanted
        self._behind = self._behind + 1 if wanted is None or wanted.revision != answer.revision else 0
        if self._behind > 1 and self._poll is not None:
            # What it waits for went astray, as over a network that was cut.
            self._behind = 0
            self._poll.cancel()

    # What the others say

    async def _compare_on(self) -> None:
        while True:
            own = self.sight
            worse = None if readiness.is_best(own) else readiness.worse_off(own, await self._link.sights(self._memory.peers))
            if worse != self._worse:
                _log.warning("%s", worse or "clients may come again")
                self._worse = worse
                self._wake.set()
                self._news.set()
            await asyncio.sleep(_PEERS_SECONDS)

    def _complain(self, about: str, text: str) -> None:
        """Once, not twice a second."""
        if text and text != self._complaints.get(about):
            _log.warning("%s", text)
        self._complaints[about] = text


async def _either(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _forever(loop: Coroutine[object, object, None]) -> None:
    await loop
    raise AssertionError("a loop of the agent ended")
