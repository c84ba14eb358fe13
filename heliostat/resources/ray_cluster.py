"""A Ray cluster on this machine."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.platform import LocalRay, S3Store, Store


class RayCluster(Resource):
    """A head and worker nodes as processes on loopback, with token authentication."""

    token = "heliostat:index:RayCluster"  # noqa: S105 - a type, no secret
    outputs = ("address", "gcs_address", "session")

    def __init__(
        self, name: str, spec: LocalRay, directory: Path, store: Store, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # Elsewhere than at AWS alone: there, Ray finds a bucket by itself.
        bucket = store if isinstance(store, S3Store) and store.endpoint else None
        super().__init__(
            name,
            opts,
            directory=str(directory),
            head=spec.head,
            workers=spec.workers,
            object_store_mib=spec.object_store_mib,
            dashboard_port=spec.dashboard_port,
            s3_endpoint=bucket and bucket.endpoint,
            s3_region=bucket and bucket.region,
        )

    @property
    def address(self) -> pulumi.Output[Address]:
        """How to reach its REST APIs."""
        return self.output("address")

    @property
    def session(self) -> pulumi.Output[str]:
        """What changes each time the head is started."""
        return self.output("session")
