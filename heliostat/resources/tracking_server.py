"""An MLflow tracking server with its model registry."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.platform import OnDestroy, Tracking


class TrackingServer(Resource):
    """A process of this machine, with SQLite and the object store behind it."""

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
        """What `mlflow.set_tracking_uri` takes."""
        return self.output("tracking_uri")
