"""A version of a registered model."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.resources import Code
from heliostat.spec.workload import Gate


@dataclass(frozen=True)
class Candidate:
    """What asks to be registered: a run's model, or a version that the config pins."""

    run_id: pulumi.Input[str] | None = None
    model_uri: pulumi.Input[str] | None = None
    pin: str | None = None


class ModelVersion(Resource):
    """The version to serve: a candidate that the gate admitted."""

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
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            application=name,
            run_id=candidate.run_id,
            model_uri=candidate.model_uri,
            pin=candidate.pin,
            code=code,
            entry_point=entry_point,
            dataset=dataset,
            gate=gate,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
            controller=platform.controller,
        )

    @property
    def version(self) -> pulumi.Output[int]:
        """Its number in the registry."""
        return self.output("version")

    @property
    def model_uri(self) -> pulumi.Output[str]:
        """`models:/<name>/<version>`"""
        return self.output("served_model_uri")

    @property
    def data_digest(self) -> pulumi.Output[str]:
        """Of the data that it was trained on; empty where the registry does not know."""
        return self.output("served_data_digest")
