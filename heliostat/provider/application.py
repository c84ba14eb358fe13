"""`heliostat:index:Application`: a model version that answers, moved into place by the cluster's controller.

The controller runs the rollout and does not need this process: an `up` that dies, or leaves a rollout that waits for a
person or pauses for long, leaves it running, and the next declares the same and follows on. Where it fails, what served goes
on serving, and the state keeps the old outputs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from heliostat.provider import inspecting, planned_capacity, planned_releases, postprocessing
from heliostat.provider.declaring import as_found, as_taken, desired_of, digest_of
from heliostat.provider.following import Followed, follow, is_through
from heliostat.provider.messages import refused
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.provider.switches import Switches, switches_of
from heliostat.spec.inspection import ServedModelAddress
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.proto import breaks, parse
from heliostat.spec.rollouts import Declaration, Health, Plan
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.systems import code_packages, library_packages
from heliostat.systems.controller_api import ControllerClient, OtherReleaseError
from heliostat.systems.errors import GoesOnError, NoAccessError, PermanentError, RetryableError
from heliostat.systems.git import origin_of
from heliostat.systems.objects import open_store

_DELETE_SECONDS = 180.0
_POLL_SECONDS = 0.3
_NEXT = "models:/candidate/next"
"""Stands in a preview for a version that is not registered yet."""


class ApplicationHandler(Handler[ApplicationInputs, ApplicationOutputs]):
    """Declares, follows, and takes away."""

    token = "heliostat:index:Application"  # noqa: S105 - a type
    inputs = ApplicationInputs
    outputs = ApplicationOutputs
    gone = ""
    replace_on = frozenset({"name"})
    # Which version a candidate becomes is known once the gate has let it pass; how it will be moved is known before.
    preview_placeholders: ClassVar[Mapping[str, Any]] = {
        "model_uri": _NEXT,
        "data_digest": "",
        "environment": None,
        "cluster": "",
        "cluster_session": "",
    }

    def insignificant_inputs(self, old: ApplicationInputs, new: ApplicationInputs) -> frozenset[str]:
        """The same code in another checkout is the same code."""
        return frozenset({"code"}) if old.code.digest == new.code.digest else frozenset()

    def preview_outputs(self, old: ApplicationOutputs | None, new: ApplicationInputs) -> Mapping[str, Any]:
        """What decides its answers is known beforehand, and its place does not change."""
        known: dict[str, Any] = {"digest": digest_of(new, library_packages.runtime(open_store(new.store)))}
        if old is not None and old.controller == new.controller:
            known |= {"url": old.url, "openapi_url": old.openapi_url}
        return known

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """What in the contract, its golden requests or the strategy's checks cannot work."""
        return await inspecting.of_application(given)

    async def resolved_inputs(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
        """With the digests of the lists that its post-processing reads."""
        return await postprocessing.with_digests(given)

    async def preview(self, context: Context, old: ApplicationOutputs | None, new: ApplicationInputs) -> None:
        """Say what restarts, what is needed on top, for how long, whether there is a gap, and what will be checked.

        Raises:
            PermanentError: the cluster cannot hold what it needs on top and does not grow, the strategy cannot work, or the
                controller is of another release, and stays so.
        """
        _require_kept_numbers(old, new)
        switches = switches_of(os.environ)
        # One with an environment of its own is loaded there, and not here.
        if new.model_uri != _NEXT and new.environment is None:
            await _require_loadable(new)
        store = open_store(new.store)
        desired = desired_of(new, store.uri(f"code/{new.code.digest}.zip"), library_packages.runtime(store))
        if new.model_uri == _NEXT:
            named = desired.version.model_copy(update={"label": "the next version"})
            desired = desired.model_copy(update={"version": named})
        declaration = Declaration(desired=desired, retry_refused=switches.retry_refused)
        async with ControllerClient(new.controller) as controller:
            found = await _planned(context, controller, new, declaration)
        if found is None:
            return
        plan, health = found
        stays = old is not None and (not old.cluster or not new.cluster or old.cluster == new.cluster)
        if old is not None and stays and old.cluster_session not in ("", new.cluster_session):
            context.warn(f"{new.name} starts again with its cluster, which is made anew; it does not answer until it has")
        postprocessing.tell(context, old.postprocessing if old is not None else (), new.postprocessing)
        for line in plan.lines:
            context.info(line)
        if plan.refused is not None and not switches.retry_refused:
            context.warn(refused(plan.refused))
        if plan.shortage is None or health is None:
            return
        grows = planned_capacity.growth(health.ray_url) or planned_capacity.group_growth(health.groups, new.group)
        if grows is None:
            raise PermanentError(plan.shortage)
        context.warn(
            f"as the cluster is now, {plan.shortage}. This update changes its nodes first ({grows}); "
            "whether it is enough is looked at again before anything moves"
        )

    async def create(self, context: Context, inputs: ApplicationInputs) -> Created[ApplicationOutputs]:
        """Declare it and follow the rollout until it serves, or until it is left to itself.

        Raises:
            PermanentError: the new version does not come into place; what served goes on serving.
            RetryableError: the controller does not answer, or the wait was cancelled: the rollout goes on.
        """
        return Created(inputs.name, await self._bring(context, inputs, ()))

    async def read(self, context: Context, identifier: str, outputs: ApplicationOutputs) -> ApplicationOutputs | None:
        """What serves; None where nothing does, so that it is declared again."""
        async with ControllerClient(outputs.controller) as controller:
            try:
                status = await controller.read(outputs.name)
            except RetryableError as error:
                context.warn(f"{outputs.name}: {error}; it counts as gone, and the next `up` declares it again")
                return None
        if status is None or status.serving is None or status.desired is None:
            known = "no replica of it answers" if status is not None else "the controller does not know it"
            context.info(f"{outputs.name} serves no more: {known}; the next `up` brings it back")
            return None
        return as_found(outputs, status)

    async def update(
        self, context: Context, identifier: str, old: ApplicationOutputs, new: ApplicationInputs
    ) -> ApplicationOutputs:
        """The same as create: the controller knows what serves."""
        return await self._bring(context, new, old.postprocessing)

    async def delete(self, context: Context, identifier: str, outputs: ApplicationOutputs) -> None:
        """Stop serving it. Where the controller is gone, its applications are."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (context.timeout_seconds or _DELETE_SECONDS)
        async with ControllerClient(outputs.controller) as controller:
            try:
                await controller.delete(outputs.name)
                while await controller.read(outputs.name) is not None:
                    if not (await controller.health()).ray:
                        context.warn(f"{outputs.name}: its cluster does not answer; it counts as gone")
                        return
                    if loop.time() > deadline:
                        raise PermanentError(f"{outputs.name} still stops; see the controller's log, and run it again")
                    if context.cancelled.is_set():
                        raise RetryableError(f"{outputs.name} goes on stopping; run it again to see the end")
                    context.progress(f"{outputs.name}: its replicas finish what they have")
                    await asyncio.sleep(_POLL_SECONDS)
            except RetryableError as error:
                if context.cancelled.is_set():
                    raise
                context.warn(f"{outputs.name}: {error}; it counts as gone")

    async def _bring(
        self, context: Context, inputs: ApplicationInputs, before: tuple[PostprocessingStep, ...]
    ) -> ApplicationOutputs:
        """`before`: the steps of what served."""
        began = time.monotonic()
        switches = switches_of(os.environ)
        store = open_store(inputs.store)
        code_uri = await asyncio.to_thread(code_packages.upload, inputs.code, store)
        await postprocessing.keep(inputs.postprocessing, inputs.code, inputs.store)
        desired = desired_of(inputs, code_uri, await asyncio.to_thread(library_packages.upload, store))
        origin = await asyncio.to_thread(origin_of, Path(inputs.code.root), os.environ)
        declaration = Declaration(desired=desired, origin=origin, retry_refused=switches.retry_refused)
        async with ControllerClient(inputs.controller) as controller:
            followed = await self._follow(context, controller, inputs.name, declaration, switches)
        status = followed.status
        outputs = ApplicationOutputs(
            **{field: getattr(inputs, field) for field in ApplicationInputs.model_fields},
            digest=desired.version.digest,
            url=status.url,
            openapi_url=f"{status.url}/openapi.json",
        )
        if followed.left is None:
            postprocessing.tell_effect(context, before, inputs.postprocessing, time.monotonic() - began)
            return outputs
        if status.rollout is not None and status.rollout.moves:
            # What this update would delete at its end is the cluster that still serves.
            stays = f"It leaves the cluster {status.rollout.from_cluster}, which stays until it has; run it again"
            raise GoesOnError(f"{followed.left}. {stays}", {"what": f"the rollout of {status.name}"})
        context.info(followed.left)
        # The state says what serves, not what is on its way: so the next update has something to do, and follows it up.
        return as_found(outputs, status)

    async def _follow(
        self, context: Context, controller: ControllerClient, name: str, declaration: Declaration, switches: Switches
    ) -> Followed:
        status = await controller.declare(name, declaration)
        desired = as_taken(declaration.desired, status)
        if is_through(status, desired, to_the_end=switches.wait):
            return Followed(status)
        return await follow(context, controller, desired, status, switches)


def _require_kept_numbers(old: ApplicationOutputs | None, new: ApplicationInputs) -> None:
    """See that clients of what serves read what is to serve.

    Raises:
        PermanentError: a number of the contract's definition was moved, or used again.
    """
    if old is None or not old.proto or not new.proto:
        return
    if broken := list(breaks(parse(old.proto), parse(new.proto))):
        raise PermanentError(
            f"contract.proto of {new.name} has other numbers than what serves, so that its clients would misread it: "
            f"{'; '.join(broken)}. Take the file of the commit that serves, and run `heliostat proto {new.name}` on it"
        )


async def _planned(
    context: Context, controller: ControllerClient, inputs: ApplicationInputs, declaration: Declaration
) -> tuple[Plan, Health | None] | None:
    """What the controller would do, and where it lacks room, which cluster it has; None, with a warning, where the update
    itself has to bring it up first.

    Raises:
        OtherReleaseError: it is of another release, and stays so.
    """
    try:
        plan = await controller.plan(inputs.name, declaration)
        return plan, await controller.health() if plan.shortage is not None else None
    except RetryableError as error:
        context.warn(f"what this does cannot be said before the controller is up ({error})")
    except OtherReleaseError:
        if not planned_releases.brings(inputs.controller.url):
            raise
        context.warn("what this does cannot be said before the controller, of another release, is brought to this one")
    return None


async def _require_loadable(inputs: ApplicationInputs) -> None:
    """See that the declared version can be loaded by the declared code, as a replica would.

    Raises:
        NoAccessError: nobody is let in to where it lies.
        PermanentError: it cannot.
    """
    given = inputs.model_dump(mode="json", by_alias=True)
    model = ServedModelAddress(uri=inputs.model_uri, tracking_uri=inputs.tracking_uri, tracking_access=inputs.tracking_access)
    found, _ = await inspecting.inspect_application(given, model)
    if found.closed:
        raise NoAccessError(f"{inputs.model_uri}: {found.closed}")
    if found.model:
        raise PermanentError(f"{inputs.model_uri} cannot be served: {found.model}")
