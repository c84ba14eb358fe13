"""The platform `local`: everything as processes of this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heliostat.spec.base import Model
from heliostat.spec.platforms.base import OnDestroy, Port
from heliostat.spec.platforms.stores import DirectoryStore, Store


class Tracking(Model):
    """The MLflow tracking server and registry."""

    port: Port | None = None
    """By default a free one is chosen and kept."""


class RayNode(Model):
    """One Ray node of this machine: a process tree of its own. Counts are logical, for scheduling."""

    cpus: Annotated[int, Field(ge=0, le=1024)] = 2
    """How many it offers."""


class RayWorkers(RayNode):
    """The worker nodes, all alike."""

    cpus: Annotated[int, Field(ge=0, le=1024)] = 4
    """How many each of them offers."""
    count: Annotated[int, Field(ge=0, le=16)] = 1
    """How many nodes there are."""


class LocalRay(Model):
    """The Ray cluster of the local platform."""

    head: RayNode = Field(default_factory=RayNode)
    """The head node."""
    workers: RayWorkers = Field(default_factory=RayWorkers)
    """The nodes beside it."""
    object_store_mib: Annotated[int, Field(ge=80, le=65536)] = 200
    """Shared memory of each node's object store, in MiB."""
    dashboard_port: Port | None = None
    """Port of the dashboard, the Jobs API and Serve's REST API; by default a free one is chosen and kept."""


class LocalPlatform(Model):
    """Everything on this machine, as processes on loopback."""

    kind: Literal["local"] = "local"
    store: Store = Field(default_factory=DirectoryStore)
    """Where data, models, logs and the ledger lie."""
    tracking: Tracking = Field(default_factory=Tracking)
    """MLflow, as a process of this machine."""
    ray: LocalRay = Field(default_factory=LocalRay)
    """The Ray cluster, as processes of this machine."""
    public_port: Port | None = None
    """Port at which clients reach every application; by default a free one is chosen and kept."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    """Whether objects, runs and models outlive `destroy`, so that the next `up` finds them. The ledger always does."""
