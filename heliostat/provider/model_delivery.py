"""ModelDelivery: a package that the sites of a federation fetch, from a job on the cluster that they connect to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from heliostat.provider import ray_work
from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.federated import DeliveredPackage, delivery_key
from heliostat.spec.jobs import DeliverSpecification
from heliostat.spec.model_resources import ModelDeliveryInputs, ModelDeliveryOutputs
from heliostat.systems.objects import open_store

_NEXT: Final = "0" * 64
"""Stands in a preview for a package that is not made yet."""
_SPARE_SECONDS: Final = 120.0
"""For the job to start, on top of the time that sites have."""


class ModelDeliveryHandler(Handler[ModelDeliveryInputs, ModelDeliveryOutputs]):
    """Sites that have the package are not asked again; one that did not come in time is offered it with the next `up`."""

    token = "heliostat:index:ModelDelivery"  # noqa: S105 - a type, no secret
    inputs = ModelDeliveryInputs
    outputs = ModelDeliveryOutputs
    gone = "not every site has its package; the next `up` offers it again"
    replace_on = frozenset({"name"})
    preview_placeholders: ClassVar[Mapping[str, Any]] = {"file": "next.whl", "version": "next", "sha256": _NEXT}

    def insignificant_inputs(self, old: ModelDeliveryInputs, new: ModelDeliveryInputs) -> frozenset[str]:
        """How it is offered means nothing where all have it."""
        work = {"code", "coordinator", "delivery_seconds", "ray"}
        return frozenset(work | ({"sites"} if old.sites.keys() == new.sites.keys() else set()))

    async def preview(self, context: Context, old: ModelDeliveryOutputs | None, new: ModelDeliveryInputs) -> None:
        """Say who will be given what."""
        there = await asyncio.to_thread(_delivered, new) if new.sha256 != _NEXT else ()
        if missing := sorted(new.sites.keys() - {*there}):
            what = "the next package" if new.sha256 == _NEXT else new.file
            context.info(f"will offer {what} to {', '.join(missing)} for {new.delivery_seconds:g} s")

    async def create(self, context: Context, inputs: ModelDeliveryInputs) -> Created[ModelDeliveryOutputs]:
        """Offer it to the sites that do not have it."""
        return Created(f"{inputs.name}-{inputs.sha256[:12]}", await _offered(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: ModelDeliveryOutputs) -> ModelDeliveryOutputs | None:
        """Gone where a site does not have it yet."""
        there = await asyncio.to_thread(_delivered, outputs)
        return outputs.model_copy(update={"delivered": there}) if outputs.sites.keys() <= {*there} else None

    async def update(
        self, context: Context, identifier: str, old: ModelDeliveryOutputs, new: ModelDeliveryInputs
    ) -> ModelDeliveryOutputs:
        """Offer another package, or the same to further sites."""
        return await _offered(context, new)

    async def delete(self, context: Context, identifier: str, outputs: ModelDeliveryOutputs) -> None:
        """Nothing: what sites have is theirs."""


async def _offered(context: Context, inputs: ModelDeliveryInputs) -> ModelDeliveryOutputs:
    there = await asyncio.to_thread(_delivered, inputs)
    if inputs.sites.keys() - {*there}:
        await ray_work.run(_work(inputs), context)
        there = await asyncio.to_thread(_delivered, inputs)
    if missing := sorted(inputs.sites.keys() - {*there}):
        context.warn(
            f"{', '.join(missing)} did not ask for {inputs.file} within {inputs.delivery_seconds:g} s: see that `heliostat "
            "site run` runs there; the next training gives it to them too, and the next `up` offers it again"
        )
    return ModelDeliveryOutputs(**{name: getattr(inputs, name) for name in ModelDeliveryInputs.model_fields}, delivered=there)


def _delivered(inputs: ModelDeliveryInputs) -> tuple[str, ...]:
    """The declared sites that have loaded the package."""
    store, prefix = open_store(inputs.store), delivery_key(inputs.name, inputs.sha256)
    there = {item.key.removeprefix(prefix) for item in store.list(prefix)}
    return tuple(sorted(inputs.sites.keys() & there))


def _work(inputs: ModelDeliveryInputs) -> ray_work.Work:
    specification = DeliverSpecification(
        name=inputs.name,
        package=DeliveredPackage(
            distribution=inputs.distribution, file=inputs.file, version=inputs.version, sha256=inputs.sha256
        ),
        sites=inputs.sites,
        coordinator=inputs.coordinator,
        delivery_seconds=inputs.delivery_seconds,
        store=inputs.store,
    )
    return ray_work.Work(
        what=f"the delivery of {inputs.file}",
        module="heliostat.jobs.deliver",
        base=f"deliver-{inputs.name}-{inputs.sha256[:12]}",
        specification=lambda submission_id: specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
        timeout_seconds=inputs.delivery_seconds + _SPARE_SECONDS,
        # A site that did not ask has nothing; another offer is the next update's.
        is_done_by_its_end=True,
    )
