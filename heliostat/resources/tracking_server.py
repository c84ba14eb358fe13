"""An MLflow tracking server with its model registry."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.local import Tracking


class TrackingServer(Resource):
    """A process of this machine, with SQLite and the object store behind it.

    Args:
        name: The resource's name.
        spec: The port, where it is to be a certain one.
        directory: Absolute path of its data folder: the SQLite database and the log.
        artifacts: The `address` of the object store that holds models and other artifacts.
        on_destroy: Whether runs and models outlive the resource.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:TrackingServer"  # noqa: S105 - a type, no secret
    outputs = ("tracking_uri",)

    def __init__(
        self,
        name: str,
        spec: Tracking,
        directory: Path,
        artifacts: pulumi.Input[Address],
        on_destroy: OnDestroy,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, opts, directory=str(directory), artifacts=artifacts, port=spec.port, on_destroy=on_destroy)

    @property
    def tracking_uri(self) -> pulumi.Output[str]:
        """The address that `mlflow.set_tracking_uri` takes."""
        return self.output("tracking_uri")
