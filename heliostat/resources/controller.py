"""The controller of a cluster, with its traffic plane."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.code import controllers_digest


class Controller(Resource):
    """The resident process that follows replicas, owns HAProxy and runs every rollout."""

    token = "heliostat:index:Controller"  # noqa: S105 - a type, no secret
    outputs = ("address", "public_url")

    def __init__(
        self,
        name: str,
        directory: Path,
        ray: pulumi.Input[Address],
        store: pulumi.Input[Address],
        tracking_uri: pulumi.Input[str],
        public_port: int | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            directory=str(directory),
            ray=ray,
            store=store,
            tracking_uri=tracking_uri,
            public_port=public_port,
            code=controllers_digest(),
        )

    @property
    def address(self) -> pulumi.Output[Address]:
        """How to reach its API."""
        return self.output("address")

    @property
    def public_url(self) -> pulumi.Output[str]:
        """Where clients reach the applications."""
        return self.output("public_url")
