"""A model that others logged with MLflow, served by its address and a contract that is a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pulumi

from heliostat.layout import SourcesError, sources
from heliostat.resources import expectations
from heliostat.resources.application import Application, ServedVersion
from heliostat.resources.base import Resource, all_or_nothing
from heliostat.resources.batch_prediction import BatchPrediction
from heliostat.resources.monitor import Monitor
from heliostat.resources.platform import Platform
from heliostat.resources.postprocessing import with_code_digests
from heliostat.spec.batch import batch_name
from heliostat.spec.code import CodeError, code_digest, code_of
from heliostat.spec.data_sets import SCHEMA_FILE as DATA_SCHEMA_FILE
from heliostat.spec.model_contracts import FILE, ModelContract, ModelInterface
from heliostat.spec.monitors_of_others import problem_of
from heliostat.spec.postprocessing import step_functions
from heliostat.spec.proto import PROTO_FILE
from heliostat.spec.strategies import functions_of
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Workload

CONTRACTS = "heliostat.ml.mlflow_models.contracts"
"""The module whose attributes are the contracts of workloads, by their folders' names."""


@dataclass(frozen=True)
class ModelAddress:
    """A model of others, and what it is held to."""

    source: str
    """Its address, as `heliostat.spec.logged_models.ModelSource` has it."""
    contract: ModelContract
    """The workload's."""


class ExternalModel(Resource):
    """A model that others logged: found by its address, held to a contract, and registered where it is not yet.

    Args:
        name: The workload's name, and the registered model's where one is made for it.
        model: The model.
        platform: Where MLflow is, and the object store that the model's own environment goes to.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:ExternalModel"  # noqa: S105 - a type, no secret
    outputs = ("version", "served_model_uri", "environments")

    def __init__(self, name: str, model: ModelAddress, platform: Platform, opts: pulumi.ResourceOptions | None = None) -> None:
        contract = model.contract
        super().__init__(
            name,
            opts,
            name=name,
            source=model.source,
            interface=ModelInterface(
                reads=contract.reads, loader=contract.loader, request=contract.request, answer=contract.answer
            ),
            task=contract.task,
            recorded=contract.recorded,
            store=platform.store,
            tracking_uri=platform.tracking_uri,
            tracking_access=platform.tracking_access,
        )

    @property
    def model_uri(self) -> pulumi.Output[str]:
        """The version as MLflow names it: `models:/<name>/<version>`."""
        return self.output("served_model_uri")

    @property
    def environment(self) -> pulumi.Output[Any]:
        """Its own environment, a `heliostat.spec.logged_models.ModelEnvironment`; None where it runs in what is installed."""
        return self.output("environments").apply(lambda found: found[0] if found else None)


class ServedExternalModel(pulumi.ComponentResource):
    """ExternalModel, Application and BatchPredictions of one workload: nothing is trained, and nothing but its golden requests
    judges it.

    Args:
        name: The workload's name, and that of each of its resources.
        contract: What its file declares.
        spec: The stack's part of it: the workload's section of the config.
        root: The checkout, which has the file.
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
        contract: ModelContract,
        spec: Workload,
        root: Path,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("heliostat:index:ServedExternalModel", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=list(platform.ready))
        model = ExternalModel(name, ModelAddress(str(spec.mlflow), contract), platform, child)
        version = ServedVersion(model.model_uri, environment=model.environment)
        folder = name.replace("-", "_")
        steps = with_code_digests(spec.serving.postprocessing, partial(_code, root, folder))
        expected = expectations.resolved(name, spec.serving.expectations, root / "workloads" / folder / DATA_SCHEMA_FILE)
        changed = {"postprocessing": steps, "expectations": expected}
        contract_at, serving = f"{CONTRACTS}:{folder}", spec.serving.model_copy(update=changed)
        own = platform.own_name(name)
        batch_code = _code(root, folder, *step_functions(steps))
        predicted = {
            each: BatchPrediction(
                platform.own_name(batch_name(name, each)),
                own,
                batch_code,
                contract_at,
                version,
                batch,
                platform,
                opts=child,
                postprocessing=steps,
                privacy=serving.privacy,
            )
            for each, batch in spec.batch.items()
        }
        if serving.lookup is not None:
            # What answers from predictions waits for those of its own version.
            found = serving.lookup.model_copy(update={"batch": platform.own_name(batch_name(name, serving.lookup.batch))})
            before = [*platform.ready, predicted[serving.lookup.batch]]
            serving = serving.model_copy(update={"lookup": found})
            child = pulumi.ResourceOptions(parent=self, depends_on=before)
        code = _code(root, folder, *step_functions(steps), *functions_of(serving.strategy))
        proto = _proto(root, folder) if serving.interface.has_grpc else None
        application = Application(own, code, contract_at, version, serving, platform, child, proto=proto)
        if spec.monitor is not None:
            after = pulumi.ResourceOptions(parent=self, depends_on=[*platform.ready, application])
            # A look reads the log alone, and runs in what is installed, whatever environment the model has.
            served = ServedVersion(model.model_uri)
            monitor = spec.monitor.model_copy(update={"sinks": ()}) if platform.environment else spec.monitor
            try:
                problem = problem_of(contract, monitor.field)
            except ValueError as error:
                raise pulumi.RunError(f"workloads.{name}.monitor: {error}") from None
            Monitor(
                own, _code(root, folder), contract_at, served, None, monitor, platform, after, problem=problem,
                privacy=serving.privacy,
            )  # fmt: skip
        self.url = application.url
        self.openapi_url = application.openapi_url
        self.model_uri = model.model_uri
        self.register_outputs({"url": self.url, "openapiUrl": self.openapi_url, "modelUri": self.model_uri})

    def exported(self) -> pulumi.Output[Any]:
        """The value of the stack's output that is called after the workload."""
        return all_or_nothing(url=self.url, openapiUrl=self.openapi_url, modelUri=self.model_uri)


def _proto(root: Path, folder: str) -> str | None:
    """The contract's own definition in Protocol Buffers, beside its file; None where there is none."""
    path = root / "workloads" / folder / PROTO_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _code(root: Path, folder: str, *functions: str) -> Code:
    """The contract's file, and the source of the strategy's own functions.

    Raises:
        pulumi.RunError: it cannot be found or read; the engine shows the text alone.
    """
    try:
        found = code_of(root, *functions, sources=sources(root))
    except (CodeError, SourcesError) as error:
        raise pulumi.RunError(str(error)) from None
    files = tuple(sorted({*found.files, f"workloads/{folder}/{FILE}"}))
    return Code(root=str(root), files=files, digest=code_digest(root, files))
