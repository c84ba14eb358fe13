"""A training over sites that keep their rows."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import Parameters, shared
from heliostat.spec.federated import FederatedRules, Federation
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Gate


class FederatedTraining(Resource):
    """One run of a workload's training over sites: rows stay there, and updates travel. In the place of a TrainJob.

    The coordinator is a job on the cluster; each site runs `heliostat site run` where its rows are.

    Args:
        name: The training's name, also that of MLflow's experiment: lower case, digits and dashes, 40 characters at most.
        code: The source files that the entry point needs; each site's checkout has to have the same.
        entry_point: An object of a class below `heliostat.ml.federated.Federation`, as `package.module:NAME`.
        dataset: The `address` of the coordinator's own snapshot, which models are measured and judged on.
        parameters: The training's parameters, at the coordinator and at each site.
        federation: The sites, the rounds and what of updates may be seen.
        platform: Where the coordinator runs.
        opts: Pulumi's resource options.
        gate: What its model will be judged by: a training whose model could not be judged is not begun.
        problem: The task that the model is for, and the workload's own metrics.
    """

    token = "heliostat:index:FederatedTraining"  # noqa: S105 - a type, no secret
    outputs = ("digest", "run_id", "model_uri", "metrics", "rows")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        code: Code,
        entry_point: str,
        dataset: pulumi.Input[Address],
        parameters: Parameters,
        federation: Federation,
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
            gate=gate,
            problem=problem,
            **shared(federation, FederatedRules),
            sites=federation.sites,
            coordinator=federation.coordinator,
            round_seconds=federation.round_seconds,
            timeout_seconds=federation.timeout_seconds,
            data_version=federation.data_version,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
            tracking_access=platform.tracking_access,
            experiment=platform.experiment(name),
        )

    @property
    def run_id(self) -> pulumi.Output[str]:
        """MLflow's run, with each round's metrics, by site where they are told."""
        return self.output("run_id")

    @property
    def model_uri(self) -> pulumi.Output[str]:
        """The run's model, as MLflow names it."""
        return self.output("model_uri")

    @property
    def metrics(self) -> pulumi.Output[dict[str, float]]:
        """The metrics on the coordinator's own validation split."""
        return self.output("metrics")

    @property
    def rows(self) -> pulumi.Output[dict[str, int]]:
        """The rows of each site in the last round."""
        return self.output("rows")
