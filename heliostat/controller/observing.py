"""From what Serve and HAProxy say to what a decision sees. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heliostat.rollout.model import Colour, Condition, Observed, Seen, identity_of
from heliostat.systems.haproxy import ServerState, Snapshot
from heliostat.systems.haproxy_config import backend_name
from heliostat.systems.ray_serve import ServeApplication, ServeInstance, ServeStatus

_CONDITIONS = {
    ServeStatus.NOT_STARTED: Condition.STARTING,
    ServeStatus.DEPLOYING: Condition.STARTING,
    ServeStatus.RUNNING: Condition.RUNNING,
    # Some replica is ill and Serve is replacing it.
    ServeStatus.UNHEALTHY: Condition.STARTING,
    ServeStatus.DEPLOY_FAILED: Condition.FAILED,
    ServeStatus.DELETING: Condition.STOPPING,
}

Golden = dict[tuple[Colour, str], str | None]


def serve_name(application: str, colour: Colour) -> str:
    """A colour's name in Serve."""
    return f"{application}-{colour.value}"


def observe(name: str, serve: ServeInstance, traffic: Snapshot, golden: Golden) -> Observed:
    """One application, now."""
    blue, green = (_see(name, colour, serve, traffic, golden) for colour in (Colour.BLUE, Colour.GREEN))
    return Observed(blue, green, traffic.shares.get(name, 0))


def still(before: Observed, name: str, traffic: Snapshot) -> Observed:
    """One application while Serve does not answer: `before`, with what HAProxy says now."""

    def see(colour: Colour) -> Seen:
        servers = traffic.backends.get(backend_name(name, colour.value), {})
        usable = frozenset(server for server, state in servers.items() if state.usable)
        answers = frozenset(server for server, state in servers.items() if state.answers)
        return replace(before.seen(colour), usable=usable, healthy=before.seen(colour).running & answers)

    return Observed(see(Colour.BLUE), see(Colour.GREEN), traffic.shares.get(name, 0))


def asked(config: dict[str, Any]) -> tuple[int, int]:
    """Replicas and requests at a time that Serve was asked for."""
    arguments = config.get("args") or {}
    override: dict[str, Any] = next(iter(config.get("deployments") or []), {})
    replicas = override.get("num_replicas", arguments.get("replicas", 0))
    return int(replicas), int(override.get("max_ongoing_requests", arguments.get("maxOngoingRequests", 0)))


def identity_in(arguments: dict[str, Any]) -> str | None:
    """The identity of what was deployed with `arguments`; None where that was not by us."""
    version, cpus, gpus = (arguments.get(key) for key in ("version", "cpusPerReplica", "gpusPerReplica"))
    if not isinstance(version, dict) or not isinstance(cpus, (int, float)):
        return None
    return identity_of(str(version.get("digest")), cpus, gpus if isinstance(gpus, (int, float)) else 0.0)


def _see(name: str, colour: Colour, serve: ServeInstance, traffic: Snapshot, golden: Golden) -> Seen:
    found = serve.applications.get(serve_name(name, colour))
    servers = traffic.backends.get(backend_name(name, colour.value), {})
    in_flight = sum(server.in_flight for server in servers.values())
    usable = frozenset(server for server, state in servers.items() if state.usable)
    if found is None:
        return Seen(usable=usable, in_flight=in_flight)
    running = frozenset(replica.name for replica in found.replicas)
    replicas, ongoing = asked(found.config or {})
    return Seen(
        condition=_CONDITIONS[found.status],
        identity=_identity(found),
        replicas=replicas,
        max_ongoing_requests=ongoing,
        error=found.error or _probes(servers, running),
        running=running,
        healthy=frozenset(server for server, state in servers.items() if state.answers) & running,
        usable=usable,
        in_flight=in_flight,
        golden={replica: failure for (where, replica), failure in golden.items() if where is colour and replica in running},
    )


def _probes(servers: dict[str, ServerState], running: frozenset[str]) -> str:
    """How the probes of those replicas ended that run but do not answer well."""
    ill = {name: state.probe for name, state in sorted(servers.items()) if name in running and not state.answers}
    return "; ".join(f"the probe of replica {name} ended with {probe}" for name, probe in ill.items() if probe)


def _identity(found: ServeApplication) -> str | None:
    return identity_in(found.arguments)
