"""From data to answers: the graph of a model that is trained, judged and served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from heliostat.resources.application import ServedVersion
from heliostat.resources.base import all_or_nothing
from heliostat.resources.platform import Platform
from heliostat.resources.postprocessing import below
from heliostat.resources.served_model_args import ServedModelArgs
from heliostat.resources.workload_graph import WorkloadGraph
from heliostat.spec.parameters import JobParameters
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.tasks import DeclaredTask
from heliostat.spec.workload import Workload

if TYPE_CHECKING:
    from heliostat.data.ingestion import Ingestion  # brings numpy, which a program without it does without


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
        graph = WorkloadGraph.of(name, args, spec, platform, parent=self)
        data = graph.data_set()
        version = graph.version(data)
        model = ServedVersion(version.model_uri, version.data_digest)
        predictions = graph.predictions(data, model)
        application = graph.application(model, predictions)
        graph.package(model, application)
        graph.monitor(data, version, model, application)
        self.url = application.url
        self.openapi_url = application.openapi_url
        self.model_uri = version.model_uri
        self.register_outputs({"url": self.url, "openapiUrl": self.openapi_url, "modelUri": self.model_uri})

    def exported(self) -> pulumi.Output[Any]:
        """The value of the stack's output that is called after the workload."""
        return all_or_nothing(url=self.url, openapiUrl=self.openapi_url, modelUri=self.model_uri)


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
