"""The controller's API, as its server and its clients both read it.

    PUT    /v1/applications/{name}        Desired  -> Status      declare; starts a rollout where something differs
    GET    /v1/applications/{name}                 -> Status      404 where nothing of that name is declared or serves
    GET    /v1/applications/{name}/wait        -> Status      long poll until an event after M: ?rollout=N&after=M&seconds=S
    POST   /v1/applications/{name}/plan   Desired  -> Plan        what a PUT would do, without doing it
    DELETE /v1/applications/{name}                 -> Status      stop serving it (202; wait with GET until 404)
    GET    /v1/health                              -> Health

Every call carries `Authorization: Bearer <token>`. An error is `{"detail": "<text>"}` with a 4xx where the call is at
fault and a 5xx where it may be tried again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from heliostat.spec.base import Digest, EntryPoint, Model, Name
from heliostat.spec.resources import StoreAddress
from heliostat.spec.strategies import Strategy
from heliostat.spec.workload import Limits, PredictionLog


class Version(Model):
    """All that decides what an application answers. Two versions with the same digest are the same."""

    digest: Digest
    label: str
    """What people and the prediction log call it, e.g. `3-1f0c9a2b`: the model's version and the digest's beginning."""
    code_uri: str
    """The code package: a zip in the object store, by its digest."""
    contract: EntryPoint
    model_uri: str
    tracking_uri: str
    store: StoreAddress
    prediction_log: PredictionLog
    limits: Limits


class Desired(Model):
    """What an application shall be."""

    version: Version
    replicas: Annotated[int, Field(ge=1)]
    cpus_per_replica: Annotated[float, Field(ge=0)]
    max_ongoing_requests: Annotated[int, Field(ge=1)]
    startup_timeout_seconds: Annotated[float, Field(gt=0)]
    strategy: Strategy


class ServingArguments(Model):
    """The `args` of `heliostat.ml.serving:build`, the Serve application of one version in one colour."""

    application: Name
    route_prefix: str
    """Serve's own, e.g. `/_/flights/blue`; clients never see it."""
    public_path: str
    """What clients see, e.g. `/flights`; OpenAPI says it."""
    replicas: int
    cpus_per_replica: float
    max_ongoing_requests: int
    version: Version
    spool: str | None = None
    """Directory of this node for the prediction log's spool; by default one below the node's temporary folder."""


class Phase(StrEnum):
    """Where a rollout is. The last three are its ends."""

    PENDING = "pending"
    STARTING = "starting"
    """The candidate's replicas start."""
    TESTING = "testing"
    """Golden requests go to each replica of the candidate."""
    SHIFTING = "shifting"
    RETAINING = "retaining"
    """All traffic is on the new version; the old one is kept for its window. For a client this is a success already."""
    RETIRING = "retiring"
    ROLLING_BACK = "rolling-back"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A newer declaration took its place before it ended."""


class RolloutEvent(Model):
    """One line of a rollout's story."""

    number: int
    """From 1, in the rollout."""
    at: float
    """Unix time, seconds."""
    phase: Phase
    message: str


class Rollout(Model):
    """One move of an application from a version to another."""

    number: int
    """From 1, in the application."""
    phase: Phase
    from_version: str | None
    to_version: str
    strategy: Strategy
    candidate_weight: float
    """Share of the traffic on the candidate, 0 to 1."""
    events: tuple[RolloutEvent, ...]
    error: str | None = None
    """Why it failed; with the application's own traceback where it did not start."""
    figures: dict[str, Any] = {}
    """Measurements, e.g. `startup_seconds`, `gap_seconds`, `shift_milliseconds`."""


class Status(Model):
    """An application as the controller sees it."""

    name: Name
    desired: Desired | None
    serving: Version | None
    """What answers clients now; None while nothing does."""
    healthy_replicas: int
    rollout: Rollout | None
    """The newest."""
    url: str


class Plan(Model):
    """What declaring `Desired` would do, in words for a preview."""

    changes: bool
    lines: tuple[str, ...]
    gap_seconds: float | None = None
    """Expected time without service; measured from earlier starts where there were any. None: no gap."""
    extra_replicas: int = 0
    """Replicas needed on top, at most, while it runs."""


class Health(Model):
    """The controller's own health."""

    version: str
    haproxy: bool
    ray: bool
    public_url: str
