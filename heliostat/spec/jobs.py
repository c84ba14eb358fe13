"""What each job on a cluster is told: the provider writes it into the object store, `heliostat.jobs` reads it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Digest, EntryPoint, Model, Name, Parameters, is_empty, is_none
from heliostat.spec.batch import BatchRun, Column, Sink, Source
from heliostat.spec.budget import TrainingBudget
from heliostat.spec.ensembles import Ensemble
from heliostat.spec.federated import CoordinatorListener, DeliveredPackage, FederatedRules, Site
from heliostat.spec.groups import ChosenGroup
from heliostat.spec.packages import DistributionName
from heliostat.spec.personal import Privacy
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.problem import Problem
from heliostat.spec.snapshot_settings import SampleShare
from heliostat.spec.tasks import Task
from heliostat.spec.tuning import Tuning
from heliostat.spec.workload import Gate, Scaling


class WholeSnapshot(Model):
    """A snapshot, wherever it lies, for whoever only reads it."""

    key: str
    digest: Digest
    store: StoreAddress


class SnapshotSpecification(Model):
    """Make a data set's snapshot; its manifest goes to `result_key` as well."""

    name: Name
    entry_point: EntryPoint
    parameters: Parameters
    task: Task | None = None
    """What the label is held against."""
    identity: Digest | None = None
    """The making's; None in what an earlier release wrote."""
    code_digest: Digest | None = None
    data_schema: str | None = None
    """What the workload expects of its data, as YAML."""
    ingestion: dict[str, Any] | None = None
    """Where the rows come from that the entry point is given as its second argument (`heliostat.data.ingestion`)."""
    previous: str | None = None
    """The key of the snapshot that this one comes after: the reference of limits on drift."""
    sample: SampleShare | None = None
    """The share of the rows that is taken; by default all."""
    whole: WholeSnapshot | None = None
    """The snapshot that a sample is taken of; None: what the data function returns."""
    personal: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Columns that the workload's contract marks as personal: what is told of the job quotes none of their values."""
    store: StoreAddress
    result_key: str


class TrainSpecification(Model):
    """Train, and log the run."""

    name: Name
    digest: Digest
    """The training's identity."""
    entry_point: EntryPoint
    code_digest: Digest
    dataset_key: str
    dataset_digest: Digest
    parameters: Parameters
    problem: Problem | None = None
    """The task that the model is for, and the workload's own metrics."""
    scaling: Scaling
    group: ChosenGroup | None = None
    """The nodes that it runs on; by default wherever there is room."""
    max_failures: int
    budget: TrainingBudget | None = None
    continue_from: str | None = None
    """`models:/<name>/<version>`"""
    ensemble: Ensemble | None = Field(default=None, exclude_if=is_none)
    tuning: Tuning | None = None
    store: StoreAddress
    tracking_uri: str
    experiment: str | None = None
    """MLflow's, for a run that is not there yet; by default the one that is called as the training is."""
    submission_id: str


class FederateSpecification(Model):
    """Train over sites, and log the run."""

    name: Name
    digest: Digest
    """The training's identity."""
    entry_point: EntryPoint
    """A `Federation` of `heliostat.ml.federated`."""
    code_digest: Digest
    dataset_key: str
    dataset_digest: Digest
    parameters: Parameters
    problem: Problem | None = None
    rules: FederatedRules
    sites: dict[Name, Site]
    coordinator: CoordinatorListener
    round_seconds: float
    timeout_seconds: float
    store: StoreAddress
    tracking_uri: str
    experiment: str | None = None
    """As of a `TrainSpecification`."""
    submission_id: str


class DeliverSpecification(Model):
    """Offer a wheel to a federation's sites."""

    name: Name
    """The federation's."""
    package: DeliveredPackage
    sites: dict[Name, Site]
    coordinator: CoordinatorListener
    delivery_seconds: float
    store: StoreAddress


class EvaluateSpecification(Model):
    """Score models on the test split; the report goes to `result_key`."""

    name: Name
    candidate: str
    """`models:/<model id>`"""
    run_id: str | None = None
    """MLflow's run that made it, which the pictures are put to."""
    incumbent: str | None
    """`models:/<name>/<version>`; None where nothing serves."""
    dataset_key: str
    dataset_digest: Digest
    gate: Gate
    problem: Problem | None = None
    """What is measured; by default the labels decide."""
    store: StoreAddress
    tracking_uri: str
    result_key: str


class SpecificationAddress(Model):
    """The argument of a job: where its specification lies."""

    store: StoreAddress
    key: str


class PackageSpecification(Model):
    """Make a wheel of a model and store it; its entry of the ledger goes to `result_key` as well."""

    application: Name
    distribution: DistributionName
    contract: EntryPoint
    model_uri: str
    """`models:/<name>/<version>`"""
    data_digest: str
    postprocessing: tuple[PostprocessingStep, ...] = ()
    origin: str
    store: StoreAddress
    tracking_uri: str
    result_key: str


class BatchSpecification(Model):
    """Predict many rows; the result goes to where `heliostat.spec.predictions` says, and its `Current` to `result_key`."""

    name: Name
    application: Name
    contract: EntryPoint
    code_digest: Digest
    model_uri: str
    """`models:/<name>/<version>`"""
    source: Source
    dataset_key: str = ""
    """Of the snapshot that the source is a split of; empty of another source."""
    sink: Sink
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    postprocessing: tuple[PostprocessingStep, ...] = ()
    run: BatchRun
    store: StoreAddress
    tracking_uri: str
    environment_digest: str = ""
    """Of the packages of the model's own that it runs with; empty where it runs in what is installed."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """The keys that personal fields are hashed with, in what is kept of the rows."""
    result_key: str = ""
    """Empty where nobody waits for it."""
