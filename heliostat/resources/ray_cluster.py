"""A Ray cluster on this machine."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.platforms.local import LocalRay
from heliostat.spec.platforms.stores import DirectoryStore, GcsStore, S3Store


class RayCluster(Resource):
    """A head and worker nodes as processes on loopback, with token authentication.

    Args:
        name: The resource's name.
        spec: How many nodes, and how large.
        directory: Absolute path of its data folder: the token and the logs' link.
        store: Where code packages will lie; the cluster is told how to reach a bucket that is not AWS's or Google's.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:RayCluster"  # noqa: S105 - a type, no secret
    outputs = ("address", "gcs_address", "session")

    def __init__(
        self,
        name: str,
        spec: LocalRay,
        directory: Path,
        store: DirectoryStore | S3Store | GcsStore,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        # Elsewhere than at AWS or Google alone: there, Ray finds a bucket by itself.
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
            google_storage_endpoint=store.endpoint if isinstance(store, GcsStore) else None,
        )

    @property
    def address(self) -> pulumi.Output[Address]:
        """The address of its REST APIs, a `RayAddress`."""
        return self.output("address")

    @property
    def session(self) -> pulumi.Output[str]:
        """Ray's name for this run of the head: another one each time it is started."""
        return self.output("session")
