"""The controller's API, as its server and its clients both read it.

    GET    /v1/applications                                         -> [Status]
    PUT    /v1/applications/{name}                      Declaration -> Status    declare; a rollout where something differs
    GET    /v1/applications/{name}                                  -> Status    404 where nothing is declared or serves
    GET    /v1/applications/{name}/wait                             -> Status    long poll: ?rollout=N&after=M&seconds=S
    POST   /v1/applications/{name}/plan                 Declaration -> Plan      what a PUT would do, without doing it
    POST   /v1/applications/{name}/approve          ActionRequest   -> Status    let what waits for a person go on
    POST   /v1/applications/{name}/abort            ActionRequest   -> Status    roll back what is on its way
    GET    /v1/applications/{name}/rollback                         -> RollbackTarget   where a POST without a number goes
    POST   /v1/applications/{name}/rollback         RollbackRequest -> Status    serve again what served before
    GET    /v1/applications/{name}/rollouts                         -> [Rollout] the newest first, without their events
    GET    /v1/applications/{name}/rollouts/{number}                -> Record
    GET    /v1/applications/{name}/tasks                            -> QueueDepth   404 where it takes no tasks
    GET    /v1/applications/{name}/tasks/dead                       -> [TaskView]   dead letters: ?most=N
    GET    /v1/applications/{name}/tasks/{id}                       -> TaskView     with its payload
    POST   /v1/applications/{name}/tasks/{id}/retry                 -> TaskView     a dead letter, as if it were new
    POST   /v1/applications/{name}/tasks/{id}/cancel                -> TaskView
    DELETE /v1/applications/{name}                                  -> Status    stop serving it (202; wait with GET until 404)
    GET    /v1/health                                               -> Health
    GET    /metrics                                                 -> text      Prometheus' format

Every call carries `Authorization: Bearer <token>`, or the same as `X-Heliostat-Authorization` where something on the way keeps
the former. An error is `{"detail": "<text>"}` with a 4xx where the call is at fault and a 5xx where it may be tried again.
409: the call is right and the application is not so: it was rolled back before, does not fit the cluster, waits for nobody,
or what it shall go back to is gone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import AnalysisResult
from heliostat.spec.base import Digest, EntryPoint, Model, Name, is_empty, is_none
from heliostat.spec.batch import Lookup
from heliostat.spec.expectations import Expectations
from heliostat.spec.groups import Placement
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.spec.personal import Privacy
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.review import Review
from heliostat.spec.strategies import Strategy
from heliostat.spec.task_queue import TaskQueue
from heliostat.spec.workload import Interface, Limits, PredictionLog, ReplicaScale, WebOrigin, is_rest


class Runtime(Model):
    """The library that a version runs on, beside its own code."""

    library: str
    """Its version."""
    library_digest: Digest
    """Of its sources: one of the same version may have been changed."""
    library_uri: str
    """Its sources: a zip in the object store, by that digest."""


class Version(Model):
    """All that decides what an application answers. Two versions with the same digest are the same."""

    digest: Digest
    label: str
    """What people and the prediction log call it, e.g. `3-1f0c9a2b`: the model's version and the digest's beginning."""
    code_uri: str
    """The code package: a zip in the object store, by its digest."""
    contract: EntryPoint
    model_uri: str
    data_digest: str = ""
    """Of the data that the model was trained on; empty where the registry does not know. It decides nothing by itself."""
    tracking_uri: str
    store: StoreAddress
    prediction_log: PredictionLog
    limits: Limits
    lookup: Lookup | None = Field(default=None, exclude_if=is_none)
    """The predictions that it answers from; None: the model answers all."""
    cors_origins: tuple[WebOrigin, ...] = ()
    """Pages of these origins may ask it."""
    queue: TaskQueue | None = Field(default=None, exclude_if=is_none)
    """How it takes tasks; None: it takes none."""
    postprocessing: tuple[PostprocessingStep, ...] = Field(default=(), exclude_if=is_empty)
    """Steps between what the model answers and what a client gets."""
    interface: Interface = Field(default=Interface.REST, exclude_if=is_rest)
    """How clients ask it for predictions."""
    proto: str = Field(default="", exclude_if=is_empty)
    """The contract's own definition in Protocol Buffers; empty where it has no such service."""
    review: Review | None = Field(default=None, exclude_if=is_none)
    """Which of its answers people look at; None: none."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """How personal data are kept; None: nothing is said of them, and every request may be kept."""
    expectations: Expectations | None = Field(default=None, exclude_if=is_none)
    """What is expected of requests beyond the contract; None: nothing."""
    environment: ModelEnvironment | None = Field(default=None, exclude_if=is_none)
    """Packages of the model's own; None where it runs in what is installed."""
    runtime: Runtime | None = None
    """None where it was declared before this was recorded: it runs on the library that is installed where a replica starts."""


class Desired(ReplicaScale):
    """What an application shall be."""

    version: Version
    startup_timeout_seconds: Annotated[float, Field(gt=0)]
    strategy: Strategy
    placement: Placement | None = Field(default=None, exclude_if=is_none)
    """Where its replicas run; None: wherever there is room."""
    cluster: str = Field(default="", exclude_if=is_empty)
    """The URL of the Ray cluster that its replicas are to run on; empty for whichever the controller works on. The same
    version on another cluster is a rollout."""


class Origin(Model):
    """Who declared something, from what."""

    by: str
    """A person or a CI job, e.g. `ada` or `ci`."""
    commit: str | None = None
    """The program's Git commit; None where it is in none."""
    dirty: bool = False
    """Whether the checkout differed from the commit."""

    @property
    def known_commit(self) -> str:
        """The commit that has what was declared; empty where none has: the checkout differed from it, or there was none."""
        return self.commit if self.commit and not self.dirty else ""


class Declaration(Model):
    """What an application shall be, and who says so."""

    desired: Desired
    origin: Origin | None = None
    retry_refused: bool = False
    """Ship it although it was rolled back before."""


class ActionRequest(Model):
    """A person's word on a rollout."""

    by: str
    reason: str = ""
    rollout: int | None = None
    """Its number, where the word is not for whichever is on its way."""
    step: int | None = None
    """Which of its steps (`Rollout.step`, from 0) the person read of, where the word is not for whichever it is at."""


class RollbackRequest(Model):
    """What to go back to."""

    by: str
    to: int | None = None
    """An entry of the ledger; by default what served before the present version."""
    expected: Digest | None = None
    """The fingerprint of what a person was shown (`RollbackTarget`): where it would go to anything else, it is a conflict."""
    reason: str = ""


class RollbackTarget(Model):
    """What a rollback that names no entry goes back to: chosen, and not done."""

    desired: Desired
    fingerprint: Digest
    """Of all of `desired`."""
    warm: bool
    """Its replicas are still there and healthy: nothing has to start, and nothing is fetched."""
    entry: int | None = None
    """The entry of the ledger that says that it served; None where that is known without the ledger."""
    at: float | None = None
    """When that entry was made, Unix time, seconds."""


class ServingArguments(Model):
    """The `args` of `heliostat.serving.replica:build`, the Serve application of one version in one colour."""

    application: Name
    route_prefix: str
    """Serve's own, e.g. `/_/flights/blue`; clients never see it."""
    public_path: str
    """What clients see, e.g. `/flights`; OpenAPI says it."""
    replicas: int
    cpus_per_replica: float
    gpus_per_replica: float = 0.0
    placement: Placement | None = None
    max_ongoing_requests: int
    version: Version
    spool: str | None = None
    """Directory of this node for the prediction log's spool; by default one below the node's temporary folder."""


class ReplicaSettings(Model):
    """What changes in a replica while it runs: its deployment's `user_config`, which Serve hands to `reconfigure`."""

    max_ongoing_requests: Annotated[int, Field(ge=1)]


class Phase(StrEnum):
    """Where a rollout is. The last three are its ends."""

    PENDING = "pending"
    STARTING = "starting"
    """The candidate's replicas start."""
    TESTING = "testing"
    """Golden requests go to each replica of the candidate."""
    SHIFTING = "shifting"
    """Traffic moves to the present step's share."""
    ANALYSING = "analysing"
    """The present step's checks gather their figures; in a shadow, or before the traffic moves, the candidate has no share."""
    PAUSED = "paused"
    """The present step lasts its time."""
    WAITING = "waiting"
    """For a person to approve or abort."""
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
    started_at: float
    ended_at: float | None = None
    step: int = 0
    """Which of its steps it is at, from 0."""
    steps: tuple[str, ...] = ()
    """Its steps in words, e.g. `10 % of the traffic, analysed for 30 s`."""
    until: float | None = None
    """When the present pause, analysis, window or patience ends, Unix time; None where nothing is timed."""
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
    analyses: tuple[AnalysisResult, ...] = ()
    """Those that ended, and last the one that goes on."""
    origin: Origin | None = None
    from_cluster: str = ""
    """The cluster that what served before runs on; empty where that is not known, or nothing served."""
    to_cluster: str = ""

    @property
    def moves(self) -> bool:
        """Whether it leaves a cluster: it is through once nothing of it is left there, as that cluster may go then."""
        return "" not in (self.from_cluster, self.to_cluster) and self.from_cluster != self.to_cluster


class VersionSample(Model):
    """One version in a sample: its predictions, and how many other requests there were."""

    replicas: int
    """That are healthy."""
    requests_per_second: float
    failed_per_second: float
    rejected_per_second: float = 0.0
    """Those beside them that the contract does not take."""
    others_per_second: float = 0.0
    """Pages, probes, and whatever else is no prediction."""
    p50_ms: float | None = None
    p99_ms: float | None = None


class Sample(Model):
    """An application's traffic since the sample before."""

    at: float
    """Unix time, seconds."""
    candidate_weight: float
    """0 to 1."""
    candidate: VersionSample | None
    serving: VersionSample | None
    unanswered_per_second: float = 0.0
    """Predictions for which no replica of any version was there, as in the gap of recreate."""


class Record(Model):
    """A rollout with its figures over time, about one sample a second."""

    application: Name
    rollout: Rollout
    samples: tuple[Sample, ...]


class BlockedVersion(Model):
    """A declaration that was rolled back."""

    fingerprint: Digest
    """Of its version and of what it has to pass: another limit is another one, another number of replicas is not."""
    identity: str
    """What it would run as; once that serves, the refusal is forgotten. Empty where only its label is still known."""
    label: str
    rollout: int
    at: float
    reason: str
    cluster: str = Field(default="", exclude_if=is_empty)
    """Where it is not to come, where it serves elsewhere; empty: nowhere."""


class Status(Model):
    """An application as the controller sees it."""

    name: Name
    desired: Desired | None
    pending: bool = False
    """`desired` has not been looked at yet: `rollout` may be of a time before it."""
    serving: Version | None
    """What answers clients now; None while nothing does."""
    healthy_replicas: int
    rollout: Rollout | None
    """The newest."""
    refused: tuple[BlockedVersion, ...] = ()
    """What was rolled back and is not shipped again by itself, the newest first."""
    url: str
    cluster: str = ""
    """The cluster that `serving` runs on; empty where that is not known."""


class Plan(Model):
    """What declaring `Desired` would do, in words for a preview."""

    changes: bool
    lines: tuple[str, ...]
    gap_seconds: float | None = None
    """Expected time without service; measured from earlier starts where there were any. None: no gap."""
    extra_replicas: int = 0
    """Replicas needed on top, at most, while it runs."""
    extra_workers: int = 0
    """Replicas of workers of tasks that are needed on top, beside them."""
    extra_cpus: float = 0.0
    """Of all of these."""
    extra_gpus: float = 0.0
    shortage: str | None = None
    """Why the cluster cannot hold it, and what to do; None where it can, or where that is not known."""
    refused: BlockedVersion | None = None
    """Where it was rolled back before and would not be shipped."""


class Health(Model):
    """The controller's own health."""

    version: str
    haproxy: bool
    ray: bool
    ray_url: str = ""
    """The cluster that it works on; empty from a controller that is older than this."""
    former_ray_urls: tuple[str, ...] = ()
    """Clusters that it worked on before, and that something of an application is left on."""
    groups: dict[str, int] = {}
    """The most workers that each group of nodes may come to, where an autoscaler brings them."""
    public_url: str
    store_error: str = ""
    """Why what is decided could not be written down of late, as on a full disk; empty where it is."""
