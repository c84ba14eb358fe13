"""The `platform` section of a stack's config: what the workloads run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from heliostat.spec.addresses import Access, HttpUrl, RayAddress, SharedToken, no_service
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
    """Its name. The local platform makes one that is not there."""
    prefix: str = ""
    """Everything lies below this key; by default at the bucket's top."""
    endpoint: str | None = None
    """URL of a server other than AWS's."""
    region: str | None = None
    """By default the one that boto3 finds."""


Store = Annotated[DirectoryStore | S3Store, Field(discriminator="kind")]


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


Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]
"""A name or an IPv4 address."""


class ExistingTracking(Access):
    """An MLflow tracking server and registry that is there. Where no credential is named, and always on the cluster's nodes,
    that is in the variables that MLflow's own client reads: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD."""

    uri: HttpUrl
    """The address that `mlflow.set_tracking_uri` takes, on the cluster's nodes in any case."""

    def _stopped(self) -> Iterator[str]:
        yield from super()._stopped()
        yield from no_service(self.uri)

    @property
    def access(self) -> Access | None:
        """How callers outside of the cluster get there; None where that is as inside."""
        return Access(credential=self.credential, proxy=self.proxy) if self.credential or self.proxy else None


class ControllerPlace(Model):
    """Where the controller and its traffic plane listen, on the machine whose `up` makes them."""

    host: Host = "127.0.0.1"
    """This machine's name or address as clients, and stacks on other machines, reach it. On loopback nobody else does."""
    api_port: Port | None = None
    """By default a free one is chosen and kept."""
    credential: SharedToken | None = None
    """Where the API's token is: in this variable of the controller and of each `up` that calls it, wherever that runs, or in
    this secret. By default a token is made, in a file that only this machine has."""


class RayPlatform(Model):
    """A Ray cluster, an MLflow and an object store that exist; the controller with its traffic plane is all that is made."""

    kind: Literal["ray"]
    ray: RayAddress
    """The cluster's dashboard, with the Jobs API and Serve's REST API."""
    tracking: ExistingTracking
    """MLflow's tracking server and registry."""
    store: Store
    """One that the cluster's nodes reach as well: a bucket, or a directory that all machines have."""
    controller: ControllerPlace = Field(default_factory=ControllerPlace)
    """Where the controller listens, and to whom."""
    public_port: Port | None = None
    """Port at which clients reach every application; by default a free one is chosen and kept."""


def _kind(given: Any) -> str:
    """The kind of a declared platform; the local one need not be named."""
    found = given.get("kind", "local") if isinstance(given, Mapping) else getattr(given, "kind", "local")
    return found if isinstance(found, str) else ""


Platform = Annotated[Annotated[LocalPlatform, Tag("local")] | Annotated[RayPlatform, Tag("ray")], Discriminator(_kind)]
"""What the workloads run on, of any kind."""
