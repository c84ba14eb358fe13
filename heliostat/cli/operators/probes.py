"""Asks each part of a platform how it is: one call a part, which answers in time or is a part that is down."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from heliostat.cli.operators.deployed import CONTROLLER, Deployed
from heliostat.cli.operators.health import Health, PartHealth
from heliostat.cli.tables import gib
from heliostat.provider.underlying import mlflow_problem, ray_problem, serve_problem
from heliostat.spec.addresses import Access, ControllerAddress, HttpAddress, RayAddress, StoreAddress
from heliostat.spec.controller import SETTINGS_FILE, ControllerSettings
from heliostat.spec.formatting import counted
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.haproxy import running_version
from heliostat.systems.http import open_client, reason
from heliostat.systems.loopback import is_loopback
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import BucketStore, directory_of, open_bucket
from heliostat.systems.ray_capacity import read_nodes, read_version
from heliostat.systems.ray_serve import ServeClient

T = TypeVar("T")
SECONDS = 5.0
"""For each part; all are asked beside each other."""
_ENOUGH_SPACE = 1 << 30


async def in_thread(function: Callable[[], T], seconds: float = SECONDS) -> T:
    """Run a function that may block, in a thread that keeps no process from ending.

    Raises:
        TimeoutError: it did not return within `seconds`.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wait_for(future, seconds)


async def store(address: StoreAddress) -> PartHealth:
    """Look whether the object store is there and can be written."""
    if (bucket := open_bucket(address)) is not None:
        return await _bucket(address, bucket)
    folder = directory_of(address)
    if not folder.is_dir():
        return PartHealth("store", address.uri, Health.DOWN, detail=f"there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return PartHealth("store", address.uri, Health.DEGRADED, detail="this user may not write to it")
    free = shutil.disk_usage(folder).free
    told = f"{gib(free)} free"
    if free < _ENOUGH_SPACE:
        return PartHealth("store", address.uri, Health.DEGRADED, detail=f"{told}, and 1 GiB is little: make space")
    return PartHealth("store", address.uri, Health.OK, detail=told)


async def _bucket(address: StoreAddress, opened: BucketStore) -> PartHealth:
    try:
        await in_thread(opened.look)
    except (PermanentError, RetryableError) as error:
        return PartHealth("store", address.uri, Health.DOWN, detail=str(error))
    return PartHealth("store", address.uri, Health.OK, detail=f"at {address.endpoint}" if address.endpoint else "")


async def ray(address: RayAddress, declared: int | None) -> PartHealth:
    """Ask the Ray cluster whether its dashboard answers, all declared nodes are there, and it can be worked with."""
    nodes, version, host = await asyncio.gather(read_nodes(address), read_version(address), _host_of_replicas(address))
    if problem := ray_problem(address.url, version, importlib.metadata.version("ray")) or serve_problem(address.url, host):
        return PartHealth("ray", address.url, Health.UNFIT, version, problem)
    if declared is not None and len(nodes) < declared:
        return PartHealth("ray", address.url, Health.DEGRADED, version, f"{len(nodes)} of {declared} nodes are there")
    cpus = sum(node.cpus for node in nodes)
    return PartHealth("ray", address.url, Health.OK, version, f"{counted(len(nodes), 'node')}, {cpus:g} CPUs")


async def _host_of_replicas(address: RayAddress) -> str:
    """Where a Serve that runs has its replicas listen; empty where it does not run, or all of it is on this machine."""
    if is_loopback(address.url):
        return ""
    client = ServeClient(address, serve_port=0)
    try:
        return (await client.read()).host
    except RetryableError:  # It looks for its replicas; a cluster that does not answer at all shows by the others.
        return ""
    finally:
        await client.close()


async def mlflow(uri: str, access: Access | None) -> PartHealth:
    """Ask MLflow whether it answers, also from its database, and can be worked with."""
    with Registry(uri, seconds=SECONDS, access=access) as registry:
        version = await in_thread(registry.server_version)
        try:
            await in_thread(registry.require_database)
        except RetryableError as error:
            return PartHealth("mlflow", uri, Health.DEGRADED, version, f"its database does not answer: {error}")
    if problem := mlflow_problem(uri, version):
        return PartHealth("mlflow", uri, Health.UNFIT, version, problem)
    return PartHealth("mlflow", uri, Health.OK, version)


async def controller(address: ControllerAddress) -> PartHealth:
    """Ask the controller whether it reaches the cluster and can write down what it decides."""
    async with ControllerClient(address) as client:
        found = await client.health()
    wrong = [
        *([] if found.ray else ["it does not reach Ray"]),
        *([] if found.haproxy else ["HAProxy does not run"]),
        *([found.store_error] if found.store_error else []),
    ]
    health = Health.DEGRADED if wrong else Health.OK
    return PartHealth("controller", address.url, health, found.version, "; ".join(wrong))


async def haproxy(public_url: str, directory: Path | None) -> PartHealth:
    """Ask the public address anything: that there is no such application is HAProxy's own answer."""
    async with open_client(HttpAddress(url=public_url), SECONDS) as client:
        await client.get("/")
    return PartHealth("haproxy", public_url, Health.OK, await _haproxy_version(directory))


async def _haproxy_version(directory: Path | None) -> str:
    """The running version, by its own socket; empty where that is elsewhere or does not answer."""
    if directory is None:
        return ""
    try:
        settings = ControllerSettings.model_validate_json(await asyncio.to_thread((directory / SETTINGS_FILE).read_bytes))
        return await running_version(Path(settings.runtime_directory))
    except (OSError, ValueError, RetryableError):
        return ""


Probe = tuple[str, str, Callable[[], Any]]
"""A part's name and address, and what asks it."""


def probes(found: Deployed) -> list[Probe]:
    """The probe of each part of a platform, in the order in which they are shown."""
    listed: list[Probe] = []
    if where := found.store:
        listed.append(("store", where.uri, lambda: store(where)))
    if cluster := found.ray:
        listed.append(("ray", cluster.url, lambda: ray(cluster, found.ray_nodes)))
    if uri := found.tracking_uri:
        listed.append(("mlflow", uri, lambda: mlflow(uri, found.tracking_access)))
    if api := found.controller:
        listed.append(("controller", api.url, lambda: controller(api)))
    if public := found.public_url:
        listed.append(("haproxy", public, lambda: haproxy(public, found.directory(CONTROLLER))))
    return listed


async def ask(probe: Probe, seconds: float = SECONDS) -> PartHealth:
    """Ask one part; whatever goes wrong with that is a part that is down."""
    part, address, act = probe
    try:
        async with asyncio.timeout(seconds):
            found: PartHealth = await act()
            return found
    except TimeoutError:
        return PartHealth(part, address, Health.DOWN, detail=f"no answer within {seconds:g} s")
    except (RetryableError, PermanentError, OSError, ValueError) as error:
        return PartHealth(part, address, Health.DOWN, detail=str(error))
    except httpx.HTTPError as error:
        return PartHealth(part, address, Health.DOWN, detail=f"no answer: {reason(error).splitlines()[0]}")
