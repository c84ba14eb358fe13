"""The seam between decisions and whatever routes requests to replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from heliostat.spec.capabilities import Capability
from heliostat.spec.endpoints import TrafficSnapshot
from heliostat.spec.strategies import Affinity
from heliostat.traffic.routes import ApplicationRoute


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
