"""What an update notes of work that it leaves on a cluster, for whoever looks at it later."""

from __future__ import annotations

from heliostat.spec.addresses import RayAddress, RayClusterAddress, StoreAddress
from heliostat.spec.base import Model


class LeftWork(Model):
    """An attempt at work that goes on, in the object store at `jobs/<base>.left-<resource>`."""

    what: str
    """What people call it, e.g. `the training of flights`."""
    job: str
    """Its submission id."""
    ray: RayAddress
    """Whose job it is, or the pattern's address where it has a cluster of its own."""
    pattern: RayClusterAddress | None = None
    """What its own cluster is made as; None where it runs on that of `ray`."""
    store: StoreAddress
    timeout_seconds: float
    """From its start on."""
