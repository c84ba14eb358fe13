"""Backends in memory, at the seams where a controller speaks to real ones: replicas start at once, probes succeed at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from heliostat.controller.backends.serving import Deployment, Deployments, Room
from heliostat.rollout.model import Colour, Condition, DeployColour, identity
from heliostat.spec.capabilities import ALL
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot, backend_name
from heliostat.spec.latencies import BUCKETS, Counts, bucket_of
from heliostat.spec.rollouts import Desired
from heliostat.spec.routes import PREDICT
from heliostat.spec.strategies import Affinity
from heliostat.systems.errors import RetryableError
from heliostat.traffic.routes import ApplicationRoute, ColourRoute, endpoint_steps

__all__ = ["MemoryRouter", "MemoryServing"]

HOST = "127.0.0.1"
_FIRST_PORT = 30_000


@dataclass
class _Colour:
    """A colour that runs."""

    desired: Desired
    replicas: list[Endpoint]
    error: str = ""
    workers: int = 0


class MemoryServing:
    """A `ServingBackend`. `failure` says why a version does not start; by default all do."""

    def __init__(self, failure: Callable[[Desired], str | None] = lambda _: None) -> None:
        self.capabilities = ALL
        self.clusters = ("",)
        self.away = False
        """Whether it does not answer."""
        self.deployed: list[tuple[str, Colour]] = []
        """What was asked for, in order."""
        self._failure = failure
        self._colours: dict[tuple[str, Colour], _Colour] = {}
        self._numbers = count(_FIRST_PORT)

    async def observe(self) -> Deployments:  # noqa: D102 - see ServingBackend
        self._require_answer()
        return Deployments({key: _seen(each) for key, each in self._colours.items()})

    async def deploy(self, application: str, wanted: DeployColour) -> None:  # noqa: D102
        self._require_answer()
        key, error = (application, wanted.colour), self._failure(wanted.desired) or ""
        self.deployed.append(key)
        queue = wanted.desired.version.queue
        fewest = queue.workers.replicas if queue is not None else 0
        found = self._colours.setdefault(key, _Colour(wanted.desired, [], workers=fewest))
        found.desired, found.error = wanted.desired, error
        del found.replicas[0 if error else wanted.replicas :]
        while not error and len(found.replicas) < wanted.replicas:
            found.replicas.append(self._replica(application))

    async def retire(self, application: str, colour: Colour) -> None:  # noqa: D102
        self._require_answer()
        self._colours.pop((application, colour), None)

    async def scale_workers(self, application: str, colour: Colour, replicas: int) -> None:  # noqa: D102
        self._require_answer()
        if (found := self._colours.get((application, colour))) is not None:
            found.workers = replicas

    async def room(self, application: str) -> Room | None:  # noqa: D102
        return None

    async def prepare(self) -> None:  # noqa: D102
        self._require_answer()

    async def release(self, needed: frozenset[str]) -> None:  # noqa: D102
        return

    async def close(self) -> None:  # noqa: D102
        return

    def lose(self) -> None:
        """Lose everything, as a cluster whose head is made anew."""
        self._colours.clear()

    def desired_at(self, port: int) -> Desired:
        """What the replica at a port is of."""
        return next(each.desired for each in self._colours.values() if any(one.port == port for one in each.replicas))

    def _replica(self, application: str) -> Endpoint:
        number = next(self._numbers)
        return Endpoint(f"{application}-{number}", HOST, number)

    def _require_answer(self) -> None:
        if self.away:
            raise RetryableError("the cluster does not answer")


def _seen(colour: _Colour) -> Deployment:
    asked = len(colour.replicas)
    return Deployment(
        condition=Condition.FAILED if colour.error else Condition.RUNNING,
        identity=identity(colour.desired),
        replicas=asked,
        max_ongoing_requests=colour.desired.max_ongoing_requests,
        error=colour.error,
        endpoints=tuple(colour.replicas),
        workers=colour.workers,
        workers_running=colour.workers,
    )


class MemoryRouter:
    """A `TrafficRouter`. Clients' requests come at each snapshot, and end as a test wants."""

    def __init__(self) -> None:
        self.capabilities = ALL
        self.alive = True
        self.shares: dict[str, int] = {}
        self.servers: dict[str, dict[str, EndpointState]] = {}
        self.shifts: list[int] = []
        self.known: dict[str, tuple[Affinity | None, str]] = {}
        self.requests_per_look = 0
        """Clients' requests at each snapshot, split by the share."""
        self.failing: dict[str, float] = {}
        """Share of the requests that fail, by backend."""
        self.milliseconds: dict[str, float] = {}
        self.probes_per_look = 0
        """Probes of clients' own at each snapshot, split by the share; each is answered well."""
        self.counts: dict[str, dict[str, Counts]] = {}

    async def adopt(self) -> None:  # noqa: D102 - see TrafficRouter
        return

    async def supervise(self, started: Callable[[], None]) -> None:  # noqa: D102
        return

    async def snapshot(self) -> TrafficSnapshot:  # noqa: D102
        for application, share in self.shares.items():
            for colour, part in ((Colour.GREEN, share), (Colour.BLUE, 10_000 - share)):
                backend = backend_name(application, colour)
                self._ask(backend, self.requests_per_look * part // 10_000)
                self._count(backend, "/healthz", Counts(requests=self.probes_per_look * part // 10_000))
        found = {name: dict(servers) for name, servers in self.servers.items()}
        affinities = {name: affinity for name, (affinity, _) in self.known.items() if affinity is not None}
        salts = {name: salt for name, (affinity, salt) in self.known.items() if affinity is not None}
        return TrafficSnapshot(found, dict(self.shares), dict(self.counts), affinities, salts)

    async def set_share(self, application: str, share: int) -> None:  # noqa: D102
        self.shares[application] = share
        self.shifts.append(share)

    async def apply(self, wanted: dict[str, ApplicationRoute], snapshot: TrafficSnapshot) -> bool:  # noqa: D102
        changed = self._forget(wanted.keys() & self.shares.keys())
        for name, each in wanted.items():
            self.shares.setdefault(name, each.share)
            self.known[name] = (each.affinity, each.salt)
            for colour in Colour:
                servers = self.servers.setdefault(backend_name(name, colour), {})
                for step in endpoint_steps(each.of(colour), dict(servers)):
                    changed = True
                    if step.what == "remove":
                        del servers[step.endpoint.name]
                    else:
                        let_in = step.what == "admit"
                        servers[step.endpoint.name] = EndpointState(step.endpoint, let_in, True, not let_in, 0)
        return changed

    def as_before(self, name: str) -> ApplicationRoute:  # noqa: D102
        def route(colour: Colour) -> ColourRoute:
            found = self.servers.get(backend_name(name, colour), {})
            let_in = tuple(state.endpoint for state in found.values() if not state.draining)
            return ColourRoute(let_in, frozenset(each.name for each in let_in))

        return ApplicationRoute(self.shares.get(name, 0), route(Colour.BLUE), route(Colour.GREEN), *self.affinity(name))

    def affinity(self, name: str) -> tuple[Affinity | None, str]:  # noqa: D102
        return self.known.get(name, (None, ""))

    def lose_replicas(self) -> None:
        """Have every replica's probe fail."""
        for servers in self.servers.values():
            for name, state in servers.items():
                servers[name] = replace(state, usable=False, answers=False)

    def restart(self) -> None:
        """Begin anew, as the counters do."""
        self.counts = {}

    def _forget(self, stay: set[str]) -> bool:
        gone = self.shares.keys() - stay
        for name in gone:
            del self.shares[name]
            self.known.pop(name, None)
            for colour in Colour:
                self.servers.pop(backend_name(name, colour), None)
        return bool(gone)

    def _ask(self, backend: str, requests: int) -> None:
        latencies = [0] * BUCKETS
        failed = round(requests * self.failing.get(backend, 0.0))
        latencies[bucket_of(self.milliseconds.get(backend, 5.0))] = requests - failed
        self._count(backend, PREDICT, Counts(requests=requests, failed=failed, latencies=tuple(latencies)))

    def _count(self, backend: str, route: str, new: Counts) -> None:
        routes = self.counts.get(backend, {})
        self.counts[backend] = {**routes, route: routes.get(route, Counts()).plus(new)}
