"""An immutable snapshot of a workload's data."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import Parameters
from heliostat.spec.resources import Code


class Dataset(Resource):
    """What a function of the workload returns, kept under its content's digest, with statistics and a schema."""

    token = "heliostat:index:Dataset"  # noqa: S105 - a type, no secret
    outputs = ("address", "rows", "statistics_uri", "schema_uri")

    def __init__(
        self,
        name: str,
        code: Code,
        entry_point: str,
        parameters: Parameters,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            code=code,
            entry_point=entry_point,
            parameters=parameters,
            store=platform.store,
            ray=platform.ray,
        )

    @property
    def address(self) -> pulumi.Output[Address]:
        """The snapshot's URI and digest."""
        return self.output("address")
