"""Inputs and outputs of data sets and trainings."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AllowInfNan, Field, model_validator

from heliostat.spec.addresses import Access, RayAddress, StoreAddress
from heliostat.spec.base import Digest, EntryPoint, Model, Name, Parameters, RegisteredModel, is_none
from heliostat.spec.budget import TrainingBudget
from heliostat.spec.ensembles import Ensemble, no_mean_of
from heliostat.spec.federated import CoordinatorListener, FederatedRules, Site, impossible
from heliostat.spec.groups import ChosenGroup
from heliostat.spec.own_cluster import OwnCluster, groupless
from heliostat.spec.problem import Problem
from heliostat.spec.scaling import misfit
from heliostat.spec.snapshot_settings import SampleShare
from heliostat.spec.tuning import Tuning
from heliostat.spec.workload import Gate, Scaling


class Code(Model):
    """The source files that an entry point needs, at one state: what runs on the cluster is a copy, never the checkout."""

    root: str
    """Absolute path that `files` are relative to, on the machine where the program runs."""
    files: tuple[str, ...]
    digest: Digest
    """Of the files' names and contents and the library's version."""


class ContractCode(Model):
    """A workload's contract, and the source files that it needs."""

    entry_point: EntryPoint
    code: Code


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
    contract: ContractCode | None = Field(default=None, exclude_if=is_none)
    """Says which columns are personal, whose values no error of the job may quote."""
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
    ensemble: Ensemble | None = Field(default=None, exclude_if=is_none)
    """A model before it that answers together with its own."""
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
        if self.ensemble is not None and (problem := no_mean_of(self.problem)):
            raise ValueError(problem)
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
