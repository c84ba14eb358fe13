"""A training with Ray Train."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import Parameters
from heliostat.spec.resources import Code
from heliostat.spec.workload import Gate, Training


class TrainJob(Resource):
    """One run of a workload's training; it runs again where code, data, parameters or scaling differ."""

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
            gate=gate,
            max_failures=training.max_failures,
            timeout_seconds=training.timeout_seconds,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
        )

    @property
    def run_id(self) -> pulumi.Output[str]:
        """MLflow's run."""
        return self.output("run_id")

    @property
    def model_uri(self) -> pulumi.Output[str]:
        """The run's model."""
        return self.output("model_uri")

    @property
    def metrics(self) -> pulumi.Output[dict[str, float]]:
        """On the validation split."""
        return self.output("metrics")
