"""One entry of the `workloads` section of a stack's config: the knobs of a workload that differ between stacks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from heliostat.spec.base import Model, Name, Parameters, RegisteredModel, is_empty, is_none
from heliostat.spec.batch import Batch, Lookup, SnapshotSource, SqliteSink
from heliostat.spec.budget import TrainingBudget
from heliostat.spec.distribution import DataParallel, Distribution, Elastic, is_usual, misfitting
from heliostat.spec.ensembles import Ensemble
from heliostat.spec.expectations import Expectations
from heliostat.spec.fairness import Fairness
from heliostat.spec.federated import Federation
from heliostat.spec.ingestion import DataSettings
from heliostat.spec.logged_models import ModelSource
from heliostat.spec.metrics import MetricName
from heliostat.spec.monitors import Monitor
from heliostat.spec.monitors_of_others import mistakes_of_others
from heliostat.spec.packages import Package
from heliostat.spec.personal import Privacy
from heliostat.spec.postprocessing import PostprocessingStep, told_apart
from heliostat.spec.review import Review
from heliostat.spec.strategies import BlueGreen, Strategy
from heliostat.spec.task_queue import TaskQueue
from heliostat.spec.tuning import Tuning

_ROUNDING = 1e-9


Share = Annotated[float, Field(ge=0.0, le=1.0)]


WebOrigin = Annotated[str, Field(pattern=r"^(\*|https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?)$")]
"""An origin as browsers send it: scheme, host in lower case, a port if not the scheme's own, and nothing behind it; or `*`."""


class Scaling(Model):
    """How wide a training runs."""

    workers: Annotated[int, Field(ge=1, le=512)] = 2
    """Processes that train beside each other."""
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1.0
    """What each of them holds of its node."""
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0.0
    """Accelerators that each of them holds; on a group with GPUs one where nothing is said, of TPUs all of a host."""
    group: Name | None = Field(default=None, exclude_if=is_none)
    """The group of the platform's nodes that it runs on; by default wherever there is room."""
    distribution: Distribution = Field(default_factory=DataParallel, exclude_if=is_usual)
    """How the workers work together: `data-parallel` (in step, the default), `elastic`, `tpu-slices` or `parameter-server`."""

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_there_is_room_for(cls, given: Any) -> Any:
        found = given.get("distribution") if isinstance(given, Mapping) and "workers" not in given else None
        if isinstance(found, Mapping) and found.get("kind") == "elastic":
            most = found.get("maxWorkers", found.get("max_workers"))
        else:
            most = found.max_workers if isinstance(found, Elastic) else None
        return given if most is None else {**given, "workers": most}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problem := misfitting(self.distribution, self.workers, self.group):
            raise ValueError(problem)
        return self

    @property
    def fewest(self) -> int:
        """How many workers have to run at once; it waits with fewer."""
        return self.distribution.min_workers if isinstance(self.distribution, Elastic) else self.workers


def workers_that_fit(scaling: Scaling, cpus: float, gpus: float) -> int:
    """How many workers a node of so many CPUs and GPUs can hold; with nothing else on it."""
    by_cpus = math.floor(cpus / scaling.cpus_per_worker + _ROUNDING)
    return min(by_cpus, math.floor(gpus / scaling.gpus_per_worker + _ROUNDING)) if scaling.gpus_per_worker else by_cpus


class TrainingCluster(StrEnum):
    """The Ray cluster that a training runs on."""

    SHARED = "shared"
    """The platform's, whose autoscaler brings nodes and takes them away."""
    OWN = "own"
    """One that KubeRay makes for it, with nodes of its group alone, and that goes with its end."""


class Training(Model):
    """How a training runs."""

    cluster: TrainingCluster = TrainingCluster.SHARED
    """The Ray cluster that it runs on. One of its `own` needs a platform in Kubernetes, and `scaling.group`."""
    scaling: Scaling = Field(default_factory=Scaling)
    """How many workers there are, and how large."""
    max_failures: Annotated[int, Field(ge=0, le=100)] = 2
    """How often Ray Train starts failed workers again, from the last checkpoint."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """How long a training may take; then it is stopped and has failed."""
    parameters: Parameters = {}
    """Overrides of the workload's own parameters, by name."""
    budget: TrainingBudget | None = Field(default=None, exclude_if=is_none)
    """What it may take before it ends in order, and what follows then; by default it ends by itself."""
    continue_from: RegisteredModel | None = Field(default=None, exclude_if=is_none)
    """The registered version that it continues from, as `models:/<name>/<version>`; by default it begins anew."""
    ensemble: Ensemble | None = Field(default=None, exclude_if=is_none)
    """A model before it that answers together with the one that is trained; by default that one answers alone."""
    tuning: Tuning | None = Field(default=None, exclude_if=is_none)
    """A small search for better parameters, before the training; by default none."""

    @property
    def combined_with(self) -> Ensemble | None:
        """The ensemble that its model becomes a part of; None where it answers alone."""
        return self.ensemble if self.ensemble is not None and self.ensemble.model is not None else None

    @model_validator(mode="after")
    def _keeps_what_was_known_one_way(self) -> Self:
        if self.continue_from is not None and self.ensemble is not None and self.ensemble.model is not None:
            raise ValueError(
                f"continueFrom is {self.continue_from} and ensemble.model is {self.ensemble.model}: the new model either goes "
                "on from an older one or answers together with it; leave one of them out"
            )
        return self


class OnRefusal(StrEnum):
    """What an update does with a candidate that the gate refuses."""

    FAIL = "fail"
    KEEP = "keep"
    """Keep the version that serves and succeed with a warning."""


class Slice(Model):
    """A part of the test data that is judged on its own: each value of a column."""

    column: str
    """A column of the test data."""
    margin: Annotated[float, Field(ge=0)] = 0.02
    """How much worse than the serving version a candidate may be on any value, in the metric's unit."""
    min_rows: Annotated[int, Field(ge=1)] = 500
    """Values with fewer test rows are not judged: their metric is noise."""


class Gate(Model):
    """What a candidate must reach before it is registered."""

    metric: MetricName | None = None
    """One of the metrics of the workload's task, or of its own; it knows which direction is better. By default the task's
    first, and `roc_auc` where the workload declares no task."""
    margin: Annotated[float, Field(ge=0)] = 0.005
    """How much worse than the serving version a candidate may be overall, in the metric's unit."""
    slices: tuple[Slice, ...] = ()
    """Parts of the test data that are judged on their own too."""
    fairness: tuple[Fairness, ...] = Field(default=(), exclude_if=is_empty)
    """What a candidate of two classes may differ by between groups of people; it needs the extra `fairness`."""
    beat_baseline_by: float = 0.0
    """How much better than the run's baseline a candidate must be, in the metric's unit."""
    on_refusal: OnRefusal = OnRefusal.FAIL
    """What follows where the candidate does not pass."""


class PredictionLog(Model):
    """What is kept of the answers."""

    sampling_rate: Share = 1.0
    """Share of the requests that is logged; 0 logs none."""
    flush_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """The most that a crash can lose."""
    file_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    """Size at which a Parquet file is closed and stored."""
    roll_seconds: Annotated[float, Field(gt=0)] = 900.0
    """Age at which a Parquet file is closed and stored, whatever its size."""


class Limits(Model):
    """What one request may hold."""

    max_body_bytes: Annotated[int, Field(ge=1)] = 1_048_576
    """A larger body, decoded, is refused (413)."""
    max_rows: Annotated[int, Field(ge=1)] = 1_000
    """More rows in one request are refused (422)."""


class ReplicaScale(Model):
    """How many replicas there are, what each holds of its node, and how much it takes at a time.

    From the config to the controller these travel as they are here: another one is added here, and where it is acted upon.
    """

    replicas: Annotated[int, Field(ge=1, le=1024)] = 2
    """Processes that answer beside each other."""
    cpus_per_replica: Annotated[float, Field(ge=0)] = 1.0
    """What each of them holds of its node."""
    gpus_per_replica: Annotated[float, Field(ge=0)] = 0.0
    """Accelerators that each replica holds; a strategy that starts the new version beside the old one needs them twice."""
    max_ongoing_requests: Annotated[int, Field(ge=1)] = 64
    """Requests that one replica works on at a time."""


class Interface(StrEnum):
    """How clients ask for predictions."""

    REST = "rest"
    """Over HTTP: the contract's own JSON, and the Open Inference Protocol."""
    GRPC = "grpc"
    """By calls: the contract's own service, and the Open Inference Protocol. Its pages and its health stay on HTTP."""
    BOTH = "both"

    @property
    def has_grpc(self) -> bool:
        """Whether calls are answered."""
        return self is not Interface.REST

    @property
    def has_rest(self) -> bool:
        """Whether predictions are answered over HTTP."""
        return self is not Interface.GRPC


def is_rest(value: object) -> bool:
    """Whether an interface is left out where a model is written: it is what there was before there was a choice."""
    return value is Interface.REST


class AnswerSettings(Model):
    """What decides what an application takes, answers and keeps, beside its code and its model. They travel alike."""

    prediction_log: PredictionLog = Field(default_factory=PredictionLog)
    """What is kept of requests and answers."""
    limits: Limits = Field(default_factory=Limits)
    """What one request may hold."""
    lookup: Lookup | None = Field(default=None, exclude_if=is_none)
    """That it answers from predictions that were made beforehand; what has none is asked of the model, or refused."""
    cors_origins: tuple[WebOrigin, ...] = ()
    """Origins whose pages may use the application from a browser, as `https://app.example.com`; `*` is every origin."""
    queue: TaskQueue | None = Field(default=None, exclude_if=is_none)
    """That it takes tasks too, which are answered later; by default it takes none."""
    postprocessing: tuple[PostprocessingStep, ...] = Field(default=(), exclude_if=is_empty)
    """Steps between what the model answers and what a client gets, the first first; in a config they follow the workload's
    own. Batch predictions, packages and tasks have them too."""
    interface: Interface = Field(default=Interface.REST, exclude_if=is_rest)
    """How clients ask for predictions. For gRPC `heliostat proto` writes the `contract.proto` of the workload's folder."""
    review: Review | None = Field(default=None, exclude_if=is_none)
    """Which answers people look at; by default none."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """Keys for the contract's personal fields, and how a request consents to being kept."""
    expectations: Expectations | None = Field(default=None, exclude_if=is_none)
    """That requests are held to the workload's `schema.yaml`; by default to the contract alone."""

    @field_validator("postprocessing")
    @classmethod
    def _told_apart(cls, steps: tuple[PostprocessingStep, ...]) -> tuple[PostprocessingStep, ...]:
        return told_apart(steps)


class Serving(ReplicaScale, AnswerSettings):
    """How an application answers."""

    strategy: Strategy = Field(default_factory=BlueGreen)
    """How the next version takes the place of this one: by default all at once, when its golden requests are right."""
    startup_timeout_seconds: Annotated[float, Field(gt=0)] = 180.0
    """How long a new version may take until it is healthy."""
    group: Name | None = Field(default=None, exclude_if=is_none)
    """The group of the platform's nodes that its replicas run on; by default wherever there is room."""


class Workload(Model):
    """A workload in one stack."""

    model: RegisteredModel | None = None
    """Pins the served version, as `models:/<name>/<version>`: nothing is trained or judged for it."""
    mlflow: ModelSource | None = Field(default=None, exclude_if=is_none)
    """A model that others logged with MLflow, served with no code by the contract in the workload's folder, which
    `heliostat contract` writes: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-ID`, `runs:/ID/NAME`, or the address
    (`s3://`, `gs://`, `file:///`) of the folder that holds its `MLmodel`. It excludes `model`, `training` and `gate`."""
    data: DataSettings | None = Field(default=None, exclude_if=is_none)
    """Where its rows come from and up to when, where the workload ingests them."""
    training: Training = Field(default_factory=Training)
    """How its model is trained."""
    federated: Federation | None = Field(default=None, exclude_if=is_none)
    """That it is trained over sites that keep their rows; of `training` only `parameters` count then."""
    data_parameters: Parameters = Field(default={}, exclude_if=is_empty)
    """Overrides of the parameters that its data set is made with, by name; a proposed retraining sets one."""
    gate: Gate = Field(default_factory=Gate)
    """What a candidate is measured against before it is registered."""
    serving: Serving = Field(default_factory=Serving)
    """How it is served."""
    batch: dict[Name, Batch] = Field(default={}, exclude_if=is_empty)
    """Predictions over many rows, made beforehand, by their names."""
    monitor: Monitor | None = Field(default=None, exclude_if=is_none)
    """What is watched of it once it serves, and who is told; by default nothing."""
    package: Package | None = Field(default=None, exclude_if=is_none)
    """That its model is a package too, as `{}`: a wheel to be installed where no service is to be asked."""

    @model_validator(mode="after")
    def _looks_up_what_there_is(self) -> Self:
        lookup = self.serving.lookup
        if lookup is None:
            return self
        if lookup.batch not in self.batch:
            there = ", ".join(self.batch) or "none"
            raise ValueError(f"serving.lookup.batch is {lookup.batch!r}: of `batch` there are {there}")
        if not isinstance(self.batch[lookup.batch].sink, SqliteSink):
            raise ValueError(f"serving.lookup answers from a SQLite file: give batch.{lookup.batch} `sink: {{kind: sqlite}}`")
        return self

    @model_validator(mode="after")
    def _trains_in_one_way(self) -> Self:
        if self.federated is None:
            return self
        if self.model is not None:
            raise ValueError("`model` pins a version, so `federated` would train nothing: leave one of them out")
        if idle := sorted(to_camel(name) for name in self.training.model_fields_set - {"parameters"}):
            raise ValueError(
                f"training.{', training.'.join(idle)} would do nothing: the sites train (`federated`); leave them out, only "
                "training.parameters count"
            )
        return self

    @model_validator(mode="after")
    def _trains_or_takes(self) -> Self:
        if self.mlflow is None:
            return self
        if given := sorted({"model", "training", "federated", "gate", "data_parameters"} & self.model_fields_set):
            names = " and ".join(f"`{to_camel(name)}`" for name in given)
            raise ValueError(f"`mlflow` names a model that is there, so {names} would do nothing: leave one of them out")
        if self.package is not None:
            raise ValueError(
                "`package` is for a workload with code: what loads a model of others is MLflow, which a package leaves out. "
                "Leave `package` out, and have its answers made beforehand (`batch`) or by the service"
            )
        if self.monitor is not None and (told := mistakes_of_others(self.monitor)):
            paths = (".".join(map(str, ("monitor", *each.path))) for each in told)
            raise ValueError("; ".join(f"{path}: {each.text}" for path, each in zip(paths, told, strict=True)))
        if split := [name for name, batch in self.batch.items() if isinstance(batch.source, SnapshotSource)]:
            raise ValueError(
                f"batch.{split[0]}.source is a split of the workload's snapshot, and a model of others has none here: name "
                "`parquet` files or a `query`"
            )
        return self


Workloads = dict[Name, Workload]
