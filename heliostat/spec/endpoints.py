"""Where replicas answer, as whatever runs them says, and what the traffic plane does with each."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliostat.spec.latencies import Counts
from heliostat.spec.strategies import Affinity


@dataclass(frozen=True, order=True)
class Endpoint:
    """A replica that runs, and where it answers."""

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class EndpointState:
    """A replica as the traffic plane sees it now."""

    endpoint: Endpoint
    usable: bool
    """It gets requests."""
    answers: bool
    """Its last probe went well."""
    draining: bool
    """It finishes what it has and gets nothing new; or it was never let in."""
    in_flight: int
    """Requests that it works on."""
    probe: str = ""
    """How its last probe ended, e.g. `L7STS 503`."""


@dataclass(frozen=True)
class PartCounts:
    """What one HAProxy of several counted since its start."""

    heard_at: float
    """When it said so, by the clock of whoever heard it."""
    counts: dict[str, dict[str, Counts]]
    """By backend and route."""


@dataclass(frozen=True)
class TrafficSnapshot:
    """What the traffic plane does now."""

    backends: dict[str, dict[str, EndpointState]]
    """By backend (`backend_name`) and by the replica's name."""
    shares: dict[str, int]
    """Of green, of 10,000, by application."""
    counts: dict[str, dict[str, Counts]] = field(default_factory=dict)
    """By backend and route: what it was asked since the plane's last start, and how that ended."""
    affinities: dict[str, Affinity] = field(default_factory=dict)
    """What clients are known by, by application; those without are not among them."""
    salts: dict[str, str] = field(default_factory=dict)
    """Of affinities, by application."""
    worker: str = ""
    """Which of HAProxy's processes this is of: another one counts from 0."""
    parts: dict[str, PartCounts] = field(default_factory=dict)
    """Of a plane of several HAProxies the counts of each, by the name that goes with its worker; `counts` is empty then."""


def backend_name(application: str, colour: str) -> str:
    """The name of one colour of an application, wherever it runs and is routed to."""
    return f"{application}-{colour}"


def route_prefix(application: str, colour: str) -> str:
    """The path below which one colour's replicas answer."""
    return f"/_/{application}/{colour}"
