"""Inputs and outputs of the resources that a platform consists of. Nothing here is secret but a Token's value: addresses say
where a token is found."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.addresses import Access, ControllerAddress, RayAddress, SharedToken, StoreAddress
from heliostat.spec.base import Digest, Model
from heliostat.spec.cluster_requirements import ClusterRequirements
from heliostat.spec.platforms.base import Host, OnDestroy, Port
from heliostat.spec.platforms.local import RayNode, RayWorkers
from heliostat.spec.roles import AccessPolicy


class ObjectStoreInputs(StoreAddress):
    """A place for objects."""

    on_destroy: OnDestroy = OnDestroy.KEEP


class ObjectStoreOutputs(ObjectStoreInputs):
    """The same, once it is there."""


class TrackingServerInputs(Model):
    """An MLflow tracking server and registry, as a process of this machine."""

    directory: str
    """Absolute path of its data folder: the SQLite database and the log."""
    artifacts: StoreAddress
    port: Port | None = None
    on_destroy: OnDestroy = OnDestroy.KEEP


class TrackingServerOutputs(TrackingServerInputs):
    """The same, while it answers."""

    tracking_uri: str


class RayClusterInputs(Model):
    """A Ray cluster of one head and worker nodes, as processes of this machine on loopback, with token authentication."""

    directory: str
    """Absolute path of its data folder: the token and the logs' link."""
    head: RayNode = Field(default_factory=RayNode)
    workers: RayWorkers = Field(default_factory=RayWorkers)
    object_store_mib: Annotated[int, Field(ge=80)] = 200
    dashboard_port: Port | None = None
    s3_endpoint: str | None = None
    """URL where buckets are, if not at AWS's: Ray itself fetches code packages, and is told by its environment only."""
    s3_region: str | None = None
    google_storage_endpoint: str | None = None
    """The same for buckets of Google's."""


class RayClusterOutputs(RayClusterInputs):
    """The same, while it runs."""

    address: RayAddress
    gcs_address: str
    """`host:port`, for `ray.init`."""
    session: str = ""
    """Ray's name for this run of the head: another one once the head was started anew, and all that Serve had is gone."""


class ControllerInputs(Model):
    """The controller of a cluster with its traffic plane (HAProxy), as processes of this machine."""

    directory: str
    """Absolute path of its data folder: its database, HAProxy's configuration, tokens and logs."""
    ray: RayAddress
    store: StoreAddress
    tracking_uri: str
    tracking_access: Access | None = None
    """How MLflow is reached from outside of the cluster, where that is otherwise than inside."""
    host: Host = "127.0.0.1"
    """Where its API and the traffic plane listen."""
    api_port: Port | None = None
    credential: SharedToken | None = None
    """Where its token is; by default in a file of the data folder."""
    public_port: Port | None = None
    keeps: tuple[str, ...] = ()
    """Data folders of other services that are started again when they die, as the tracking server's."""
    code: Digest | None = None
    """Digest of the library's own code (`heliostat.spec.code.controllers_digest`): an upgrade starts the controller anew."""


class ControllerOutputs(ControllerInputs):
    """The same, while it answers."""

    address: ControllerAddress
    public_url: str
    """Where clients reach the applications: `<public_url>/<application>/...`."""


class ExistingClusterInputs(ClusterRequirements):
    """A Kubernetes cluster that somebody else made, with what a stack needs of it."""


class ExistingClusterOutputs(ExistingClusterInputs):
    """The same, once it was looked at."""

    uid: str = ""
    """Of its namespace kube-system, by which it is told from others; empty where that may not be seen."""


class TokenInputs(Model):
    """A random secret."""

    generation: Annotated[int, Field(ge=1)] = 1
    """Another number makes another one."""


class TokenOutputs(TokenInputs):
    """The same, with what it is."""

    value: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """A secret: it is encrypted in the state, and shown nowhere."""


class HandoverInputs(Model):
    """That a controller has all its applications on one cluster."""

    controller: ControllerAddress
    cluster: str
    """The URL of Ray there."""


class HandoverOutputs(HandoverInputs):
    """The same, once it is so."""


class AccessInputs(AccessPolicy):
    """Who may do what, of those who call a controller."""

    controller: ControllerAddress


class AccessOutputs(AccessInputs):
    """The same, once the controller holds to it."""
