"""The controller of a cluster, with its traffic plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.code import controllers_digest


@dataclass(frozen=True)
class ControllerArgs:
    """What a controller is declared with."""

    directory: Path
    ray: pulumi.Input[Address]
    store: pulumi.Input[Address]
    tracking_uri: pulumi.Input[str]
    public_port: int | None = None
    keeps: tuple[Path, ...] = ()
    """Data folders of other services that are started again when they die."""


class Controller(Resource):
    """The resident process that follows replicas, owns HAProxy and runs every rollout."""

    token = "heliostat:index:Controller"  # noqa: S105 - a type, no secret
    outputs = ("address", "public_url")

    def __init__(self, name: str, args: ControllerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            name,
            opts,
            directory=str(args.directory),
            ray=args.ray,
            store=args.store,
            tracking_uri=args.tracking_uri,
            public_port=args.public_port,
            keeps=[str(each) for each in args.keeps],
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
