"""The seam between decisions and whatever routes requests to replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heliostat.rollout.model import Colour
from heliostat.spec.capabilities import Capability
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot
from heliostat.spec.strategies import Affinity


@dataclass(frozen=True)
class ColourRoute:
    """What one colour's backend shall hold."""

    endpoints: tuple[Endpoint, ...] = ()
    admitted: frozenset[str] = frozenset()
    """Those that may take requests once they answer their probe."""


@dataclass(frozen=True)
class ApplicationRoute:
    """One application in the traffic plane, as it shall be."""

    share: int
    """Of green, of 10,000."""
    blue: ColourRoute
    green: ColourRoute
    affinity: Affinity | None = None
    """What its clients are known by, so that each stays on one version."""
    salt: str = ""
    """Which of them are on green at a share; of an affinity."""

    def of(self, colour: Colour) -> ColourRoute:
        """One colour."""
        return self.blue if colour is Colour.BLUE else self.green


class TrafficRouter(Protocol):
    """Routes requests. What a call raises says whether it is of use to try again: RetryableError or PermanentError."""

    capabilities: frozenset[Capability]
    """What it can do of that which not every router can."""

    @property
    def alive(self) -> bool:
        """Whether clients are answered at all."""

    async def adopt(self) -> None:
        """Take over what an earlier controller left, or start; clients are answered when this returns."""

    async def supervise(self, started: Callable[[], None]) -> None:
        """Have it run, for ever; `started` is called each time that it began anew."""

    async def snapshot(self) -> TrafficSnapshot:
        """Tell what it does now."""

    async def set_share(self, application: str, share: int) -> None:
        """Move the traffic of an application: `share` of 10,000 new requests go to green. Clients wait for this one."""

    async def apply(self, wanted: dict[str, ApplicationRoute], snapshot: TrafficSnapshot) -> bool:
        """Take what it does a step nearer to `wanted`, which is all that shall be; whether there was anything to do."""

    def as_before(self, name: str) -> ApplicationRoute:
        """What it was last told about an application: how it stays while the cluster does not answer."""

    def affinity(self, name: str) -> tuple[Affinity | None, str]:
        """What an application's clients are known by now, and their salt."""


@dataclass(frozen=True)
class EndpointStep:
    """One change of one replica's place: add, admit, drain or remove it."""

    what: str
    endpoint: Endpoint


def endpoint_steps(route: ColourRoute, found: dict[str, EndpointState]) -> list[EndpointStep]:
    """What brings a backend's replicas to `route`: nobody is let in before its probe was answered, and nobody is
    removed before it has answered what it had."""
    wanted = {endpoint.name: endpoint for endpoint in route.endpoints}
    steps = [EndpointStep("add", endpoint) for name, endpoint in sorted(wanted.items()) if name not in found]
    for name, state in sorted(found.items()):
        stays = wanted.get(name) == state.endpoint
        if stays and name in route.admitted:
            if state.draining and state.answers:
                steps.append(EndpointStep("admit", state.endpoint))
        elif not state.draining:
            steps.append(EndpointStep("drain", state.endpoint))
        elif not stays and state.in_flight == 0:
            steps.append(EndpointStep("remove", state.endpoint))
    return steps
