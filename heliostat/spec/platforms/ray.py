"""The platform `ray`: a Ray cluster, an MLflow and an object store that exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from heliostat.spec.addresses import Access, HttpUrl, RayAddress, SharedToken, no_service
from heliostat.spec.base import Model
from heliostat.spec.platforms.base import Host, Port
from heliostat.spec.platforms.stores import Store


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
