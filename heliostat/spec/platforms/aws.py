"""The platform `aws`: a network, an EKS cluster, a bucket, a database and a registry, and what runs in the cluster."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from heliostat.spec.base import Model
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.cluster import ClusterServices

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$")]

ZONES: Final = "abcdef"
"""What zones of a region end with; of local zones nothing is made."""
_GROUP_NAME: Final = 36
"""AWS's limit of 63, less what pulumi-aws ends a node group's name with."""


def _network(text: str) -> str:
    """The text of an IPv4 network.

    Raises:
        ValueError: it is none.
    """
    try:
        ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{text} is no IPv4 network ({error}): write it as 10.0.0.0/16, with the host's bits 0") from None
    return text


def _of_a_vpc(text: str) -> str:
    length = ipaddress.IPv4Network(_network(text)).prefixlen
    if not 16 <= length <= 20:
        raise ValueError(f"{text} is a /{length}: a /16 to a /20 is needed, or pods, which have addresses of it, find none")
    return text


def _distinct(zones: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({zone for zone in zones if zones.count(zone) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is named twice: name each zone once")
    return zones


def _no_reserved_name(bucket: str) -> str:
    if bucket.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or bucket.endswith(
        ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")
    ):
        raise ValueError(f"{bucket} begins or ends as names do that AWS keeps for itself: choose another")
    return bucket


Cidr = Annotated[str, AfterValidator(_network)]
"""An IPv4 network, as `10.0.0.0/16`."""


class AwsNetwork(Model):
    """The VPC: a public and a private subnet in each zone; nodes are in private ones."""

    cidr: Annotated[str, AfterValidator(_of_a_vpc)] = "10.0.0.0/16"
    """Its addresses, a /16 to a /20. A zone's part of it follows from the zone's letter."""
    zones: Annotated[tuple[str, ...], Field(min_length=2, max_length=4), AfterValidator(_distinct)]
    """Availability zones, as `eu-central-1a`. What accelerators a zone has differs."""
    nat_gateway: Literal["one", "per-zone"] = "one"
    """How nodes reach the internet: by one gateway, which its zone takes along when it fails, or by one a zone."""


class Eks(Model):
    """The Kubernetes cluster."""

    version: Annotated[str, Field(pattern=r"^1\.[0-9]+$")] = "1.34"
    """Of Kubernetes."""
    public_endpoint_cidrs: tuple[Cidr, ...] = ()
    """Who reaches its API from outside of the network; nobody by default: then `up` has to run inside."""
    admins: tuple[Arn, ...] = ()
    """Roles and users that may do everything in it, beside whoever makes it."""
    system_machine: str = "m7i.xlarge"
    """The machine type of the nodes for all but Ray's workers."""
    system_nodes: Annotated[int, Field(ge=2, le=50)] = 3
    """How many of them."""
    disk_gib: Annotated[int, Field(ge=50, le=16_384)] = 200
    """Of the disk of each node, which images and what spills are on."""
    log_days: Literal[7, 14, 30, 60, 90, 180, 365] = 90
    """How long logs of the control plane, of the network and of the database are kept."""


class Rds(Model):
    """MLflow's PostgreSQL."""

    version: Annotated[str, Field(pattern=r"^1[5-9]$")] = "17"
    """Of PostgreSQL; its minor versions come by themselves, in the maintenance window."""
    machine: Annotated[str, Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")] = "db.t4g.medium"
    """Its class."""
    storage_gib: Annotated[int, Field(ge=20, le=65_536)] = 50
    """Of its disk; it grows to twice as much by itself."""
    multi_az: bool = True
    """Whether a second one stands by in another zone."""
    backup_days: Annotated[int, Field(ge=1, le=35)] = 14
    """How long backups are kept."""


class Budget(Model):
    """A limit that people are told of; nothing is stopped at it."""

    monthly_usd: Annotated[int, Field(ge=1)]
    """What the environment may cost a month, by its tag `environment`, which the account has to use for cost allocation."""
    emails: Annotated[tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...], Field(min_length=1, max_length=10)]
    """Who is told at four fifths of it, and where the month is forecast to end above it."""


class AwsPlatform(ClusterServices):
    """Everything on AWS, in one region."""

    kind: Literal["aws"]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    """As `eu-central-1`."""
    name: Annotated[str, Field(max_length=48, pattern=r"^[a-z](-?[a-z0-9])*$")] | None = None
    """What the names of everything in the account begin with; by default the project's and the stack's, `heliostat-STACK`."""
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    """The account's number; credentials of another one are refused."""
    network: AwsNetwork
    """The VPC."""
    eks: Eks = Field(default_factory=Eks)
    """The Kubernetes cluster."""
    bucket: Annotated[
        str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]+[a-z0-9]$"), AfterValidator(_no_reserved_name)
    ]
    """The name of the bucket that is made; bucket names are one name space for all of AWS."""
    rds: Rds = Field(default_factory=Rds)
    """MLflow's database."""
    budget: Budget | None = None
    """Who is told when it costs more than that."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    """Whether bucket, database and keys outlive the rest. Where they do, `destroy` asks for `--exclude-protected`, and
    leaves them in the stack with the network that the database stands in."""

    @model_validator(mode="after")
    def _has_names_for_its_groups(self) -> Self:
        if "system" in self.groups:
            raise ValueError("groups.system: the group of the cluster's own nodes is called that: choose another name")
        long = [name for name in self.groups if len(name) > _GROUP_NAME]
        if long:
            raise ValueError(f"groups: {', '.join(long)}: a node group's name has at most {_GROUP_NAME} characters")
        return self
