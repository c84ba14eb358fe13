"""From data to answers: the graph of a model that is trained, judged and served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from heliostat.layout import SourcesError, sources
from heliostat.resources import expectations
from heliostat.resources.application import Application, ServedVersion
from heliostat.resources.base import all_or_nothing
from heliostat.resources.batch_prediction import BatchPrediction
from heliostat.resources.dataset import Dataset
from heliostat.resources.federated_training import FederatedTraining
from heliostat.resources.model_delivery import ModelDelivery
from heliostat.resources.model_package import ModelPackage
from heliostat.resources.model_version import Candidate, ModelVersion
from heliostat.resources.monitor import Monitor
from heliostat.resources.platform import Platform
from heliostat.resources.postprocessing import below, with_code_digests
from heliostat.resources.train_job import TrainJob
from heliostat.spec.base import Parameters
from heliostat.spec.batch import ParquetSink, PostgresSink, SnapshotSource, batch_name
from heliostat.spec.code import CodeError, code_of
from heliostat.spec.data_sets import schema_file
from heliostat.spec.federated import Federation
from heliostat.spec.ingestion import DataSettings
from heliostat.spec.judging import gate_mistakes, metric_functions, resolved_gate, resolved_strategy, strategy_mistakes
from heliostat.spec.parameters import JobParameters
from heliostat.spec.postprocessing import PostprocessingStep, step_functions, told_apart
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.proto import PROTO_FILE
from heliostat.spec.retraining import UNTIL, moment_of
from heliostat.spec.strategies import functions_of
from heliostat.spec.tasks import DeclaredTask
from heliostat.spec.training_resources import Code, ContractCode
from heliostat.spec.tuning import space_mistakes
from heliostat.spec.workload import Workload

if TYPE_CHECKING:
    from heliostat.data.ingestion import Ingestion  # brings numpy, which a program without it does without
    from heliostat.data.schema import Transformed


@dataclass(frozen=True)
class ServedModelArgs:
    """A workload's own part of the declaration: its entry points, each as `package.module:name`, and its parameters."""

    root: Path
    """The checkout, which the entry points' modules are relative to."""
    dataset: str
    """A function `(parameters) -> Tables | Parts`, both of `heliostat.ml.datasets`."""
    train: str
    """A function `(heliostat.ml.training.Context) -> None`."""
    predictor: str
    """A class with the methods of `heliostat.ml.contracts.Predictor`."""
    contract: str
    """A `heliostat.ml.contracts.Contract`."""
    data_parameters: JobParameters
    """The parameters of the function `dataset`."""
    parameters: JobParameters
    """The parameters of the training; a stack's config overrides them."""
    problem: Problem = field(default_factory=Problem)
    """The task, and metrics of the workload's own."""
    postprocessing: tuple[PostprocessingStep, ...] = ()
    """Steps between what the model answers and what a client gets; a stack's config adds its own behind them."""
    ingestion: Ingestion | None = None
    """Where the rows come from that the function `dataset` is given."""
    federated: str = ""
    """An object of a class below `heliostat.ml.federated.Federation`; used where a stack trains over sites."""

    def __post_init__(self) -> None:
        """Refuse what an earlier release took.

        Raises:
            pulumi.RunError: parameters that are no object of such a class.
        """
        for what, of, given in (("data", self.dataset, self.data_parameters), ("training", self.train, self.parameters)):
            if not isinstance(given, JobParameters):
                raise pulumi.RunError(
                    f"the {what} parameters of {of} are a {type(given).__name__}: declare them in a class below "
                    "heliostat.spec.parameters.JobParameters, each with its type and default, and give an object of it"
                )

    def code(self, *entry_points: str) -> Code:
        """The source that entry points need.

        Raises:
            pulumi.RunError: where it cannot be found or read; the engine shows the text alone.
        """
        try:
            return code_of(self.root, *entry_points, sources=sources(self.root))
        except (CodeError, SourcesError) as error:
            raise pulumi.RunError(str(error)) from None

    def proto(self) -> str | None:
        """The contract's own definition in Protocol Buffers: `contract.proto` beside its module; None where there is none."""
        path = self.root.joinpath(*self.contract.partition(":")[0].split(".")).with_name(PROTO_FILE)
        return path.read_text() if path.is_file() else None

    def data_schema(self) -> str | None:
        """What is expected of the data: `schema.yaml` beside the module that makes them; None where there is none."""
        path = self.data_schema_file
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @property
    def data_schema_file(self) -> Path:
        """Where `schema.yaml` is, beside the module that makes the data."""
        return schema_file(self.root, self.dataset)

    def transformed(self) -> Transformed | None:
        """What `schema.yaml` expects after the workload's own transformation; None where it says nothing of it.

        Raises:
            pulumi.RunError: the module of its function is not in the checkout.
        """
        text = self.data_schema()
        if text is None or "transformed" not in text:
            return None
        from heliostat.data.schema import SchemaError, read

        try:
            found = read(text).transformed
        except SchemaError:
            return None  # the data set's checks tell it
        if found is not None:
            try:
                self.code(found.by)
            except pulumi.RunError as error:
                raise pulumi.RunError(f"{self.data_schema_file}: transformed.by is {found.by}: {error}") from None
        return found

    def ingested(self, name: str, settings: DataSettings | None) -> Ingestion | None:
        """Where the rows come from, as a stack has it; None where the data set's function reads by itself.

        Raises:
            pulumi.RunError: what the stack says does not fit.
        """
        if self.ingestion is None:
            if settings is not None:
                raise pulumi.RunError(
                    f"workloads.{name}.data: {name} ingests nothing, its function reads by itself: leave it out"
                )
            return None
        try:
            return self.ingestion.settled(settings)
        except ValueError as error:
            raise pulumi.RunError(f"workloads.{name}.data: {error}") from None

    def training_parameters(self, name: str, overrides: Parameters) -> Parameters:
        """All parameters of the training of `name`, with a stack's overrides.

        Raises:
            pulumi.RunError: with every override that does not fit.
        """
        return _overridden(f"the training parameters of {name}", self.parameters, overrides)

    def parameters_of_data(self, name: str, overrides: Parameters) -> Parameters:
        """All parameters of the data set of `name`, with a stack's overrides.

        Raises:
            pulumi.RunError: with every override that does not fit.
        """
        return _overridden(f"the data parameters of {name}", self.data_parameters, overrides)

    def declared_problem(self) -> Problem | None:
        """The problem with the digests of what its own metrics compute; None where nothing is declared."""
        if self.problem == Problem():
            return None
        metrics = [
            metric.model_copy(update={"code_digest": self.code(metric.function).digest}) for metric in self.problem.metrics
        ]
        return self.problem.model_copy(update={"metrics": tuple(metrics)})

    def declared_steps(self, further: tuple[PostprocessingStep, ...]) -> tuple[PostprocessingStep, ...]:
        """The workload's own steps and the stack's `further` ones, with the digests of their code.

        Raises:
            pulumi.RunError: two have one name, or the source of one cannot be found or read.
        """
        try:
            steps = told_apart((*self.postprocessing, *further))
        except ValueError as error:
            raise pulumi.RunError(str(error)) from None
        return with_code_digests(steps, self.code)

    def value_of_retraining(self, name: str, spec: Workload, parameters: Parameters) -> str | None:
        """What a retraining sets is by now, among the data set's `parameters` or as `data.until`; None where the policy names
        nothing, or no moment is declared.

        Raises:
            pulumi.RunError: it has none of that name.
        """
        policy = spec.monitor.retraining if spec.monitor is not None else None
        parameter = policy.data_parameter if policy is not None else None
        if parameter == UNTIL:
            if self.ingestion is None:
                told = f"monitor.retraining.dataParameter of {name} is {UNTIL}: the workload ingests no rows"
                raise pulumi.RunError(f"{told}, so name one of its `dataParameters`")
            until = spec.data.until if spec.data is not None else None
            return moment_of(until) if until is not None else None
        there = [*type(self.data_parameters).model_fields]
        if parameter is not None and parameter not in there:
            told = f"monitor.retraining.dataParameter of {name}: the data set has no parameter {parameter!r}"
            raise pulumi.RunError(f"{told}; it has {', '.join(there) or 'none'}")
        return str(parameters[parameter]) if parameter is not None else None

    def require_searchable(self, name: str, spec: Workload) -> None:
        """See that a tuning searches what the training's parameters take; a config that is read says so with its line.

        Raises:
            pulumi.RunError: with every mistake.
        """
        tuning = spec.training.tuning
        found = list(space_mistakes(tuning, self.parameters)) if tuning is not None else []
        if found:
            told = "; ".join(f"tuning.{'.'.join(path)}: {text}" for path, text in found)
            raise pulumi.RunError(f"what the training of {name} searches does not fit its parameters: {told}")

    def require_judgeable(self, name: str, spec: Workload) -> None:
        """See that the gate and the strategy's checks ask for what the task has; a config that is read says so with its line.

        Raises:
            pulumi.RunError: with every mistake.
        """
        written = spec.serving.strategy.model_dump(mode="json", by_alias=True)
        found = [("gate", *path, text) for path, text in gate_mistakes(spec.gate, self.problem)]
        found += [("serving", "strategy", *path, text) for path, text in strategy_mistakes(written, self.problem)]
        if found:
            told = "; ".join(f"{'.'.join(map(str, each[:-1]))}: {each[-1]}" for each in found)
            raise pulumi.RunError(f"what {name} is judged by does not fit its task: {told}")


def _overridden(what: str, parameters: JobParameters, overrides: Parameters) -> Parameters:
    if mistakes := parameters.mistakes(overrides):
        told = "; ".join(f"{'.'.join(map(str, each.path))}: {each.text}" for each in mistakes)
        raise pulumi.RunError(f"{what} do not fit: {told}")
    return parameters.overridden(overrides).values()


class ServedModel(pulumi.ComponentResource):
    """Dataset, TrainJob, ModelVersion and Application of one workload. A pinned version is served without a training.

    Args:
        name: The workload's name, and that of each of its resources.
        args: The workload's own part of the declaration.
        spec: The stack's part of it: the workload's section of the config.
        platform: Where it runs.
        opts: Pulumi's resource options.

    Attributes:
        url: The address at which clients reach the application.
        openapi_url: The address of its contract, as OpenAPI describes it.
        model_uri: The version that it is served with, as `models:/<name>/<version>`.
    """

    def __init__(
        self,
        name: str,
        args: ServedModelArgs,
        spec: Workload,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        args.require_judgeable(name, spec)
        args.require_searchable(name, spec)
        super().__init__("heliostat:index:ServedModel", name, {}, opts)
        spec = _own(spec) if platform.environment else spec
        child = pulumi.ResourceOptions(parent=self, depends_on=list(platform.ready))
        declared = args.declared_problem()
        problem = declared or Problem()
        ingestion = args.ingested(name, spec.data)
        further = [ingestion.augment] if ingestion is not None and ingestion.augment else []
        transformed = args.transformed()
        transforming = [transformed.by] if transformed is not None else []
        data_code, parameters = (
            args.code(args.dataset, *further, *transforming),
            args.parameters_of_data(name, spec.data_parameters),
        )
        data = Dataset(
            name,
            data_code,
            args.dataset,
            parameters,
            platform,
            child,
            problem=declared,
            data_schema=args.data_schema(),
            ingestion=ingestion,
            contract=ContractCode(entry_point=args.contract, code=args.code(args.contract)),
        )
        spec = spec.model_copy(update={"gate": resolved_gate(spec.gate, problem)})
        candidate = Candidate(pin=spec.model) if spec.model else self._trained(name, args, spec, platform, data, child)
        # A metric of the workload's own is computed with the code of the evaluation.
        code = args.code(args.predictor, *problem.functions)
        version = ModelVersion(
            name, candidate, code, args.predictor, data.address, spec.gate, platform, child, problem=declared
        )
        model = ServedVersion(version.model_uri, version.data_digest)
        # The checks of one's own run beside the traffic, with the code that the application is deployed with.
        strategy = resolved_strategy(spec.serving.strategy, problem)
        steps = args.declared_steps(spec.serving.postprocessing)
        code = args.code(args.contract, *step_functions(steps), *functions_of(strategy), *metric_functions(strategy))
        expected = expectations.resolved(name, spec.serving.expectations, args.data_schema_file)
        serving = spec.serving.model_copy(update={"strategy": strategy, "postprocessing": steps, "expectations": expected})
        proto = args.proto() if serving.interface.has_grpc else None
        predicted = self._predicted(name, args, spec, platform, data, model, child, steps)
        if serving.lookup is not None:
            # What answers from predictions waits for those of its own version.
            before = [*platform.ready, predicted[serving.lookup.batch]]
            batch = platform.own_name(batch_name(name, serving.lookup.batch))
            found = serving.lookup.model_copy(update={"batch": batch})
            serving = serving.model_copy(update={"lookup": found})
            child = pulumi.ResourceOptions(parent=self, depends_on=before)
        own = platform.own_name(name)
        application = Application(own, code, args.contract, model, serving, platform, child, proto=proto)
        if spec.package is not None:
            # Behind the application: what its strategy rolled back is no package.
            after = pulumi.ResourceOptions(parent=self, depends_on=[*platform.ready, application])
            code = args.code(args.contract, *step_functions(steps))
            package = ModelPackage(own, code, args.contract, model, spec.package, platform, after, postprocessing=steps)
            if spec.federated is not None:
                ModelDelivery(own, package, args.code(args.contract), spec.federated, platform, after)
        if spec.monitor is not None:
            value = args.value_of_retraining(name, spec, parameters)
            after = pulumi.ResourceOptions(parent=self, depends_on=[*platform.ready, application])
            code = args.code(args.contract, *problem.functions, *transforming)
            # Of what was kept although its candidate was refused the data are others than those of the candidate.
            tested = pulumi.Output.all(data.address, version.data_digest).apply(lambda found: _data_of(*found))
            scaling = spec.training.scaling if spec.federated is None else None
            trains_here = not spec.model and spec.federated is None
            Monitor(
                own, code, args.contract, model, tested, spec.monitor, platform, after, problem=declared, scaling=scaling,
                data_value=None if spec.model else value, transformed=transformed, privacy=spec.serving.privacy,
                new_data=ingestion.watched if ingestion is not None and trains_here else None,
            )  # fmt: skip
        self.url = application.url
        self.openapi_url = application.openapi_url
        self.model_uri = version.model_uri
        self.register_outputs({"url": self.url, "openapiUrl": self.openapi_url, "modelUri": self.model_uri})

    def _predicted(  # noqa: PLR0913 - what a declaration needs
        self,
        name: str,
        args: ServedModelArgs,
        spec: Workload,
        platform: Platform,
        data: Dataset,
        model: ServedVersion,
        child: pulumi.ResourceOptions,
        steps: tuple[PostprocessingStep, ...],
    ) -> dict[str, BatchPrediction]:
        """The predictions that are made beforehand, by their names in the config."""
        if not spec.batch:
            return {}
        code = args.code(args.contract, *step_functions(steps))
        return {
            each: BatchPrediction(
                platform.own_name(batch_name(name, each)),
                platform.own_name(name),
                code,
                args.contract,
                model,
                batch,
                platform,
                data.address if isinstance(batch.source, SnapshotSource) else None,
                child,
                postprocessing=steps,
                privacy=spec.serving.privacy,
            )
            for each, batch in spec.batch.items()
        }

    def _trained(
        self,
        name: str,
        args: ServedModelArgs,
        spec: Workload,
        platform: Platform,
        data: Dataset,
        child: pulumi.ResourceOptions,
    ) -> Candidate:
        if spec.federated is not None:
            return self._federated(name, args, spec, spec.federated, platform, data, child)
        run = TrainJob(
            name,
            args.code(args.train),
            args.train,
            data.address,
            args.training_parameters(name, spec.training.parameters),
            spec.training,
            platform,
            child,
            gate=spec.gate,
            problem=args.declared_problem(),
        )
        return Candidate(run_id=run.run_id, model_uri=run.model_uri)

    def _federated(
        self,
        name: str,
        args: ServedModelArgs,
        spec: Workload,
        federation: Federation,
        platform: Platform,
        data: Dataset,
        child: pulumi.ResourceOptions,
    ) -> Candidate:
        run = FederatedTraining(
            name,
            args.code(args.federated),
            args.federated,
            data.address,
            args.training_parameters(name, spec.training.parameters),
            federation,
            platform,
            child,
            gate=spec.gate,
            problem=args.declared_problem(),
        )
        return Candidate(run_id=run.run_id, model_uri=run.model_uri)

    def exported(self) -> pulumi.Output[Any]:
        """The value of the stack's output that is called after the workload."""
        return all_or_nothing(url=self.url, openapiUrl=self.openapi_url, modelUri=self.model_uri)


def _own(spec: Workload) -> Workload:
    """A stack's part of a workload in a branch's environment: it writes nowhere but into the platform's object store."""
    kept = {
        name: batch.model_copy(update={"sink": ParquetSink()}) if isinstance(batch.sink, PostgresSink) else batch
        for name, batch in spec.batch.items()
    }
    package = spec.package and spec.package.model_copy(update={"distribution": None, "index": None})
    # Nobody is woken by a branch, and it proposes nothing; what its monitor finds is shown.
    monitor = spec.monitor and spec.monitor.model_copy(update={"sinks": (), "retraining": None})
    return spec.model_copy(update={"batch": kept, "package": package, "monitor": monitor})


def _data_of(address: Mapping[str, Any], digest: str) -> Mapping[str, Any]:
    """The address of the snapshot with a digest, beside another one of the same data set."""
    if not digest:
        return address
    return {**address, "uri": f"{address['uri'].rpartition('/')[0]}/{digest}", "digest": digest}


Declare = Callable[[str, Workload, Path, Platform], ServedModel]
"""What a `workload.py` calls `declare`: name, the stack's part, the checkout and the platform to the workload's resources."""


def by_convention(  # noqa: PLR0913 - a declaration names its parts
    module: str,
    parameters: JobParameters,
    data_parameters: JobParameters | None = None,
    *,
    dataset: str = "dataset:snapshot",
    train: str = "train:train",
    predictor: str = "predictor:Model",
    contract: str = "contract:CONTRACT",
    federated: str = "federated:FEDERATION",
    task: DeclaredTask = None,
    metrics: Sequence[CustomMetric] = (),
    postprocessing: Sequence[PostprocessingStep] = (),
    ingestion: Ingestion | None = None,
) -> Declare:
    """The `declare` of a workload whose entry points have the usual names.

    Args:
        module: The `__name__` of the workload's own `workload.py`.
        parameters: Those of the training; a stack's config overrides them.
        data_parameters: Those of the function `dataset`; by default none.
        dataset: A function in a module beside that one, as `module:name`; so are the others.
        train: The training's function.
        predictor: The class that answers.
        contract: The application's contract.
        federated: What sites compute, where a stack has the workload trained over sites.
        task: The kind of problem, one of `heliostat.spec.tasks`. By default labels that are 0 and 1 alone are classes, others
            numbers.
        metrics: The workload's own, beside the task's; their functions are named as the others are.
        postprocessing: Steps between what the model answers and what a client gets; their functions are named as the others
            are, and their lists by a path beside that module, or as `store:KEY`.
        ingestion: Where the rows come from that the function `dataset` is given as its second argument.
    """
    package = module.rpartition(".")[0]
    own = tuple(metric.model_copy(update={"function": f"{package}.{metric.function}"}) for metric in metrics)
    entry_points = {
        "dataset": f"{package}.{dataset}",
        "train": f"{package}.{train}",
        "predictor": f"{package}.{predictor}",
        "contract": f"{package}.{contract}",
        "federated": f"{package}.{federated}",
    }
    problem, steps = Problem(task=task, metrics=own), tuple(below(package, step) for step in postprocessing)
    if ingestion is not None and ingestion.augment is not None:
        ingestion = ingestion.model_copy(update={"augment": f"{package}.{ingestion.augment}"})
    return _Convention(entry_points, parameters, data_parameters or JobParameters(), problem, steps, ingestion)


@dataclass(frozen=True)
class _Convention:
    """The `declare` of a workload, which whoever reads a config asks for its problem as well."""

    entry_points: Mapping[str, str]
    parameters: JobParameters
    data_parameters: JobParameters
    problem: Problem
    postprocessing: tuple[PostprocessingStep, ...] = ()
    ingestion: Ingestion | None = None

    def __call__(self, name: str, spec: Workload, root: Path, platform: Platform) -> ServedModel:
        args = ServedModelArgs(
            root=root,
            data_parameters=self.data_parameters,
            parameters=self.parameters,
            problem=self.problem,
            postprocessing=self.postprocessing,
            ingestion=self.ingestion,
            **self.entry_points,
        )
        return ServedModel(name, args, spec, platform)
