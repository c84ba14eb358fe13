"""The controller of a cluster, with its traffic plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.addresses import KubernetesSecret, TokenVariable
from heliostat.spec.code import controllers_digest


@dataclass(frozen=True)
class ControllerArgs:
    """What a controller is declared with."""

    directory: Path
    """Absolute path of its data folder: its database, HAProxy's configuration, tokens and logs."""
    ray: pulumi.Input[Address]
    """The `address` of the cluster that it works on."""
    store: pulumi.Input[Address]
    """The `address` of the object store that holds the ledger and the prediction logs."""
    tracking_uri: pulumi.Input[str]
    """The tracking server whose registry has the models."""
    host: str = "127.0.0.1"
    """Where its API and the traffic plane listen: a name or an address of this machine, by which others reach it."""
    api_port: int | None = None
    """The port of its API, 1024 to 65535; by default a free one is chosen and kept."""
    credential: TokenVariable | KubernetesSecret | None = None
    """The variable or the secret that its token is in; by default one is made, in a file of the data folder."""
    public_port: int | None = None
    """The port at which clients reach every application, 1024 to 65535; by default a free one is chosen and kept."""
    tracking_access: pulumi.Input[Address] | None = None
    """How MLflow is reached from here, where that is otherwise than inside of the cluster."""
    keeps: tuple[Path, ...] = ()
    """Data folders of other services that are started again when they die."""


class Controller(Resource):
    """The resident process that follows replicas, owns HAProxy and runs every rollout.

    Args:
        name: The resource's name.
        args: What it is declared with.
        opts: Pulumi's resource options.
    """

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
            tracking_access=args.tracking_access,
            host=args.host,
            api_port=args.api_port,
            credential=args.credential,
            public_port=args.public_port,
            keeps=[str(each) for each in args.keeps],
            code=controllers_digest(),
        )

    @property
    def address(self) -> pulumi.Output[Address]:
        """The address of its API, a `ControllerAddress`."""
        return self.output("address")

    @property
    def public_url(self) -> pulumi.Output[str]:
        """The address below which clients reach the applications."""
        return self.output("public_url")
