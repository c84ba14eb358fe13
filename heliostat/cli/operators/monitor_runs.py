"""Has a monitor look now, as the controller would when it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.monitoring import schedule_name
from heliostat.spec.predictions import Scheduled, schedule_key
from heliostat.systems import code_packages
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, open_store
from heliostat.systems.ray_jobs import RayJobs, entrypoint, failure_in


def scheduled_of(address: StoreAddress, name: str) -> Scheduled:
    """How a monitor looks.

    Raises:
        PermanentError: it is not declared, or its `up` did not come to its end.
    """
    try:
        return Scheduled.model_validate_json(open_store(address).get(schedule_key(schedule_name(name))))
    except ObjectMissingError:
        raise PermanentError(f"{name} is not watched: declare `monitor` of the workload, and bring it up") from None


async def look(address: StoreAddress, ray: RayAddress, name: str, tell: Callable[[str], None]) -> None:
    """Look once, and wait for its end.

    Raises:
        PermanentError: it fails, with its own reason.
        RetryableError: Ray or the store does not answer.
    """
    scheduled = await asyncio.to_thread(scheduled_of, address, name)
    identifier = f"{scheduled.base.removesuffix('-due')}-now-{datetime.now(UTC):%Y%m%dT%H%M%S}-1"
    command = entrypoint(scheduled.module, address, scheduled.specification)
    environment = code_packages.job_env(scheduled.code_uri, environment_uri=scheduled.environment_uri)
    async with RayJobs(ray) as jobs:
        await jobs.submit(identifier, command, environment, {"heliostat": scheduled.base})

        def progress(told: dict[str, Any]) -> None:
            tell(str(told.get("text", told)))

        job = await jobs.follow(identifier, progress, asyncio.Event(), scheduled.timeout_seconds)
        if job.status != "SUCCEEDED":
            logs = await jobs.logs(identifier)
            told = failure_in(logs)
            why = told["message"] if told else job.message or logs[-2_000:]
            raise PermanentError(f"the look at {name} failed (Ray job {identifier}): {why}")
