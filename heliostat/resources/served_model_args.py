"""A workload's own part of its declaration, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from heliostat.layout import SourcesError, sources
from heliostat.resources.postprocessing import with_code_digests
from heliostat.spec.base import Parameters
from heliostat.spec.code import CodeError, code_of
from heliostat.spec.data_sets import schema_file
from heliostat.spec.ingestion import DataSettings
from heliostat.spec.judging import gate_mistakes, strategy_mistakes
from heliostat.spec.parameters import JobParameters
from heliostat.spec.postprocessing import PostprocessingStep, told_apart
from heliostat.spec.problem import Problem
from heliostat.spec.proto import PROTO_FILE
from heliostat.spec.retraining import UNTIL, moment_of
from heliostat.spec.training_resources import Code
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
