"""Inputs and outputs of what answers: applications, and predictions of a whole table."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from heliostat.spec.addresses import Access, ControllerAddress, RayAddress, StoreAddress
from heliostat.spec.base import Digest, EntryPoint, Name, is_empty, is_none
from heliostat.spec.batch import ANSWER, CHANGES, BatchRun, Column, Sink, Source
from heliostat.spec.groups import ChosenGroup, replicas_misfit, workers_misfit
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.spec.personal import Privacy
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.strategies import Strategy
from heliostat.spec.training_resources import Code, DatasetAddress
from heliostat.spec.workload import AnswerSettings, ReplicaScale


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
