"""A Kubernetes cluster that somebody else made."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Resource, wire
from heliostat.spec.cluster_requirements import ClusterRequirements


class ExistingCluster(Resource):
    """What a stack needs of a cluster is seen to before anything is made in it, and that it stays the same cluster.

    Args:
        name: The resource's name.
        wanted: What the stack needs.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:ExistingCluster"  # noqa: S105 - a type, no secret
    outputs = ("uid",)

    def __init__(self, name: str, wanted: ClusterRequirements, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts, **wire(wanted))
