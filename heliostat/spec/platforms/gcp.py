"""The platform `gcp`: a network, a GKE cluster, a bucket, a database and a registry, and what runs in the cluster."""

from __future__ import annotations

import math
from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from heliostat.spec.base import Model
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.cluster import ClusterServices

MAX_PODS_OF_NODE: Final = 110
"""GKE's default; each node holds a /24 of the pods' addresses for them."""
_SYSTEM_NODES: Final = 2
"""In all zones together, the least where nothing is said."""
_BITS_OF_NODE: Final = 24
_RESERVED: Final = 4
"""Addresses of a subnet that Google Cloud keeps."""


def _network(text: str) -> str:
    """The range as it was written.

    Raises:
        ValueError: it is none, or has bits beyond its mask.
    """
    try:
        IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write it as 10.0.0.0/20") from None
    return text


Cidr = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$"), AfterValidator(_network), Field(max_length=18)
]
"""A range of IPv4 addresses, as `10.0.0.0/20`."""


def _somebody(text: str) -> str:
    if IPv4Network(text).prefixlen < 8:
        raise ValueError(f"{text} is nearly everybody: name the networks that reach the API, each a /8 at most")
    return text


class GcpNetwork(Model):
    """The VPC with one subnet, whose nodes have no public addresses."""

    cidr: Cidr = "10.0.0.0/20"
    """Addresses of nodes."""
    pods_cidr: Cidr = "10.16.0.0/14"
    """Addresses of pods; each node holds 256 of them, so a /14 is for 1,024 nodes."""
    services_cidr: Cidr = "10.20.0.0/20"
    """Addresses of services."""
    control_plane_cidr: Annotated[Cidr, Field(pattern=r"/28$")] = "172.16.0.0/28"
    """Addresses of the cluster's control plane, a /28."""
    database_cidr: Annotated[Cidr, Field(pattern=r"/(1[6-9]|2[0-4])$")] = "10.21.0.0/20"
    """Addresses that Google's services have in the network, for Cloud SQL: a /16 to a /24."""

    @property
    def nodes(self) -> int:
        """How many nodes have room."""
        blocks = 1 << max(0, _BITS_OF_NODE - IPv4Network(self.pods_cidr).prefixlen)
        return min(blocks, IPv4Network(self.cidr).num_addresses - _RESERVED)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        ranges = {name: IPv4Network(value) for name, value in self.model_dump(by_alias=True).items()}
        overlaps = [f"{a} and {b}" for a, b in combinations(ranges, 2) if ranges[a].overlaps(ranges[b])]
        if overlaps:
            raise ValueError(f"ranges overlap: {', '.join(overlaps)}; give each addresses of its own")
        return self


class Gke(Model):
    """The Kubernetes cluster: a control plane in several zones, and private nodes."""

    release_channel: Literal["RAPID", "REGULAR", "STABLE"] = "REGULAR"
    """How fast it is upgraded."""
    maintenance_start: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "03:00"
    """When Google may upgrade it, every day for four hours from then on, in UTC."""
    public_endpoint_cidrs: tuple[Annotated[Cidr, AfterValidator(_somebody)], ...] = ()
    """Who reaches its API from outside of the network; nobody by default: then `up` has to run inside."""
    system_machine: str = "e2-standard-8"
    """The machine type of the nodes for all but Ray's workers."""
    system_nodes: Annotated[int, Field(ge=1, le=50)] | None = None
    """How many of them in each zone; by default one, or in a single zone two: the traffic plane's pods are on nodes of
    their own."""
    deletion_protection: bool = True
    """Whether Google Cloud refuses to delete it: set it to false, and run `up`, before `destroy`."""


class CloudSql(Model):
    """MLflow's PostgreSQL."""

    tier: Annotated[str, Field(pattern=r"^db-[a-z0-9-]+$")] = "db-custom-2-7680"
    """Its machine."""
    storage_gib: Annotated[int, Field(ge=10, le=65_536)] = 50
    """Of its disk, which grows by itself."""
    regional: bool = True
    """Whether a second one stands by in another zone."""
    backup_days: Annotated[int, Field(ge=1, le=365)] = 14
    """How many daily backups are kept. Any moment of the last seven days, or of as many as this where that is less, can be
    restored."""


class GcpPlatform(ClusterServices):
    """Everything on Google Cloud, in one region."""

    kind: Literal["gcp"]
    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
    """The project's id."""
    name: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$")] | None = None
    """What the names of everything in the project begin with, at most 22 characters; by default `heliostat-STACK`."""
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
    """Whether bucket, database and keys outlive `destroy`, with the network that the database is reached in."""

    @property
    def system_nodes(self) -> int:
        """How many nodes there are for all but Ray's workers."""
        of_a_zone = self.gke.system_nodes or math.ceil(_SYSTEM_NODES / len(self.zones))
        return of_a_zone * len(self.zones)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if wrong := [*self._wrong_zones(), *self._wrong_bucket()]:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_zones(self) -> Iterator[str]:
        outside = [zone for zone in self.zones if zone[:-2] != self.region or zone[-2] != "-"]
        if outside:
            yield f"zones: {', '.join(outside)} not in {self.region}, whose zones are {self.region}-a, {self.region}-b, ..."
        if len(set(self.zones)) < len(self.zones):
            yield f"zones: {', '.join(self.zones)} names one twice"

    def _wrong_bucket(self) -> Iterator[str]:
        if self.bucket.startswith("goog") or "google" in self.bucket:
            yield f"bucket: {self.bucket} begins with goog or has google in it, which Google Cloud keeps to itself"
