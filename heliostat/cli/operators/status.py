"""Gathers how a stack is: every part is asked beside the others, and what serves beside them."""

from __future__ import annotations

import asyncio

from heliostat.cli.operators import packages as packaged
from heliostat.cli.operators import probes
from heliostat.cli.operators.deployed import Deployed, deployed, why_none
from heliostat.cli.operators.health import PlatformStatus
from heliostat.cli.operators.monitors import MonitorStatus, statuses
from heliostat.cli.operators.serving import Application, application, under_way
from heliostat.cli.rollouts.watch import newest
from heliostat.spec.addresses import ControllerAddress, StoreAddress
from heliostat.spec.rollouts import Status
from heliostat.spec.task_queue import QueueDepth
from heliostat.systems import publications
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store


def status_of(stack: str | None) -> PlatformStatus:
    """The health of a stack's platform, and the applications on it.

    Raises:
        NotFoundError: no stack is meant, or there is none of that name.
        StackError: its state cannot be read.
    """
    found = deployed(stack)
    if not found.exported:
        return PlatformStatus(found.stack, found.owner, problem=why_none(found))
    return asyncio.run(_ask(found))


async def _ask(found: Deployed) -> PlatformStatus:
    serving = asyncio.create_task(_serving(found.controller))
    packages = asyncio.create_task(_packages(found.store))
    watched = asyncio.create_task(_monitors(found.store))
    parts = await asyncio.gather(*(probes.ask(probe) for probe in probes.probes(found)))
    return PlatformStatus(
        found.stack, found.owner, tuple(parts), await serving, await packages, await watched, samples=found.samples
    )


async def _packages(address: StoreAddress | None) -> tuple[packaged.Package, ...]:
    """The newest package of each distribution; none where the store does not say, which its own part tells."""
    if address is None:
        return ()
    try:
        async with asyncio.timeout(probes.SECONDS):
            return await asyncio.to_thread(_newest_packages, address)
    except (TimeoutError, RetryableError, PermanentError):
        return ()


def _newest_packages(address: StoreAddress) -> tuple[packaged.Package, ...]:
    store = open_store(address)
    found = (packaged.newest(publications.read(store, name)) for name in publications.distributions(store))
    return tuple(each for each in found if each is not None)


async def _monitors(address: StoreAddress | None) -> tuple[MonitorStatus, ...]:
    """What is watched; nothing where the store does not say, which its own part tells."""
    if address is None:
        return ()
    try:
        async with asyncio.timeout(probes.SECONDS):
            return await asyncio.to_thread(statuses, open_store(address))
    except (TimeoutError, RetryableError, PermanentError):
        return ()


async def _serving(address: ControllerAddress | None) -> tuple[Application, ...] | None:
    """Every application of the controller; None where it does not say."""
    if address is None:
        return None
    try:
        async with asyncio.timeout(probes.SECONDS), ControllerClient(address) as client:
            return tuple(await asyncio.gather(*(_detailed(client, one) for one in await client.list())))
    except (TimeoutError, RetryableError, PermanentError, ValueError):
        return None


async def _detailed(client: ControllerClient, status: Status) -> Application:
    # The figures of a rollout are many: they are fetched only where they say how many replicas the candidate has.
    sample = await newest(client, status) if under_way(status) else None
    return application(status, sample, await client.rollouts(status.name), await _queue(client, status))


async def _queue(client: ControllerClient, status: Status) -> QueueDepth | None:
    """What is in its queue, where it takes tasks; a broker that is away does not hide what serves."""
    if status.desired is None or status.desired.version.queue is None:
        return None
    try:
        return await client.queue(status.name)
    except (RetryableError, PermanentError):
        return None
