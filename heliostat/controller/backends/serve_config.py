"""From what an application shall be to what Serve is asked for. Pure."""

from __future__ import annotations

from typing import Any

from heliostat.rollout.model import DeployColour
from heliostat.spec.base import without_defaults
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import backend_name, route_prefix
from heliostat.spec.rollouts import ReplicaSettings, ServingArguments, Version
from heliostat.spec.task_queue import WORKERS
from heliostat.systems.code_packages import runtime_env
from heliostat.systems.ray_serve import ServeApplication


def serve_application(
    name: str, action: DeployColour, settings: ControllerSettings, found: ServeApplication | None
) -> dict[str, Any]:
    """The application as Serve's config names it.

    Serve restarts every replica when an application's arguments change, or when a deployment is first named beside them.
    So what changes in place is laid over the deployment from the beginning, and the arguments stay as they were.
    """
    settings_in_place = ReplicaSettings(max_ongoing_requests=action.desired.max_ongoing_requests)
    deployment: dict[str, Any] = {
        "name": settings.serving_deployment,
        "num_replicas": action.replicas,
        "max_ongoing_requests": action.desired.max_ongoing_requests,
        "user_config": settings_in_place.model_dump(mode="json"),
    }
    if found is not None and found.config is not None:
        before: dict[str, Any]
        before, *others = found.config.get("deployments") or [{}]
        if "user_config" not in before:
            # Replicas of a version from before there was one: Serve would fail to hand it to them.
            del deployment["user_config"]
        changed = {**before, **deployment, "name": before.get("name", deployment["name"])}
        return {**found.config, "deployments": [changed, *others]}
    prefix, version = route_prefix(name, action.colour.value), action.desired.version
    arguments = ServingArguments(
        application=name,
        route_prefix=prefix,
        public_path=f"/{name}",
        replicas=action.replicas,
        cpus_per_replica=action.desired.cpus_per_replica,
        gpus_per_replica=action.desired.gpus_per_replica,
        placement=action.desired.placement,
        max_ongoing_requests=action.desired.max_ongoing_requests,
        version=version,
    )
    return {
        "name": backend_name(name, action.colour),
        "route_prefix": prefix,
        "import_path": settings.serving_entry_point,
        "runtime_env": runtime_env(
            version.code_uri,
            library_uri=version.runtime.library_uri if version.runtime else None,
            environment_uri=version.environment.uri if version.environment else None,
        ),
        # Without what is as ever: an older library, which a version may run on, refuses what it does not know.
        "args": without_defaults(arguments),
        "deployments": [deployment, *_scaled_in_place(version)],
        # A line a request costs a seventh of the throughput; the prediction log says more.
        "logging_config": {"enable_access_log": False},
    }


def with_workers(config: dict[str, Any], replicas: int) -> dict[str, Any]:
    """The application with so many replicas of workers of tasks; as it was where it does not name them."""
    others = [{**each, "num_replicas": replicas} if each["name"] == WORKERS else each for each in config["deployments"]]
    return {**config, "deployments": others}


def _scaled_in_place(version: Version) -> list[dict[str, Any]]:
    """The workers of tasks, named from the beginning where there are not always as many."""
    queue = version.queue
    scales = queue is not None and queue.workers.scaling is not None
    return [{"name": WORKERS, "num_replicas": queue.workers.replicas}] if queue is not None and scales else []
