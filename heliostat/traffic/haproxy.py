"""HAProxy's owner: keeps it running, and makes its servers and shares what they shall be."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from heliostat.rollout.model import Colour
from heliostat.spec.capabilities import Capability
from heliostat.spec.controller import TRAFFIC_SERVICE
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot, backend_name
from heliostat.spec.strategies import Affinity
from heliostat.systems import haproxy, proc, processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.faults import Faults
from heliostat.systems.haproxy_config import Plane, Route
from heliostat.traffic.routes import ApplicationRoute, ColourRoute, EndpointStep, endpoint_steps

_log = logging.getLogger(__name__)
_START_SECONDS = 10.0


class RouteMemory(Protocol):
    """Keeps what HAProxy was last told, over the end of whoever told it."""

    faults: Faults
    """What could not be written of late."""

    def routes(self) -> dict[str, Route]:
        """What HAProxy was last told, by application."""

    def save_routes(self, routes: dict[str, Route]) -> None:
        """Keep what HAProxy is about to be told: all of it."""

    def save_route(self, route: Route) -> None:
        """Keep what HAProxy is about to be told of one application."""


class HAProxyRouter:
    """A `TrafficRouter`: one HAProxy of this machine.

    What the runtime socket changes is written to the files before, so that a restart brings it back. Where nothing can be
    written, as on a full disk, the socket is told all the same: clients need it now.
    """

    capabilities = frozenset({Capability.AFFINITY, Capability.FRACTIONAL_WEIGHTS})

    def __init__(self, plane: Plane, memory: RouteMemory) -> None:
        self.plane = plane
        self._memory = memory
        self._routes = memory.routes()
        self._kept = True
        """Whether the memory has all of `_routes`, and the files, which a reload reads."""
        self._filed = True

    @property
    def alive(self) -> bool:
        """Whether HAProxy runs."""
        return processes.find(self.plane.directory, TRAFFIC_SERVICE) is not None

    async def adopt(self) -> None:
        """Take over the HAProxy that an earlier controller left, or start one; settings that changed need a reload.

        Raises:
            PermanentError: it cannot be started, or refuses its configuration.
            RetryableError: it does not answer.
        """
        routes = tuple(self._routes.values())
        if self.alive and not haproxy.is_written(self.plane, routes):
            self._filed = self._memory.faults.attempt(lambda: haproxy.write(self.plane, routes))
            if self._filed:
                await haproxy.reload(self.plane)
        await self.ensure()

    async def ensure(self) -> None:
        """Start HAProxy where it does not run, with the traffic that it had.

        Raises:
            PermanentError: it cannot be started; the text ends with what it wrote.
        """
        if self.alive:
            return
        routes = tuple(self._routes.values())
        self._filed = self._memory.faults.attempt(lambda: haproxy.write(self.plane, routes))
        if not self._filed and not self.plane.config_file.exists():
            raise PermanentError(f"HAProxy cannot be started: {self._memory.faults.error}")
        await asyncio.to_thread(processes.start, haproxy.service(self.plane, TRAFFIC_SERVICE))
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                await haproxy.snapshot(self.plane)
                return
            except RetryableError:
                if not self.alive or time.monotonic() > deadline:
                    tail = processes.log_tail(self.plane.directory, TRAFFIC_SERVICE, 10)
                    raise PermanentError(f"HAProxy did not start on port {self.plane.public_port}:\n{tail}") from None
                await asyncio.sleep(0.02)

    async def supervise(self, started: Callable[[], None]) -> None:
        """Start HAProxy again whenever it ends; its end wakes this up, nothing is polled."""
        while True:
            process = processes.find(self.plane.directory, TRAFFIC_SERVICE)
            if process is not None:
                await proc.exited(process, float("inf"))
                _log.warning("HAProxy (process %s) ended; it is started again", process.pid)
            try:
                await self.ensure()
                started()
            except PermanentError as error:
                _log.error("%s", error)
                await asyncio.sleep(1.0)

    def as_before(self, name: str) -> ApplicationRoute:
        """What it was last told about an application: how it stays while the cluster does not answer."""
        route = self._routes.get(name, Route(name))
        blue, green = (
            ColourRoute(endpoints, frozenset(each.name for each in endpoints)) for endpoints in (route.blue, route.green)
        )
        return ApplicationRoute(route.green_share, blue, green, route.affinity, route.salt)

    def affinity(self, name: str) -> tuple[Affinity | None, str]:
        """What an application's clients are known by now, and their salt."""
        route = self._routes.get(name, Route(name))
        return route.affinity, route.salt

    async def snapshot(self) -> TrafficSnapshot:
        """What HAProxy does now."""
        return await haproxy.snapshot(self.plane)

    async def set_share(self, application: str, share: int) -> None:
        """Move the traffic of an application: `share` of 10,000 new requests go to green.

        Requests are answered by the wrong version until this is done, so it writes what has changed and no more.
        """
        route = replace(self._routes.get(application, Route(application)), green_share=share)
        self._routes = {**self._routes, application: route}
        attempt, routes = self._memory.faults.attempt, tuple(self._routes.values())
        self._kept &= attempt(lambda: self._memory.save_route(route))
        self._filed &= attempt(lambda: haproxy.write_shares(self.plane, routes))
        await haproxy.set_share(self.plane, application, share)

    async def apply(self, wanted: dict[str, ApplicationRoute], snapshot: TrafficSnapshot) -> bool:
        """Take what HAProxy does a step nearer to `wanted`; whether there was anything to do."""
        routes = {name: _route(name, each, snapshot) for name, each in wanted.items()}
        written = routes != self._routes
        self._routes = routes
        if written or not (self._kept and self._filed):
            self._write()
        # A reload reads the files: from what was written before, it would bring back the shares of then.
        if self._filed and haproxy.needs_reload(snapshot, tuple(routes.values())):
            await haproxy.reload(self.plane)
            return True
        changed = False
        for name, each in wanted.items():
            if name in snapshot.affinities and snapshot.salts.get(name) != each.salt:
                await haproxy.set_salt(self.plane, name, each.salt)
            for colour in Colour:
                backend = backend_name(name, colour.value)
                if backend not in snapshot.backends:
                    continue  # it comes with a reload
                changed |= await self._apply(backend, each.of(colour), snapshot.backends[backend])
        return changed or written

    def _write(self) -> None:
        """Write what HAProxy is told; where that cannot be, it is told all the same, and the next pass tries again."""
        routes = dict(self._routes)
        self._kept = self._filed = False
        self._kept = self._memory.faults.attempt(lambda: self._memory.save_routes(routes))
        self._filed = self._memory.faults.attempt(lambda: haproxy.write(self.plane, tuple(routes.values())))

    async def _apply(self, backend: str, route: ColourRoute, found: dict[str, EndpointState]) -> bool:
        steps = endpoint_steps(route, found)
        for step in steps:
            await self._take(backend, step)
        return bool(steps)

    async def _take(self, backend: str, step: EndpointStep) -> None:
        commands: dict[str, Callable[[], Awaitable[object]]] = {
            "add": lambda: haproxy.add_server(self.plane, backend, step.endpoint),
            "admit": lambda: haproxy.admit(self.plane, backend, step.endpoint.name),
            "drain": lambda: haproxy.drain(self.plane, backend, step.endpoint.name),
            "remove": lambda: haproxy.remove_server(self.plane, backend, step.endpoint.name),
        }
        await commands[step.what]()


def _route(name: str, wanted: ApplicationRoute, snapshot: TrafficSnapshot) -> Route:
    def let_in(colour: Colour) -> tuple[Endpoint, ...]:
        found = snapshot.backends.get(backend_name(name, colour.value), {})
        route = wanted.of(colour)
        ready = {each for each, state in found.items() if state.answers or not state.draining}
        return tuple(sorted(endpoint for endpoint in route.endpoints if endpoint.name in route.admitted & ready))

    return Route(name, wanted.share, let_in(Colour.BLUE), let_in(Colour.GREEN), wanted.affinity, wanted.salt)
