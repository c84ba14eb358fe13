"""What a worker's process is told."""

from __future__ import annotations

from heliostat.spec.base import Model
from heliostat.spec.rollouts import ServingArguments


class WorkerSettings(Model):
    """One worker."""

    name: str
    """That its leases are known by."""
    arguments: ServingArguments
