"""A place for objects."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.platforms.base import OnDestroy


class ObjectStore(Resource):
    """A directory, or a bucket of Google Cloud Storage or anything that speaks S3.

    Args:
        name: The resource's name.
        address: Where the objects lie.
        on_destroy: Whether the objects outlive the resource.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:ObjectStore"  # noqa: S105 - a type, no secret

    def __init__(
        self, name: str, address: StoreAddress, on_destroy: OnDestroy, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        self._place = address
        super().__init__(name, opts, uri=address.uri, endpoint=address.endpoint, region=address.region, on_destroy=on_destroy)

    @property
    def address(self) -> pulumi.Output[Address]:
        """The place where the objects lie, once the store is there: a `StoreAddress`."""
        place = self._place.model_dump(by_alias=True, exclude_none=True)
        return self.output("uri").apply(lambda uri: {**place, "uri": uri})
