"""A version of a registered model."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Gate


@dataclass(frozen=True)
class Candidate:
    """The model that asks to be registered: a run's, or a version that the config pins."""

    run_id: pulumi.Input[str] | None = None
    """MLflow's run that made the model; None where `pin` is given."""
    model_uri: pulumi.Input[str] | None = None
    """The run's model, as MLflow names it; None where `pin` is given."""
    pin: str | None = None
    """A registered version to take as it is, as `models:/<name>/<version>`."""


class ModelVersion(Resource):
    """The version to serve: a candidate that the gate admitted.

    Args:
        name: The registered model's name, and that of the application whose serving version is the one to beat: in a branch's
            environment that environment's own.
        candidate: The model that asks to be registered.
        code: The source files that the entry point needs.
        entry_point: A class with the methods of `heliostat.ml.contracts.Predictor`, as `package.module:Name`.
        dataset: The `address` of the snapshot whose test split decides.
        gate: What the candidate has to reach.
        platform: Where it is measured and registered.
        opts: Pulumi's resource options.
        problem: The task that it is judged by, and the workload's own metrics, whose functions `code` holds too.
    """

    token = "heliostat:index:ModelVersion"  # noqa: S105 - a type, no secret
    outputs = ("version", "served_model_uri", "served_run_id", "served_data_digest", "verdict", "report_uri")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        candidate: Candidate,
        code: Code,
        entry_point: str,
        dataset: pulumi.Input[Address],
        gate: Gate,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            application=platform.own_name(name),
            run_id=candidate.run_id,
            model_uri=candidate.model_uri,
            pin=candidate.pin,
            code=code,
            entry_point=entry_point,
            dataset=dataset,
            gate=gate,
            problem=problem,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
            tracking_access=platform.tracking_access,
            controller=platform.controller,
        )

    @property
    def version(self) -> pulumi.Output[int]:
        """The version's number in the registry."""
        return self.output("version")

    @property
    def model_uri(self) -> pulumi.Output[str]:
        """The version as MLflow names it: `models:/<name>/<version>`."""
        return self.output("served_model_uri")

    @property
    def data_digest(self) -> pulumi.Output[str]:
        """Digest of the data that it was trained on; empty where the registry does not know."""
        return self.output("served_data_digest")
