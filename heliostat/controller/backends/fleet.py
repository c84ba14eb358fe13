"""A traffic plane of several HAProxies, each with an agent beside it that comes for what it shall do (`heliostat.traffic`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from heliostat.controller.backends.fleet_view import merged
from heliostat.controller.store import Store
from heliostat.spec.endpoints import PartCounts, TrafficSnapshot
from heliostat.spec.strategies import Affinity
from heliostat.systems.errors import RetryableError
from heliostat.traffic.haproxy import HAProxyRouter
from heliostat.traffic.messages import HEARD_SECONDS, Acknowledgement, Report, WantedRoutes
from heliostat.traffic.readiness import shape
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

_log = logging.getLogger(__name__)

_SHIFT_SECONDS = 1.0
"""How long a share that moves is waited for; a member that is slower is seen to be at the next passes."""
_COUNTED_SECONDS = 60.0
"""How long the last counts of a HAProxy that is gone are told: every pass that goes well takes them."""
_WANTED, _MEMBERS = "wanted", "members"


@dataclass(frozen=True)
class Member:
    """One HAProxy with its agent, as it was heard of last."""

    name: str
    report: Report
    snapshot: TrafficSnapshot
    """The last that it told."""
    heard_at: float
    """When that was, monotonic."""
    ready_at: float
    """When it asked for clients last, or came, monotonic."""

    def counts(self, now: float) -> bool:
        """Whether it may have clients, or something of theirs."""
        busy = any(state.in_flight for servers in self.snapshot.backends.values() for state in servers.values())
        return now - self.heard_at < HEARD_SECONDS and (busy or now - self.ready_at < HEARD_SECONDS)


class FleetRouter:
    """A `TrafficRouter`: as many HAProxies as there are agents, which come and go as they like.

    A member counts for as long as it may have clients: from its first report that says so until its farewell, or until it
    was silent, or unready, for so long that they have gone.
    """

    capabilities = HAProxyRouter.capabilities

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is monotonic."""
        self._store = store
        self._now = now
        kept = store.plane(_WANTED)
        self.wanted = WantedRoutes.model_validate_json(kept) if kept is not None else WantedRoutes()
        self._kept = True
        """Whether the store has all of it."""
        self._members: dict[str, Member] = {}
        self._unready: dict[str, tuple[float, float]] = {}
        """Since when those are that report and ask for no clients, and when they did so last, monotonic."""
        self._known: set[str] = set(json.loads(store.plane(_MEMBERS) or "[]"))
        """Who counted last. They are waited for after a start: what they do is not known, and may be anything."""
        self._began, self._ends = now(), False
        self._counts: dict[str, PartCounts] = {}
        self._published, self._heard, self._news = _Signal(), _Signal(), _Signal()

    @property
    def alive(self) -> bool:
        """Whether any member asks for clients."""
        return any(each.report.ready for each in self.members())

    def members(self) -> tuple[Member, ...]:
        """Those that count, by name."""
        self._sweep()
        return tuple(self._members[name] for name in sorted(self._members))

    async def adopt(self) -> None:
        """Nothing: agents come by themselves, and go on meanwhile."""

    async def supervise(self, started: Callable[[], None]) -> None:
        """Call `started` whenever a member does something new; whatever runs them starts them again."""
        while True:
            await self._news.wait(float("inf"))
            started()

    async def snapshot(self) -> TrafficSnapshot:
        """What the plane does.

        Raises:
            RetryableError: no member says what it does, or after a start not all have that there were.
        """
        members = self.members()
        missing = sorted(self._known - self._members.keys())
        if missing:
            raise RetryableError(
                f"{', '.join(missing)} of the traffic plane did not report since this start; what they do counts for "
                f"{HEARD_SECONDS:g} s"
            )
        if not members:
            raise RetryableError("no member of the traffic plane reports what it does: see whether its pods run")
        return replace(merged([each.snapshot for each in members], self.wanted.routes), parts=dict(self._counts))

    async def set_share(self, application: str, share: int) -> None:
        """Have all members move the traffic of an application; returns once they have, or in a second."""
        route = replace(self.as_before(application), share=share)
        if not self._publish({**self.wanted.routes, application: route}):
            return
        deadline = self._now() + _SHIFT_SECONDS
        while any(each.snapshot.shares.get(application) != share for each in self.members()):
            left = deadline - self._now()
            if left <= 0:
                return
            await self._heard.wait(left)

    async def apply(self, wanted: dict[str, ApplicationRoute], snapshot: TrafficSnapshot) -> bool:
        """Have all members do what is `wanted`, each at its pace; whether that is anything new."""
        return self._publish(dict(wanted))

    def as_before(self, name: str) -> ApplicationRoute:
        """What they were last told about an application."""
        return self.wanted.routes.get(name, ApplicationRoute(0, ColourRoute(), ColourRoute()))

    def affinity(self, name: str) -> tuple[Affinity | None, str]:
        """What an application's clients are known by, and their salt."""
        route = self.as_before(name)
        return route.affinity, route.salt

    # What agents ask

    async def wanted_after(self, revision: int | None, seconds: float) -> WantedRoutes | None:
        """What shall be, once it is another revision; None where it is the same after `seconds`."""
        deadline = self._now() + seconds
        while self.wanted.revision == revision:
            left = deadline - self._now() if not self._ends else 0.0
            if left <= 0:
                return None
            await self._published.wait(left)
        return self.wanted

    def close(self) -> None:
        """Answer all that wait for news, as there will be none: they come again, to another controller."""
        self._ends = True
        self._published.fire()

    def take(self, name: str, report: Report) -> Acknowledgement:
        """Take note of what a member does."""
        before, snapshot = self._members.get(name), report.snapshot
        if snapshot is not None:
            self._counts[f"{name}/{snapshot.worker}"] = PartCounts(self._now(), snapshot.counts)
        if report.gone or not report.routes:
            self._unready.pop(name, None)
            self._drop(name, "left" if report.gone else "has no clients yet")
        elif snapshot is not None:
            self._meet(name, report, snapshot)
        elif before is not None:
            # Its HAProxy does not answer. It may route as before, so what it did counts until that is too long ago.
            self._members[name] = replace(before, report=report)
        self._heard.fire()
        peers = (each.report.url for each in self.members() if each.name != name)
        return Acknowledgement(revision=self.wanted.revision, peers=tuple(url for url in peers if url is not None))

    def _meet(self, name: str, report: Report, snapshot: TrafficSnapshot) -> None:
        """Have a member count, as it now is."""
        before, now = self._members.get(name), self._now()
        since, _ = self._unready.pop(name, (now, now))
        if not report.ready:
            self._unready[name] = (since, now)
        member = Member(name, report, snapshot, now, now if report.ready else since)
        if not member.counts(now):
            self._drop(name, f"was not ready for {HEARD_SECONDS:g} s")
            return
        self._members[name] = member
        if before is None:
            _log.info("%s of the traffic plane counts from here on", name)
            self._remember({*self._known, name})
        if before is None or shape(before.snapshot) != shape(snapshot) or before.report.ready != report.ready:
            self._news.fire()

    def _publish(self, routes: dict[str, ApplicationRoute]) -> bool:
        new = routes != self.wanted.routes
        if new:
            # Of the clock, so that no start goes back behind what was told where nothing could be written down.
            revision = max(self.wanted.revision + 1, int(time.time() * 1000))
            self.wanted = WantedRoutes(revision=revision, routes=routes)
        if new or not self._kept:
            text = self.wanted.model_dump_json()
            self._kept = self._store.faults.attempt(lambda: self._store.save_plane(_WANTED, text))
        if new:
            self._published.fire()
        return new

    def _sweep(self) -> None:
        """Forget who was silent for too long."""
        now = self._now()
        for member in [each for each in self._members.values() if not each.counts(now)]:
            self._drop(member.name, f"was silent or not ready for {HEARD_SECONDS:g} s")
        if now - self._began >= HEARD_SECONDS and self._known - self._members.keys():
            self._remember(set(self._members))
        for name in [name for name, (_, told) in self._unready.items() if now - told >= HEARD_SECONDS]:
            del self._unready[name]
        for part in [part for part, each in self._counts.items() if now - each.heard_at >= _COUNTED_SECONDS]:
            del self._counts[part]

    def _drop(self, name: str, why: str) -> None:
        if self._members.pop(name, None) is not None:
            _log.info("%s of the traffic plane %s; it counts no more", name, why)
            self._news.fire()
        if name in self._known:
            self._remember(self._known - {name})

    def _remember(self, known: set[str]) -> None:
        self._known = known
        self._store.faults.attempt(lambda: self._store.save_plane(_MEMBERS, json.dumps(sorted(known))))


class _Signal:
    """Wakes all that wait for it now."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await self._event.wait()
