"""Inputs and outputs of the provider's resources: what the classes in `heliostat.resources` declare, what the plugin's
`check` validates, and what stands in a stack's state.

Nothing here is secret but a Token's value: addresses say where a token is found. Nothing here changes while the declared thing
stays the same: process ids and times live beside the processes, or every refresh would find drift.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AllowInfNan, Field, model_validator

from heliostat.spec.addresses import Access, ControllerAddress, RayAddress, SharedToken
from heliostat.spec.base import Digest, EntryPoint, Model, Name, Parameters, is_empty, is_none
from heliostat.spec.batch import ANSWER, CHANGES, BatchRun, Column, Sink, Source
from heliostat.spec.budget import TrainingBudget
from heliostat.spec.cluster_requirements import ClusterRequirements
from heliostat.spec.federated import CoordinatorListener, FederatedRules, Site, impossible
from heliostat.spec.groups import ChosenGroup, replicas_misfit, workers_misfit
from heliostat.spec.logged_models import ModelEnvironment, ModelSource
from heliostat.spec.model_contracts import ModelInterface, ModelTask, Recorded
from heliostat.spec.own_cluster import OwnCluster, groupless
from heliostat.spec.packages import DistributionName, PackageIndex
from heliostat.spec.personal import Privacy
from heliostat.spec.platforms.base import Host, OnDestroy, Port
from heliostat.spec.platforms.local import RayNode, RayWorkers
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.problem import Problem
from heliostat.spec.roles import AccessPolicy
from heliostat.spec.scaling import misfit
from heliostat.spec.snapshot_settings import SampleShare
from heliostat.spec.strategies import Strategy
from heliostat.spec.tuning import Tuning
from heliostat.spec.workload import AnswerSettings, Gate, RegisteredModel, ReplicaScale, Scaling


class StoreAddress(Model):
    """Where objects lie; whoever has this can open the store."""

    uri: Annotated[str, Field(pattern=r"^(file:///|s3://|gs://).+")]
    """`file:///absolute/path`, `s3://bucket/prefix` or `gs://bucket/prefix`."""
    endpoint: str | None = None
    """URL of a bucket's server, where that is another than AWS's or Google's."""
    region: str | None = None


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


class Code(Model):
    """The source files that an entry point needs, at one state: what runs on the cluster is a copy, never the checkout."""

    root: str
    """Absolute path that `files` are relative to, on the machine where the program runs."""
    files: tuple[str, ...]
    digest: Digest
    """Of the files' names and contents and the library's version."""


class DatasetInputs(Model):
    """An immutable snapshot of a workload's data."""

    name: Name
    code: Code
    entry_point: EntryPoint
    """A function `(parameters) -> Tables | Parts` of the workload, both of `heliostat.ml.datasets`."""
    parameters: Parameters = {}
    problem: Problem | None = None
    """What its label is held against; by default it is a number."""
    data_schema: str | None = Field(default=None, exclude_if=is_none)
    """What the workload expects of it: the text of its `schema.yaml` (`heliostat.data.schema`)."""
    ingestion: dict[str, Any] | None = Field(default=None, exclude_if=is_none)
    """Where its rows come from (`heliostat.data.ingestion.Ingestion`); the entry point takes them as its second argument."""
    found: str | None = Field(default=None, exclude_if=is_none)
    """What tells the files that are there from others; filled in where the plugin sees them."""
    origin: StoreAddress | None = Field(default=None, exclude_if=is_none)
    """Another store, whose snapshots are taken by reference where it has them."""
    sample: SampleShare | None = Field(default=None, exclude_if=is_none)
    """The share of the rows that is taken; by default all."""
    store: StoreAddress
    ray: RayAddress


class DatasetAddress(Model):
    """A snapshot, by content."""

    uri: str
    digest: Digest
    sample: SampleShare | None = Field(default=None, exclude_if=is_none)
    """The share of the rows that it is a sample of; None of whole data."""


class DatasetOutputs(DatasetInputs):
    """The snapshot, its statistics and its schema."""

    address: DatasetAddress
    rows: dict[str, int]
    """Rows by split (`train`, `validation`, `test`)."""
    statistics_uri: str
    schema_uri: str


class TrainJobInputs(Model):
    """A training with Ray Train, submitted through Ray's Jobs API. Its identity is (code, data, parameters, scaling).

    The same identity gives the same model, interrupted or not; a run of which that is not so has the tag `heliostat.resumed`.
    """

    name: Name
    code: Code
    entry_point: EntryPoint
    """A function `(heliostat.ml.training.Context) -> None` of the workload: what one training worker runs."""
    dataset: DatasetAddress
    parameters: Parameters = {}
    scaling: Scaling = Field(default_factory=Scaling)
    group: ChosenGroup | None = None
    """The nodes that it runs on, where the scaling names some."""
    own_cluster: OwnCluster | None = None
    """That it runs on a Ray cluster of its own; by default on the one that is there."""
    gate: Gate | None = None
    """What its model will be judged by; a training whose model could not be judged is not begun."""
    problem: Problem | None = None
    """The task that its model is for, and the workload's own metrics."""
    max_failures: Annotated[int, Field(ge=0)] = 2
    timeout_seconds: Annotated[float, Field(gt=0)] = 3600.0
    budget: TrainingBudget | None = None
    """What it may take before it ends in order."""
    continue_from: RegisteredModel | None = None
    """The registered version that it continues from."""
    tuning: Tuning | None = None
    """A search for better parameters, before it."""
    store: StoreAddress
    ray: RayAddress
    tracking_uri: str
    tracking_access: Access | None = None
    experiment: str | None = Field(default=None, exclude_if=is_none)
    """The experiment of MLflow that its run is in, in a branch's environment; by default the one that is called as it is. What
    was trained in any of them is not trained again."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.group is not None and (problem := misfit(self.scaling, self.group)):
            raise ValueError(problem)
        if self.own_cluster is not None and self.group is None:
            raise ValueError(groupless(()))
        return self


class TrainJobOutputs(TrainJobInputs):
    """The finished run."""

    digest: Digest
    """The training's identity."""
    run_id: str
    """MLflow's run, with parameters, metrics, digests and the model."""
    model_uri: str
    """The run's model, as MLflow names it."""
    metrics: dict[str, Annotated[float, AllowInfNan()]]
    """On the validation split; the baseline's carry the prefix `baseline_`. Whatever was logged: also what is no number."""
    report_uri: str = ""
    """Where its time, memory and money went, as JSON in the object store; empty where an earlier release trained."""


class FederatedTrainingInputs(FederatedRules):
    """A training over sites that keep their rows. Its identity is (code, data it is judged on, parameters, rules, sites).

    The sites' rows are not known here: `data_version` names their state.
    """

    name: Name
    code: Code
    entry_point: EntryPoint
    """An object of a class below `heliostat.ml.federated.Federation` of the workload."""
    dataset: DatasetAddress
    """The coordinator's own rows: what models are measured and judged on; nothing is trained on them."""
    parameters: Parameters = {}
    gate: Gate | None = None
    """What its model will be judged by; a training whose model could not be judged is not begun."""
    problem: Problem | None = None
    """The task that its model is for, and the workload's own metrics."""
    sites: dict[Name, Site]
    coordinator: CoordinatorListener
    round_seconds: Annotated[float, Field(gt=0)] = 60.0
    timeout_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    data_version: str = ""
    store: StoreAddress
    ray: RayAddress
    tracking_uri: str
    tracking_access: Access | None = None
    experiment: str | None = Field(default=None, exclude_if=is_none)
    """As of a `TrainJobInputs`."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if problem := impossible(self.sites, self.min_sites, self.secure_aggregation):
            raise ValueError(problem)
        return self


class FederatedTrainingOutputs(FederatedTrainingInputs):
    """The finished run."""

    digest: Digest
    """The training's identity."""
    run_id: str
    """MLflow's run, with each round's metrics, by site where they are told."""
    model_uri: str
    """The run's model, as MLflow names it."""
    metrics: dict[str, Annotated[float, AllowInfNan()]]
    """On the coordinator's own validation split."""
    rows: dict[str, int]
    """Of each site in the last round."""


class ModelDeliveryInputs(Model):
    """A package of a model that the sites of a federation are given."""

    name: Name
    """The federation's."""
    distribution: DistributionName
    file: str
    version: str
    sha256: Digest
    sites: dict[Name, Site]
    coordinator: CoordinatorListener
    delivery_seconds: Annotated[float, Field(gt=0)] = 60.0
    code: Code
    store: StoreAddress
    ray: RayAddress


class ModelDeliveryOutputs(ModelDeliveryInputs):
    """The same, with who has loaded it."""

    delivered: tuple[Name, ...]


class ModelVersionInputs(Model):
    """A version of a registered model, admitted by a gate, or pinned."""

    name: Name
    """Of the registered model."""
    application: Name
    """The application whose serving version is the one to beat."""
    run_id: str | None = None
    model_uri: str | None = None
    """The candidate. None only where `pin` is given."""
    pin: str | None = None
    """`models:/<name>/<version>`: take this registered version as it is."""
    code: Code
    entry_point: EntryPoint
    """A class `heliostat.ml.contracts.Predictor` of the workload: how its models answer."""
    dataset: DatasetAddress
    gate: Gate = Field(default_factory=Gate)
    problem: Problem | None = None
    """The task that it is judged by, and the workload's own metrics."""
    store: StoreAddress
    ray: RayAddress
    tracking_uri: str
    tracking_access: Access | None = None
    controller: ControllerAddress


class ModelVersionOutputs(ModelVersionInputs):
    """The version to serve."""

    version: int
    served_model_uri: str
    """`models:/<name>/<version>`"""
    served_run_id: str
    served_data_digest: str = ""
    """Of the data that it was trained on; empty where the registry does not know."""
    verdict: str
    """`accepted`, `kept` (the candidate was refused and the stack keeps what serves) or `pinned`."""
    report_uri: str
    """The evaluation, as JSON in the object store; empty for a pinned version."""


class ExternalModelInputs(Model):
    """A model that others logged with MLflow, held to a contract, and a version of a registered model in the end."""

    name: Name
    """Of the registered model that it becomes a version of, where it is none yet."""
    source: ModelSource
    """Its address."""
    interface: ModelInterface
    """What its signature has to fit."""
    task: ModelTask
    """The kind of problem that it solves."""
    recorded: Recorded
    """The model that the contract's golden answers are of."""
    store: StoreAddress
    tracking_uri: str
    tracking_access: Access | None = None


class ExternalModelOutputs(ExternalModelInputs):
    """The version to serve."""

    version: int
    served_model_uri: str
    """`models:/<name>/<version>`"""
    environments: tuple[ModelEnvironment, ...] = ()
    """Packages of its own; none where it runs in what is installed. A list, for an output that is null is none to Pulumi."""


class ModelPackageInputs(Model):
    """A model version as a wheel: its files, its features and its contract, without Ray, MLflow or Pulumi."""

    name: Name
    """Of the application that answers as it does."""
    distribution: DistributionName
    """What it is installed by."""
    code: Code
    contract: EntryPoint
    """A `heliostat.ml.contracts.Contract` of the workload."""
    model_uri: str
    """`models:/<name>/<version>`"""
    data_digest: str = ""
    """Of the data that the model was trained on; empty where the registry does not know."""
    postprocessing: tuple[PostprocessingStep, ...] = Field(default=(), exclude_if=is_empty)
    """Steps between what the model answers and what the package gives."""
    index: PackageIndex | None = None
    """Where it is published besides the object store."""
    on_destroy: OnDestroy = OnDestroy.KEEP
    store: StoreAddress
    ray: RayAddress
    tracking_uri: str


class ModelPackageOutputs(ModelPackageInputs):
    """The wheel, once it can be installed."""

    version: str
    """By PEP 440: the model version's number, and how many wheels of it there were before."""
    file: str
    sha256: Digest
    uri: str
    """Of the wheel in the object store."""
    index_uri: str
    """Of the index in the object store, for pip's `--index-url`."""
    schema_digest: Digest
    """Of the JSON Schema of a row."""


class BatchPredictionInputs(BatchRun):
    """What a model version predicts for many rows, made beforehand."""

    name: Name
    application: Name
    """The application that answers as it does."""
    code: Code
    contract: EntryPoint
    """A `heliostat.ml.contracts.Contract` of the workload."""
    model_uri: str
    """`models:/<name>/<version>`"""
    dataset: DatasetAddress | None = None
    """The snapshot that the source is a split of."""
    source: Source
    sink: Sink
    key: tuple[Column, ...] = ()
    columns: tuple[Column, ...] = ()
    postprocessing: tuple[PostprocessingStep, ...] = Field(default=(), exclude_if=is_empty)
    """Steps between what the model answers and the answers that are kept beside its predictions."""
    schedule: str | None = None
    environment: ModelEnvironment | None = Field(default=None, exclude_if=is_none)
    """Packages of the model's own; None where it runs in what is installed."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """The application's: what the contract marks as personal is treated in what is kept of the rows."""
    store: StoreAddress
    ray: RayAddress
    tracking_uri: str

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.postprocessing and (taken := sorted({ANSWER, CHANGES} & {*self.key, *self.columns})):
            text = f"{', '.join(taken)} is what post-processing is kept as: no column of the rows may have that name"
            raise ValueError(f"{text}; rename it in the source")
        return self


class BatchPredictionOutputs(BatchPredictionInputs):
    """The same, once all rows are predicted. A schedule makes newer results, which are no drift."""

    result: str
    """The run's name: the digest of its rows and of what predicted them."""
    result_uri: str
    """Of its manifest."""


class ApplicationInputs(ReplicaScale, AnswerSettings):
    """A Ray Serve application of one model version behind a contract, moved into place by a strategy."""

    name: Name
    code: Code
    contract: EntryPoint
    """A `heliostat.ml.contracts.Contract` of the workload."""
    proto: str = Field(default="", exclude_if=is_empty)
    """The contract's own definition in Protocol Buffers (`heliostat.spec.proto`), for gRPC."""
    model_uri: str
    """`models:/<name>/<version>`"""
    data_digest: str = ""
    """Of the data that the model was trained on, for the ledger; it decides nothing by itself."""
    environment: ModelEnvironment | None = Field(default=None, exclude_if=is_none)
    """Packages of the model's own; None where it runs in what is installed."""
    startup_timeout_seconds: Annotated[float, Field(gt=0)] = 180.0
    group: ChosenGroup | None = None
    """The nodes that its replicas run on, where it names some."""
    strategy: Strategy
    store: StoreAddress
    tracking_uri: str
    tracking_access: Access | None = None
    controller: ControllerAddress
    cluster: str = ""
    """The URL of the Ray cluster that it is to run on: another one beside it is moved to by the strategy."""
    cluster_session: str = ""
    """The cluster's `session`. It decides nothing of what is served: on a cluster that was made anew the application starts
    again, and an update waits for that."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.group is not None and (problem := replicas_misfit(self.cpus_per_replica, self.gpus_per_replica, self.group)):
            raise ValueError(problem)
        if self.group is not None and self.queue is not None and (problem := workers_misfit(self.queue.workers, self.group)):
            raise ValueError(f"queue.workers: {problem}")
        if self.queue is not None and self.queue.broker.kind == "sqlite" and not self.store.uri.startswith("file:///"):
            raise ValueError(
                f"queue.broker: one of kind sqlite is a file beside a store on one machine, and this store is "
                f"{self.store.uri}: declare one of kind redis or sqs"
            )
        return self


class ApplicationOutputs(ApplicationInputs):
    """The application, once it serves."""

    digest: Digest
    """Of all that decides what it answers: code, model, contract, limits, log."""
    url: str
    openapi_url: str
