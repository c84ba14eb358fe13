"""From what an application shall be to what Serve is asked for. Pure."""
from __future__ import annotations

from typing import Any

from heliostat.controller.observing import serve_name
from heliostat.rollout.model import DeployColour
from heliostat.spec.rollouts import ServingArguments
from heliostat.systems.code_packages import runtime_env
from heliostat.systems.haproxy_config import serve_prefix
from heliostat.systems.ray_serve import ServeApplication


def serve_application(
    name: str, action: DeployColour, entry_point: str, found: ServeApplication | None
) -> dict[str, Any] | None:
    """The application as Serve's config names it; None while Serve does not know its deployments yet.

    Serve restarts every replica when an application's arguments change. So what changes in place is laid over the
    deployment, and the arguments stay as they were.
    """
    if found is not None and found.config is not None:
        return _in_place(found, action)
    prefix = serve_prefix(name, action.colour.value)
    arguments = ServingArguments(
        application=name,
        route_prefix=prefix,
        public_path=f"/{name}",
        replicas=action.replicas,
        cpus_per_replica=action.desired.cpus_per_replica,
        max_ongoing_requests=action.desired.max_ongoing_requests,
        version=action.desired.version,
    )
    return {
        "name": serve_name(name, action.colour),
        "route_prefix": prefix,
        "import_path": entry_point,
        "runtime_env": runtime_env(action.desired.version.code_uri),
        "args": arguments.model_dump(mode="json"),
        # A line a request costs a seventh of the throughput; the prediction log says more.
        "logging_config": {"enable_access_log": False},
    }


def _in_place(found: ServeApplication, action: DeployColour) -> dict[str, Any] | None:
    if not found.deployments or found.config is None:
        return None
    deployment = {
        "name": next(iter(found.deployments)),
        "num_replicas": action.replicas,
        "max_ongoing_requests": action.desired.max_ongoing_requests,
    }
    return {**found.config, "deployments": [deployment]}
