"""The `platform` section of a stack's config: what the workloads run on."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from heliostat.spec.base import Model

Port = Annotated[int, Field(ge=1024, le=65535)]


class OnDestroy(StrEnum):
    """What happens to stored data when its resource is destroyed. The ledger, which says what served when, is always kept."""

    KEEP = "keep"
    DELETE = "delete"


class DirectoryStore(Model):
    """Objects as files below one directory of this machine."""

    kind: Literal["directory"] = "directory"
    path: str | None = None
    """Absolute path; by default `objects` in the stack's data folder."""


class S3Store(Model):
    """Objects in a bucket of S3 or of anything that speaks its protocol. Credentials come from boto3's usual chain."""

    kind: Literal["s3"] = "s3"
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]+[a-z0-9]$")]
    prefix: str = ""
    endpoint: str | None = None
    """URL of a server other than AWS's."""
    region: str | None = None


Store = Annotated[DirectoryStore | S3Store, Field(discriminator="kind")]


class Tracking(Model):
    """The MLflow tracking server and registry."""

    port: Port | None = None
    """By default a free one is chosen and kept."""


class RayNode(Model):
    """One Ray node of this machine: a process tree of its own. Counts are logical, for scheduling."""

    cpus: Annotated[int, Field(ge=0, le=1024)] = 2


class RayWorkers(RayNode):
    """The worker nodes, all alike."""

    cpus: Annotated[int, Field(ge=0, le=1024)] = 4
    count: Annotated[int, Field(ge=0, le=16)] = 1


class LocalRay(Model):
    """The Ray cluster of the local platform."""

    head: RayNode = RayNode()
    workers: RayWorkers = RayWorkers()
    object_store_mib: Annotated[int, Field(ge=80, le=65536)] = 200
    """Shared memory of each node's object store, in MiB."""
    dashboard_port: Port | None = None
    """Port of the dashboard, the Jobs API and Serve's REST API; by default a free one is chosen and kept."""


class LocalPlatform(Model):
    """Everything on this machine, as processes on loopback."""

    kind: Literal["local"] = "local"
    store: Store = DirectoryStore()
    tracking: Tracking = Tracking()
    ray: LocalRay = LocalRay()
    public_port: Port | None = None
    """Port at which clients reach every application; by default a free one is chosen and kept."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    """Whether objects, runs and models outlive `destroy`, so that the next `up` finds them. The ledger always does."""
