"""`heliostat:index:ObjectStore`: a place for objects, in a directory or in a bucket."""

from __future__ import annotations

import asyncio

from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.platform_resources import ObjectStoreInputs, ObjectStoreOutputs
from heliostat.spec.platforms.base import OnDestroy
from heliostat.systems import store_lifecycle


class ObjectStoreHandler(Handler[ObjectStoreInputs, ObjectStoreOutputs]):
    """Its identifier is its URI."""

    token = "heliostat:index:ObjectStore"  # noqa: S105 - a type token
    inputs = ObjectStoreInputs
    outputs = ObjectStoreOutputs
    gone = "its folder or bucket is not there any more; the next `up` makes it anew, without what was in it"
    replace_on = frozenset({"uri"})

    async def create(self, context: Context, inputs: ObjectStoreInputs) -> Created[ObjectStoreOutputs]:
        """Make the folder or the bucket, or take the one that is there."""
        await asyncio.to_thread(store_lifecycle.ensure, inputs)
        return Created(inputs.uri, _outputs(inputs))

    async def read(self, context: Context, identifier: str, outputs: ObjectStoreOutputs) -> ObjectStoreOutputs | None:
        """None where the folder or the bucket is gone."""
        return outputs if await asyncio.to_thread(store_lifecycle.exists, outputs) else None

    async def imported(self, context: Context, identifier: str) -> ObjectStoreOutputs | None:
        """The store at the URI `identifier`."""
        return await self.read(context, identifier, ObjectStoreOutputs(uri=identifier))

    async def update(
        self, context: Context, identifier: str, old: ObjectStoreOutputs, new: ObjectStoreInputs
    ) -> ObjectStoreOutputs:
        """See that it is there by its new endpoint or region."""
        return (await self.create(context, new)).outputs

    async def delete(self, context: Context, identifier: str, outputs: ObjectStoreOutputs) -> None:
        """Remove the objects only where that was asked for, and the ledger never."""
        if outputs.on_destroy is not OnDestroy.DELETE:
            context.info(f"the objects in {outputs.uri} are kept (onDestroy: keep)")
            return
        context.progress("deleting the objects")
        left = await asyncio.to_thread(store_lifecycle.remove, outputs)
        if left.kept:
            context.warn(left.kept)
        if left.ledger:
            context.info(
                f"the ledger in {left.ledger} is kept, whatever onDestroy says; remove it by hand where it shall go too"
            )


def _outputs(inputs: ObjectStoreInputs) -> ObjectStoreOutputs:
    return ObjectStoreOutputs(**{name: getattr(inputs, name) for name in ObjectStoreInputs.model_fields})
