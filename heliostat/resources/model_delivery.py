"""A package of a model, on its way to the sites that it was trained over."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Resource
from heliostat.resources.model_package import ModelPackage
from heliostat.resources.platform import Platform
from heliostat.spec.federated import Federation
from heliostat.spec.training_resources import Code


class ModelDelivery(Resource):
    """The sites of a federation fetch a package, load it and say so. A deletion leaves them what they have.

    A site that does not ask in time is told of, and the next `up` offers the package again.

    Args:
        name: The federation's name: lower case, digits and dashes, 40 characters at most.
        package: What the sites are given.
        code: The source files of the package's contract.
        federation: The sites, and where they connect to.
        platform: Where it is offered.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:ModelDelivery"  # noqa: S105 - a type, no secret
    outputs = ("delivered",)

    def __init__(
        self,
        name: str,
        package: ModelPackage,
        code: Code,
        federation: Federation,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            distribution=package.output("distribution"),
            file=package.output("file"),
            version=package.version,
            sha256=package.output("sha256"),
            sites=federation.sites,
            coordinator=federation.coordinator,
            delivery_seconds=federation.delivery_seconds,
            code=code,
            store=platform.store,
            ray=platform.ray,
        )

    @property
    def delivered(self) -> pulumi.Output[list[str]]:
        """The sites that have loaded it."""
        return self.output("delivered")
