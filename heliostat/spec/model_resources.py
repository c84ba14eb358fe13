"""Inputs and outputs of what a model is to a stack: a version, one of others, a delivery, a package."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heliostat.spec.addresses import Access, ControllerAddress, RayAddress, StoreAddress
from heliostat.spec.base import Digest, EntryPoint, Model, Name, is_empty
from heliostat.spec.federated import CoordinatorListener, Site
from heliostat.spec.logged_models import ModelEnvironment, ModelSource
from heliostat.spec.model_contracts import ModelInterface, ModelTask, Recorded
from heliostat.spec.packages import DistributionName, PackageIndex
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code, DatasetAddress
from heliostat.spec.workload import Gate


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
