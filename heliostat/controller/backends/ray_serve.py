"""Replicas on Ray Serve: each colour is a Serve application of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from heliostat.controller.backends.node_watch import NodeWatch
from heliostat.controller.backends.serve_capacity import free, held, waits_for
from heliostat.controller.backends.serve_config import serve_application, with_workers
from heliostat.controller.backends.serving import Deployment, Deployments, Room
from heliostat.rollout.model import Colour, Condition, DeployColour, identity_of
from heliostat.rollout.observed import AwaitedNodes
from heliostat.spec.capabilities import Capability
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.endpoints import backend_name
from heliostat.spec.groups import Placement
from heliostat.spec.task_queue import WORKERS
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_capacity import read_nodes
from heliostat.systems.ray_serve import ServeApplication, ServeClient, ServeInstance, ServeStatus

_log = logging.getLogger(__name__)
_ROOM_SECONDS = 5.0
_NOWHERE = "its replicas run and listen nowhere: set RAY_SERVE_ENABLE_DIRECT_INGRESS=1 on every node of the cluster"

_COLOURS = {colour.value: colour for colour in Colour}
_CONDITIONS = {
    ServeStatus.NOT_STARTED: Condition.STARTING,
    ServeStatus.DEPLOYING: Condition.STARTING,
    ServeStatus.RUNNING: Condition.RUNNING,
    # Some replica is ill and Serve is replacing it.
    ServeStatus.UNHEALTHY: Condition.STARTING,
    ServeStatus.DEPLOY_FAILED: Condition.FAILED,
    ServeStatus.DELETING: Condition.STOPPING,
}


class RayServe:
    """A `ServingBackend`: one cluster's Serve."""

    capabilities = frozenset({Capability.ACCELERATORS, Capability.SHADOW})
    clusters = ("",)

    def __init__(self, serve: ServeClient, settings: ControllerSettings) -> None:
        self._serve = serve
        self._settings = settings
        self._found = ServeInstance({})
        self._nodes = NodeWatch(lambda: read_nodes(settings.inputs.ray))

    async def observe(self) -> Deployments:  # noqa: D102 - see ServingBackend
        self._found = await self._serve.read()
        return deployments(self._found, self._awaited())

    def _awaited(self) -> dict[str, AwaitedNodes]:
        """The nodes that applications wait for, by Serve's name; none where no autoscaler brings any."""
        groups, timeout = self._settings.groups, self._settings.node_timeout_seconds
        starting = [each for each in self._found.applications.values() if each.status is not ServeStatus.RUNNING]
        nodes = self._nodes.nodes() if groups and starting else None
        if nodes is None:
            return {}
        waits = {each.name: waits_for(each, nodes, self._found, groups) for each in starting}
        return {name: AwaitedNodes(text, timeout) for name, text in waits.items() if text}

    async def deploy(self, application: str, wanted: DeployColour) -> None:  # noqa: D102
        found = self._found.applications.get(backend_name(application, wanted.colour))
        await self._serve.deploy(serve_application(application, wanted, self._settings, found))

    async def retire(self, application: str, colour: Colour) -> None:  # noqa: D102
        await self._serve.delete(backend_name(application, colour))

    async def scale_workers(self, application: str, colour: Colour, replicas: int) -> None:  # noqa: D102
        await self._serve.change(backend_name(application, colour), lambda config: with_workers(config, replicas))

    async def room(self, application: str) -> Room | None:  # noqa: D102
        try:
            async with asyncio.timeout(_ROOM_SECONDS):
                nodes, instance = await asyncio.gather(read_nodes(self._settings.inputs.ray), self._serve.read())
        except (RetryableError, PermanentError, TimeoutError) as error:
            reason = str(error) or f"no answer within {_ROOM_SECONDS:g} s"
            _log.info("whether the cluster holds %s is not known: %s", application, reason)
            return None
        return free(nodes, instance.holdings, self._settings.groups), held(application, nodes, instance.holdings)

    async def prepare(self) -> None:  # noqa: D102
        await self._serve.prepare()

    async def release(self, needed: frozenset[str]) -> None:  # noqa: D102
        return

    async def close(self) -> None:  # noqa: D102
        await self._nodes.close()
        await self._serve.close()


def deployments(instance: ServeInstance, awaited: Mapping[str, AwaitedNodes] | None = None) -> Deployments:
    """What Serve runs of a controller's, by application and colour, with the nodes that it waits for. Pure."""
    found: dict[tuple[str, Colour], Deployment] = {}
    for name, application in instance.applications.items():
        label, _, colour = name.rpartition("-")
        if label and colour in _COLOURS:
            found[label, _COLOURS[colour]] = _deployment(application, (awaited or {}).get(name))
    return Deployments(found)


def _deployment(found: ServeApplication, awaits: AwaitedNodes | None) -> Deployment:
    replicas, ongoing = asked(found.config or {})
    nowhere = found.status is ServeStatus.RUNNING and replicas and not found.replicas and any(found.deployments.values())
    return Deployment(
        condition=_CONDITIONS[found.status],
        identity=identity_in(found.arguments),
        replicas=replicas,
        max_ongoing_requests=ongoing,
        error=found.error or (_NOWHERE if nowhere else ""),
        endpoints=found.replicas,
        awaits=awaits,
        workers=found.deployments.get(WORKERS, 0),
        workers_running=found.workers,
    )


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
    where = arguments.get("placement")
    placement = Placement.model_validate(where) if isinstance(where, dict) else None
    return identity_of(str(version.get("digest")), cpus, gpus if isinstance(gpus, (int, float)) else 0.0, placement)
