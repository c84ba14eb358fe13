"""The resources of one workload: what each is declared of, from the data to the watch over the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import pulumi

from heliostat.resources import expectations
from heliostat.resources.application import Application, ServedVersion
from heliostat.resources.batch_prediction import BatchPrediction
from heliostat.resources.dataset import Dataset
from heliostat.resources.federated_training import FederatedTraining
from heliostat.resources.model_delivery import ModelDelivery
from heliostat.resources.model_package import ModelPackage
from heliostat.resources.model_version import Candidate, ModelVersion
from heliostat.resources.monitor import Monitor
from heliostat.resources.platform import Platform
from heliostat.resources.served_model_args import ServedModelArgs
from heliostat.resources.train_job import TrainJob
from heliostat.spec.batch import ParquetSink, PostgresSink, SnapshotSource, batch_name
from heliostat.spec.judging import metric_functions, resolved_gate, resolved_strategy
from heliostat.spec.postprocessing import PostprocessingStep, step_functions
from heliostat.spec.problem import Problem
from heliostat.spec.retraining import UNTIL
from heliostat.spec.strategies import functions_of
from heliostat.spec.training_resources import Code, ContractCode
from heliostat.spec.workload import Gate, Workload

if TYPE_CHECKING:
    from heliostat.data.ingestion import Ingestion  # brings numpy, which a program without it does without
    from heliostat.data.schema import Transformed


@dataclass(frozen=True)
class WorkloadGraph:
    """Both parts of a workload's declaration, its own and a stack's, and the resources that they make."""

    name: str
    args: ServedModelArgs
    spec: Workload
    platform: Platform
    parent: pulumi.Resource

    @classmethod
    def of(cls, name: str, args: ServedModelArgs, spec: Workload, platform: Platform, parent: pulumi.Resource) -> Self:
        """One that, in an environment, has nothing that acts outside."""
        return cls(name, args, _own(spec) if platform.environment else spec, platform, parent)

    def data_set(self) -> Dataset:
        """The snapshot of the data."""
        further = [self._ingestion.augment] if self._ingestion is not None and self._ingestion.augment else []
        return Dataset(
            self.name,
            self.args.code(self.args.dataset, *further, *self._transforming),
            self.args.dataset,
            self.args.parameters_of_data(self.name, self.spec.data_parameters),
            self.platform,
            self._options(),
            problem=self._declared_problem,
            data_schema=self.args.data_schema(),
            ingestion=self._ingestion,
            contract=ContractCode(entry_point=self.args.contract, code=self.args.code(self.args.contract)),
        )

    def version(self, data: Dataset) -> ModelVersion:
        """The version that is served: the pinned one, or what a training makes and the gate lets pass."""
        candidate = Candidate(pin=self.spec.model) if self.spec.model else self._trained(data)
        # A metric of the workload's own is computed with the code of the evaluation.
        code = self.args.code(self.args.predictor, *self._problem.functions)
        return ModelVersion(
            self.name,
            candidate,
            code,
            self.args.predictor,
            data.address,
            self._gate,
            self.platform,
            self._options(),
            problem=self._declared_problem,
        )

    def predictions(self, data: Dataset, model: ServedVersion) -> dict[str, BatchPrediction]:
        """The predictions that are made beforehand, by their names in the config."""
        return {
            batch_key: BatchPrediction(
                self.platform.own_name(batch_name(self.name, batch_key)),
                self._own_name,
                self._answering,
                self.args.contract,
                model,
                batch,
                self.platform,
                data.address if isinstance(batch.source, SnapshotSource) else None,
                self._options(),
                postprocessing=self._steps,
                privacy=self.spec.serving.privacy,
            )
            for batch_key, batch in self.spec.batch.items()
        }

    def application(self, model: ServedVersion, predictions: Mapping[str, BatchPrediction]) -> Application:
        """What answers; where it answers from predictions, behind those of its own version."""
        args, serving = self.args, self.spec.serving
        strategy = resolved_strategy(serving.strategy, self._problem)
        # The checks of one's own run beside the traffic, with the code that the application is deployed with.
        code = args.code(args.contract, *step_functions(self._steps), *functions_of(strategy), *metric_functions(strategy))
        expected = expectations.resolved(self.name, serving.expectations, args.data_schema_file)
        changes: dict[str, Any] = {"strategy": strategy, "postprocessing": self._steps, "expectations": expected}
        before: list[pulumi.Resource] = []
        if serving.lookup is not None:
            before = [predictions[serving.lookup.batch]]
            batch = self.platform.own_name(batch_name(self.name, serving.lookup.batch))
            changes["lookup"] = serving.lookup.model_copy(update={"batch": batch})
        return Application(
            self._own_name,
            code,
            args.contract,
            model,
            serving.model_copy(update=changes),
            self.platform,
            self._options(*before),
            proto=args.proto() if serving.interface.has_grpc else None,
        )

    def package(self, model: ServedVersion, application: Application) -> None:
        """The model as a package, and its way to the sites; behind the application: what was rolled back is no package."""
        if self.spec.package is None:
            return
        after = self._options(application)
        package = ModelPackage(
            self._own_name,
            self._answering,
            self.args.contract,
            model,
            self.spec.package,
            self.platform,
            after,
            postprocessing=self._steps,
        )
        if self.spec.federated is not None:
            code = self.args.code(self.args.contract)
            ModelDelivery(self._own_name, package, code, self.spec.federated, self.platform, after)

    def monitor(self, data: Dataset, version: ModelVersion, model: ServedVersion, application: Application) -> None:
        """The watch over the answers."""
        args, spec = self.args, self.spec
        if spec.monitor is None:
            return
        parameters = args.parameters_of_data(self.name, spec.data_parameters)
        retrained_by = args.value_of_retraining(self.name, spec, parameters)
        trains_here = not spec.model and spec.federated is None
        self._warn_of_what_moves_nothing()
        Monitor(
            self._own_name,
            args.code(args.contract, *self._problem.functions, *self._transforming),
            args.contract,
            model,
            # Of what was kept although its candidate was refused the data are others than those of the candidate.
            pulumi.Output.all(data.address, version.data_digest).apply(lambda found: _data_of(*found)),
            spec.monitor,
            self.platform,
            self._options(application),
            problem=self._declared_problem,
            scaling=spec.training.scaling if spec.federated is None else None,
            data_value=None if spec.model else retrained_by,
            transformed=self._transformed,
            privacy=spec.serving.privacy,
            new_data=self._ingestion.watched if self._ingestion is not None and trains_here else None,
        )

    def _warn_of_what_moves_nothing(self) -> None:
        """Tell where a retraining brings rows that none of it is trained on."""
        policy = self.spec.monitor.retraining if self.spec.monitor is not None else None
        if policy is None or policy.data_parameter != UNTIL or self._ingestion is None or self._ingestion.split.kind != "time":
            return
        pulumi.warn(
            f"monitor.retraining.dataParameter of {self.name} is {UNTIL}, and its TimeSplit stays where it is: rows that come "
            "are tested with, and none is trained on; declare a LatestSplit",
            self.parent,
        )

    def _trained(self, data: Dataset) -> Candidate:
        name, spec, gate, problem = self.name, self.spec, self._gate, self._declared_problem
        args, platform, options = self.args, self.platform, self._options()
        parameters = args.training_parameters(name, spec.training.parameters)
        run: TrainJob | FederatedTraining
        if spec.federated is not None:
            code = args.code(args.federated)
            run = FederatedTraining(
                name,
                code,
                args.federated,
                data.address,
                parameters,
                spec.federated,
                platform,
                options,
                gate=gate,
                problem=problem,
            )
        else:
            code = args.code(args.train)
            run = TrainJob(
                name, code, args.train, data.address, parameters, spec.training, platform, options, gate=gate, problem=problem
            )
        return Candidate(run_id=run.run_id, model_uri=run.model_uri)

    def _options(self, *before: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self.parent, depends_on=[*self.platform.ready, *before])

    @property
    def _own_name(self) -> str:
        return self.platform.own_name(self.name)

    @cached_property
    def _declared_problem(self) -> Problem | None:
        return self.args.declared_problem()

    @property
    def _problem(self) -> Problem:
        return self._declared_problem or Problem()

    @property
    def _gate(self) -> Gate:
        """With the metrics of the task."""
        return resolved_gate(self.spec.gate, self._problem)

    @cached_property
    def _ingestion(self) -> Ingestion | None:
        return self.args.ingested(self.name, self.spec.data)

    @cached_property
    def _transformed(self) -> Transformed | None:
        return self.args.transformed()

    @property
    def _transforming(self) -> list[str]:
        return [self._transformed.by] if self._transformed is not None else []

    @cached_property
    def _steps(self) -> tuple[PostprocessingStep, ...]:
        return self.args.declared_steps(self.spec.serving.postprocessing)

    @cached_property
    def _answering(self) -> Code:
        """The source of what answers where no strategy checks it."""
        return self.args.code(self.args.contract, *step_functions(self._steps))


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
