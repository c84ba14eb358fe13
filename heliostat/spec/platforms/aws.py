"""The platform `aws`: a network, an EKS cluster, a bucket, a database and a registry, and what runs in the cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heliostat.spec.base import Model
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.cluster import ClusterServices

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$")]


class AwsNetwork(Model):
    """The VPC: a public and a private subnet in each zone; nodes are in private ones."""

    cidr: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$")] = "10.0.0.0/16"
    """Its addresses, a /16 to a /20."""
    zones: Annotated[tuple[str, ...], Field(min_length=2, max_length=4)]
    """Availability zones, as `eu-central-1a`. What accelerators a zone has differs."""
    nat_gateway: Literal["one", "per-zone"] = "one"
    """How nodes reach the internet: by one gateway, which its zone takes along when it fails, or by one a zone."""


class Eks(Model):
    """The Kubernetes cluster."""

    version: Annotated[str, Field(pattern=r"^1\.[0-9]+$")] = "1.34"
    """Of Kubernetes."""
    public_endpoint_cidrs: tuple[str, ...] = ()
    """Who reaches its API from outside of the network; nobody by default: then `up` has to run inside."""
    admins: tuple[Arn, ...] = ()
    """Roles and users that may do everything in it, beside whoever makes it."""
    system_machine: str = "m7i.xlarge"
    """The machine type of the nodes for all but Ray's workers."""
    system_nodes: Annotated[int, Field(ge=2, le=50)] = 3
    """How many of them."""


class Rds(Model):
    """MLflow's PostgreSQL."""

    machine: str = "db.t4g.medium"
    """Its class."""
    storage_gib: Annotated[int, Field(ge=20, le=65_536)] = 50
    """Of its disk; it grows to twice as much by itself."""
    multi_az: bool = True
    """Whether a second one stands by in another zone."""
    backup_days: Annotated[int, Field(ge=1, le=35)] = 14
    """How long backups are kept."""


class AwsPlatform(ClusterServices):
    """Everything on AWS, in one region."""

    kind: Literal["aws"]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    """As `eu-central-1`."""
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    """The account's number; credentials of another one are refused."""
    network: AwsNetwork
    """The VPC."""
    eks: Eks = Field(default_factory=Eks)
    """The Kubernetes cluster."""
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]+[a-z0-9]$")]
    """The name of the bucket that is made; bucket names are one name space for all of AWS."""
    rds: Rds = Field(default_factory=Rds)
    """MLflow's database."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    """Whether bucket, database and keys outlive `destroy`."""
