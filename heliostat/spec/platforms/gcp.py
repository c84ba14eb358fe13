"""The platform `gcp`: a network, a GKE cluster, a bucket, a database and a registry, and what runs in the cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heliostat.spec.base import Model
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.cluster import ClusterServices


class GcpNetwork(Model):
    """The VPC with one subnet, whose nodes have no public addresses."""

    cidr: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$")] = "10.0.0.0/20"
    """Addresses of nodes."""
    pods_cidr: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$")] = "10.16.0.0/14"
    """Addresses of pods."""
    services_cidr: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$")] = "10.20.0.0/20"
    """Addresses of services."""
    control_plane_cidr: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/28$")] = "172.16.0.0/28"
    """Addresses of the cluster's control plane, a /28."""


class Gke(Model):
    """The Kubernetes cluster."""

    release_channel: Literal["RAPID", "REGULAR", "STABLE"] = "REGULAR"
    """How fast it is upgraded."""
    public_endpoint_cidrs: tuple[str, ...] = ()
    """Who reaches its API from outside of the network; nobody by default: then `up` has to run inside."""
    system_machine: str = "e2-standard-4"
    """The machine type of the nodes for all but Ray's workers."""
    system_nodes: Annotated[int, Field(ge=1, le=50)] = 1
    """How many of them in each zone."""


class CloudSql(Model):
    """MLflow's PostgreSQL."""

    tier: str = "db-custom-2-7680"
    """Its machine."""
    storage_gib: Annotated[int, Field(ge=10, le=65_536)] = 50
    """Of its disk, which grows by itself."""
    regional: bool = True
    """Whether a second one stands by in another zone."""
    backup_days: Annotated[int, Field(ge=1, le=365)] = 14
    """How long backups are kept."""


class GcpPlatform(ClusterServices):
    """Everything on Google Cloud, in one region."""

    kind: Literal["gcp"]
    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
    """The project's id."""
    region: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
    """As `europe-west4`."""
    zones: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)]
    """As `europe-west4-a`: where nodes are. What accelerators a zone has differs."""
    network: GcpNetwork = Field(default_factory=GcpNetwork)
    """The VPC."""
    gke: Gke = Field(default_factory=Gke)
    """The Kubernetes cluster."""
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9_-]+[a-z0-9]$")]
    """The name of the bucket that is made; bucket names are one name space for all of Google Cloud."""
    cloud_sql: CloudSql = Field(default_factory=CloudSql)
    """MLflow's database."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    """Whether bucket, database and keys outlive `destroy`."""
