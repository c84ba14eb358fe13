"""From what runs and what the traffic plane does to what a decision sees. Pure."""

from __future__ import annotations

from dataclasses import replace

from heliostat.controller.backends.serving import Deployments
from heliostat.rollout.model import Colour, ColourStatus, Observed
from heliostat.spec.endpoints import EndpointState, TrafficSnapshot, backend_name

Golden = dict[tuple[Colour, str], str | None]


def observe(name: str, deployments: Deployments, traffic: TrafficSnapshot, golden: Golden) -> Observed:
    """One application, now."""
    blue, green = (_see(name, colour, deployments, traffic, golden) for colour in (Colour.BLUE, Colour.GREEN))
    return Observed(blue, green, traffic.shares.get(name, 0))


def still(before: Observed, name: str, traffic: TrafficSnapshot) -> Observed:
    """One application while its cluster does not answer: `before`, with what the traffic plane says now."""

    def see(colour: Colour) -> ColourStatus:
        servers = traffic.backends.get(backend_name(name, colour.value), {})
        usable = frozenset(server for server, state in servers.items() if state.usable)
        answers = frozenset(server for server, state in servers.items() if state.answers)
        return replace(before.seen(colour), usable=usable, healthy=before.seen(colour).running & answers)

    return Observed(see(Colour.BLUE), see(Colour.GREEN), traffic.shares.get(name, 0))


def _see(name: str, colour: Colour, deployments: Deployments, traffic: TrafficSnapshot, golden: Golden) -> ColourStatus:
    found = deployments.of(name, colour)
    servers = traffic.backends.get(backend_name(name, colour.value), {})
    in_flight = sum(server.in_flight for server in servers.values())
    usable = frozenset(server for server, state in servers.items() if state.usable)
    if found is None:
        return ColourStatus(usable=usable, in_flight=in_flight)
    running = frozenset(replica.name for replica in found.endpoints)
    return ColourStatus(
        condition=found.condition,
        identity=found.identity,
        replicas=found.replicas,
        max_ongoing_requests=found.max_ongoing_requests,
        awaits=found.awaits,
        error=found.error or _probes(servers, running),
        running=running,
        healthy=frozenset(server for server, state in servers.items() if state.answers) & running,
        usable=usable,
        in_flight=in_flight,
        golden={replica: failure for (where, replica), failure in golden.items() if where is colour and replica in running},
    )


def _probes(servers: dict[str, EndpointState], running: frozenset[str]) -> str:
    """How the probes of those replicas ended that run but do not answer well."""
    ill = {name: state.probe for name, state in sorted(servers.items()) if name in running and not state.answers}
    return "; ".join(f"the probe of replica {name} ended with {probe}" for name, probe in ill.items() if probe)
