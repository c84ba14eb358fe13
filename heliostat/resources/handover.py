"""The end of a move from a cluster to another one."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource


class Handover(Resource):
    """Holds an update until no application is left on another cluster than the controller's.

    A cluster that is replaced is deleted at the end of an update in which nothing failed. What this waits for may be declared
    in other stacks, of which this one knows nothing: where an application stays on the old cluster, it fails, and the cluster
    stays. It has to come after the applications of its own stack, by `depends_on`.

    Args:
        name: The resource's name.
        controller: The `address` of the controller.
        ray: The `address` of the cluster that it is to work on.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:Handover"  # noqa: S105 - a type, no secret

    def __init__(
        self,
        name: str,
        controller: pulumi.Input[Address],
        ray: pulumi.Input[Address],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        url = pulumi.Output.from_input(ray).apply(lambda address: address["url"])
        super().__init__(name, opts, controller=controller, cluster=url)
