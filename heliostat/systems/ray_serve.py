"""Ray Serve's REST API. Its `PUT` is declarative for the whole cluster: an application left out is deleted.

So every change reads what is there, changes one application and writes all of it back, under a lock of this machine;
applications of others are written back as they were.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
from filelock import AsyncFileLock, Timeout

from heliostat.spec.addresses import RayAddress
from heliostat.spec.endpoints import Endpoint
from heliostat.spec.groups import TPU
from heliostat.spec.task_queue import WORKERS
from heliostat.systems import processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_client, reason, timeout_of
from heliostat.systems.loopback import is_loopback

_APPLICATIONS = "/api/serve/applications/"
_REPLICA_MARK = "SERVE_REPLICA::"
_LOCK_SECONDS = 60.0
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ERROR_LINES = 40


class ServeStatus(StrEnum):
    """What Serve says about an application."""

    NOT_STARTED = "NOT_STARTED"
    DEPLOYING = "DEPLOYING"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    DELETING = "DELETING"


@dataclass(frozen=True)
class ServeApplication:
    """One application as Serve has it."""

    name: str
    status: ServeStatus
    error: str
    """Why it is not well, with the application's own traceback; empty where it is."""
    config: dict[str, Any] | None
    """What was last asked for; None where it is being deleted."""
    deployments: dict[str, int]
    """Replicas asked for, by deployment; empty until Serve has built it."""
    replicas: tuple[Endpoint, ...]
    """Of the ingress deployment, that run; one that is stopping is not in Serve's list any more."""
    leftover: int
    """Replicas that still stop or start."""
    workers: int = 0
    """Replicas of workers of tasks that run."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What it was built with."""
        return dict((self.config or {}).get("args") or {})


@dataclass(frozen=True)
class Holding:
    """What one replica holds of a node, in logical CPUs, GPUs and chips of TPUs."""

    application: str
    node_id: str
    cpus: float
    gpus: float
    tpus: float = 0.0
    answers: bool = True
    """It is of those that clients reach, and no worker of tasks beside them."""


@dataclass(frozen=True)
class ServeInstance:
    """All that Serve runs on a cluster."""

    applications: dict[str, ServeApplication]
    holdings: tuple[Holding, ...] = ()
    host: str = ""
    """Where each node's replicas listen; empty where Serve does not run."""


class ServeClient:
    """Speaks to one cluster's Serve. Every method raises RetryableError where the cluster does not answer."""

    def __init__(self, address: RayAddress, serve_port: int, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http_options = {"host": host_of_replicas(address.url), "port": serve_port}
        self._address = address
        self._client = open_client(address, transport=transport)
        name = hashlib.sha256(address.url.encode()).hexdigest()[:12]
        self._lock = processes.runtime_root() / f"serve-{name}.lock"

    async def read(self) -> ServeInstance:
        """What runs.

        Raises:
            RetryableError: the cluster does not answer, or Serve has just started again and looks for its replicas: until
                it has found them it lists none, although they answer.
        """
        details = await self._get()
        if is_recovering(details):
            raise RetryableError(f"Serve at {self._client.base_url} has just started again and looks for its replicas")
        return parse(details)

    async def prepare(self) -> None:
        """Have Serve run, without an application where it did not yet: its start takes seconds, for which the first waits."""
        try:
            async with AsyncFileLock(self._lock, timeout=_LOCK_SECONDS):
                details = await self._get()
                if not details.get("controller_info"):
                    await self._put(request(details, declared(details), self._http_options))
        except Timeout:
            raise RetryableError(f"another change of Serve holds {self._lock} for over {_LOCK_SECONDS:g} s") from None

    async def deploy(self, application: dict[str, Any]) -> None:
        """Declare one application (as in Serve's config file); the others stay.

        Raises:
            PermanentError: Serve refuses it.
        """
        name = application["name"]
        await self._change(lambda others: [*(other for other in others if other["name"] != name), application])

    async def change(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Declare one application as `change` makes it of what is declared now; nothing where it is gone."""
        await self._change(lambda others: [change(each) if each["name"] == name else each for each in others])

    async def delete(self, name: str) -> None:
        """Remove one application; nothing where it is gone."""
        await self._change(lambda others: [other for other in others if other["name"] != name])

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _change(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        try:
            async with AsyncFileLock(self._lock, timeout=_LOCK_SECONDS):
                details = await self._get()
                before = declared(details)
                after = change(before)
                if after != before:
                    await self._put(request(details, after, self._http_options))
        except Timeout:
            raise RetryableError(f"another change of Serve holds {self._lock} for over {_LOCK_SECONDS:g} s") from None

    async def _get(self) -> dict[str, Any]:
        answer = await self._send("GET")
        body: dict[str, Any] = answer.json()
        return body

    async def _put(self, body: dict[str, Any]) -> None:
        # The first one starts Serve itself, which takes seconds. Who gives up early lets the next one overtake it, and each
        # declares everything: so it is waited for as long as it can be of use. Nobody's traffic waits with it.
        await self._send("PUT", body, 120.0)

    async def _send(self, method: str, body: dict[str, Any] | None = None, seconds: float | None = None) -> httpx.Response:
        timeout = timeout_of(self._address, seconds or 30.0)
        try:
            answer = await self._client.request(method, _APPLICATIONS, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise RetryableError(f"Ray at {self._client.base_url} does not answer: {reason(error)}") from None
        if answer.status_code >= 500:
            raise RetryableError(f"Ray at {self._client.base_url} answered {answer.status_code}: {answer.text[:500]}")
        if answer.status_code >= 400:
            raise PermanentError(f"Ray Serve refused the {method} ({answer.status_code}): {answer.text[:2000]}")
        return answer


def parse(details: dict[str, Any]) -> ServeInstance:
    """Serve's own account of itself, as far as we need it."""
    targets, found = _targets(details), details.get("applications", {})
    return ServeInstance(
        {name: _application(name, each, targets.get(name, ())) for name, each in found.items()},
        tuple(holding for name, each in found.items() for holding in _holdings(name, each)),
        (details.get("http_options") or {}).get("host") or "",
    )


def host_of_replicas(url: str) -> str:
    """Where replicas have to listen to be reached from where Ray is reached at `url`: every node reads the same host."""
    return "127.0.0.1" if is_loopback(url) else "0.0.0.0"  # noqa: S104


def is_recovering(details: dict[str, Any]) -> bool:
    """Whether Serve's controller came back and has not found all replicas again that it had."""
    deployments = [
        each for found in details.get("applications", {}).values() for each in found.get("deployments", {}).values()
    ]
    return any(replica["state"] == "RECOVERING" for each in deployments for replica in each.get("replicas", []))


def declared(details: dict[str, Any]) -> list[dict[str, Any]]:
    """The applications that a PUT must name to keep them."""
    return [
        found["deployed_app_config"]
        for found in details.get("applications", {}).values()
        if found.get("deployed_app_config") and found.get("status") != ServeStatus.DELETING
    ]


def request(details: dict[str, Any], applications: list[dict[str, Any]], http_options: dict[str, Any]) -> dict[str, Any]:
    """The body of a PUT that changes the applications and nothing else of a Serve that may already run."""
    body: dict[str, Any] = {
        "proxy_location": details.get("proxy_location") or "HeadOnly",
        "http_options": details.get("http_options") or http_options,
        "applications": applications,
    }
    for kept in ("grpc_options", "target_capacity"):
        if details.get(kept) is not None:
            body[kept] = details[kept]
    return body


def failure_text(found: dict[str, Any]) -> str:
    """Why an application is not well: its own message and its deployments', without colours, the end of long ones."""
    messages = [found.get("message") or ""]
    messages += [deployment.get("message") or "" for deployment in found.get("deployments", {}).values()]
    lines = [line for message in messages if message for line in _ANSI.sub("", message).strip().splitlines()]
    if len(lines) > _ERROR_LINES:
        lines = [lines[0], "...", *lines[-_ERROR_LINES:]]
    return "\n".join(lines)


def _application(name: str, found: dict[str, Any], replicas: tuple[Endpoint, ...]) -> ServeApplication:
    status = ServeStatus(found["status"])
    deployments = found.get("deployments", {})
    states = [replica["state"] for deployment in deployments.values() for replica in deployment.get("replicas", [])]
    return ServeApplication(
        name=name,
        status=status,
        error="" if status == ServeStatus.RUNNING else failure_text(found),
        config=None if status == ServeStatus.DELETING else found.get("deployed_app_config"),
        deployments={key: int(value.get("target_num_replicas") or 0) for key, value in deployments.items()},
        replicas=replicas,
        leftover=sum(state != "RUNNING" for state in states),
        workers=sum(replica["state"] == "RUNNING" for replica in deployments.get(WORKERS, {}).get("replicas", [])),
    )


def _holdings(name: str, found: dict[str, Any]) -> Iterator[Holding]:
    """Of the replicas that are on a node; one that waits for a place holds nothing yet."""
    for kind, deployment in found.get("deployments", {}).items():
        options = (deployment.get("deployment_config") or {}).get("ray_actor_options") or {}
        # What Serve gives a replica that asks for nothing.
        cpus, gpus, resources = options.get("num_cpus"), options.get("num_gpus"), options.get("resources") or {}
        each = 1.0 if cpus is None else float(cpus), float(gpus or 0), float(resources.get(TPU) or 0)
        for replica in deployment.get("replicas", []):
            if replica.get("node_id"):
                yield Holding(name, replica["node_id"], *each, answers=kind != WORKERS)


def _targets(details: dict[str, Any]) -> dict[str, tuple[Endpoint, ...]]:
    """Replicas by application. Where Serve has a proxy, one without replicas is listed with that, which is none."""
    groups = [group for group in details.get("target_groups", []) if group.get("protocol") == "HTTP"]
    return {
        group["app_name"]: tuple(
            Endpoint(target["name"].rpartition("#")[2], target["ip"], int(target["port"]))
            for target in group["targets"]
            if target["name"].startswith(_REPLICA_MARK)
        )
        for group in groups
    }
