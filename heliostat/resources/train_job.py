"""A training with Ray Train."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import Parameters
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Gate, Training


class TrainJob(Resource):
    """One run of a workload's training; it runs again where code, data, parameters or scaling differ.

    Args:
        name: The training's name, also that of MLflow's experiment unless the platform is a branch's environment: lower case,
            digits and dashes, 40 characters at most.
        code: The source files that the entry point needs.
        entry_point: A function `(heliostat.ml.training.Context) -> None`, as `package.module:name`.
        dataset: The `address` of the snapshot to train on.
        parameters: The values that the function finds in `context.parameters`.
        training: How wide it runs, how often it is tried and for how long.
        platform: Where it runs.
        opts: Pulumi's resource options.
        gate: What its model will be judged by: a training whose model could not be judged is not begun.
        problem: The task that the model is for, which the function finds in `context.task`, and the workload's own metrics.
    """

    token = "heliostat:index:TrainJob"  # noqa: S105 - a type, no secret
    outputs = ("digest", "run_id", "model_uri", "metrics")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        code: Code,
        entry_point: str,
        dataset: pulumi.Input[Address],
        parameters: Parameters,
        training: Training,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        gate: Gate | None = None,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            code=code,
            entry_point=entry_point,
            dataset=dataset,
            parameters=parameters,
            scaling=training.scaling,
            group=platform.group(training.scaling.group),
            own_cluster=platform.own_cluster(training.cluster),
            gate=gate,
            problem=problem,
            max_failures=training.max_failures,
            timeout_seconds=training.timeout_seconds,
            budget=training.budget,
            continue_from=training.continue_from,
            ensemble=training.combined_with,
            tuning=training.tuning,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
            tracking_access=platform.tracking_access,
            experiment=platform.experiment(name),
        )

    @property
    def run_id(self) -> pulumi.Output[str]:
        """MLflow's run, with parameters, metrics, digests and the model."""
        return self.output("run_id")

    @property
    def model_uri(self) -> pulumi.Output[str]:
        """The run's model, as MLflow names it."""
        return self.output("model_uri")

    @property
    def metrics(self) -> pulumi.Output[dict[str, float]]:
        """The metrics on the validation split; the baseline's carry the prefix `baseline_`."""
        return self.output("metrics")
