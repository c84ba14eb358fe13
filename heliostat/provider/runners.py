"""The seam between the provider's resources and whatever runs their jobs; the address says which it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from heliostat.spec.addresses import RayAddress
from heliostat.systems.kuberay_jobs import KubeRayJobs, OwnClusters
from heliostat.systems.ray_jobs import Job, RayJobs


class JobRunner(Protocol):
    """Runs programs that outlive whoever submitted them. Every call raises RetryableError where it does not answer.

    A job's submission id is deterministic, `<name>-<digest>-<attempt>`: whoever comes later finds the attempt that still runs,
    or the number that the next one gets.
    """

    async def attempts(self, base: str) -> list[Job]:
        """List the jobs `<base>-<attempt>`, the oldest first."""

    async def find(self, submission_id: str) -> Job | None:
        """Find a job; None where there is none."""

    async def submit(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Start a job; where the id is taken already, somebody else just did, and that is as good."""

    async def logs(self, submission_id: str) -> str:
        """Read all that a job has written so far."""

    async def stop(self, submission_id: str) -> None:
        """End a job; nothing where it has ended or is unknown."""

    async def follow(
        self, submission_id: str, on_progress: Callable[[dict[str, Any]], None], cancelled: asyncio.Event, seconds: float
    ) -> Job:
        """Wait for a job's end; `on_progress` gets what it tells on the way.

        Raises:
            JobInterrupted: `cancelled` was set; the job goes on.
            PermanentError: it took more than `seconds` from its start, and was stopped.
        """


def open_runner(address: RayAddress, own: OwnClusters | None = None) -> AbstractAsyncContextManager[JobRunner]:
    """Open the runner of a cluster, or of clusters that are made as it, one for each job."""
    return RayJobs(address) if own is None else KubeRayJobs(own, address)
