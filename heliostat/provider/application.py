"""`heliostat:index:Application`: a model version that answers, moved into place by the cluster's controller.

The controller runs the rollout and does not need this process: an `up` that dies leaves it running, and the next declares
the same and follows on. Where it fails, what served goes on serving, and the state keeps the old outputs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.resources import ApplicationInputs, ApplicationOutputs
from heliostat.spec.rollouts import Desired, Phase, Rollout, Status, Version
from heliostat.systems import code_packages
from heliostat.systems.controller_api import ENDS, ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store

_SERVES = frozenset({Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED})
"""All traffic is on the new version: for whoever waits it is done."""
_DELETE_SECONDS = 180.0
_POLL_SECONDS = 0.3
_UNSEEN = "0" * 64
_NEXT = "models:/candidate/next"
"""Stands in a preview for a version that is not registered yet."""


class ApplicationHandler(Handler[ApplicationInputs, ApplicationOutputs]):
    """Declares, follows, and takes away."""

    token = "heliostat:index:Application"  # noqa: S105 - a type
    inputs = ApplicationInputs
    outputs = ApplicationOutputs
    replace_on = frozenset({"name"})
    # Which version a candidate becomes is known once the gate has let it pass; how it will be moved is known before.
    supposed: ClassVar[Mapping[str, Any]] = {"model_uri": _NEXT}

    def unchanged(self, old: ApplicationInputs, new: ApplicationInputs) -> frozenset[str]:
        """The same code in another checkout is the same code."""
        return frozenset({"code"}) if old.code.digest == new.code.digest else frozenset()

    def foreseen(self, old: ApplicationOutputs | None, new: ApplicationInputs) -> Mapping[str, Any]:
        """What decides its answers is known beforehand, and its place does not change."""
        known: dict[str, Any] = {"digest": digest_of(new)}
        if old is not None and old.controller == new.controller:
            known |= {"url": old.url, "openapi_url": old.openapi_url}
        return known

    async def preview(self, context: Context, old: ApplicationOutputs | None, new: ApplicationInputs) -> None:
        """Say what restarts, what is needed on top, for how long, and whether there is a gap."""
        desired = desired_of(new, open_store(new.store).uri(f"code/{new.code.digest}.zip"))
        if new.model_uri == _NEXT:
            named = desired.version.model_copy(update={"label": "the next version"})
            desired = desired.model_copy(update={"version": named})
        async with ControllerClient(new.controller) as controller:
            try:
                plan = await controller.plan(new.name, desired)
            except RetryableError as error:
                context.warn(f"{new.name}: what this does cannot be said before the controller is up ({error})")
                return
        for line in plan.lines if plan.changes else ():
            context.info(f"{new.name}: {line}")

    async def create(self, context: Context, inputs: ApplicationInputs) -> Created[ApplicationOutputs]:
        """Declare it and follow the rollout until it serves.

        Raises:
            PermanentError: the new version does not come into place; what served goes on serving.
            RetryableError: the controller does not answer, or the wait was cancelled: the rollout goes on.
        """
        return Created(inputs.name, await self._bring(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: ApplicationOutputs) -> ApplicationOutputs | None:
        """What serves; None where nothing does, so that it is declared again."""
        async with ControllerClient(outputs.controller) as controller:
            try:
                status = await controller.read(outputs.name)
            except RetryableError as error:
                context.warn(f"{outputs.name}: {error}; it counts as gone")
                return None
        if status is None or status.serving is None or status.desired is None:
            return None
        return as_found(outputs, status.serving, status.desired)

    async def update(
        self, context: Context, identifier: str, old: ApplicationOutputs, new: ApplicationInputs
    ) -> ApplicationOutputs:
        """The same as create: the controller knows what serves."""
        return await self._bring(context, new)

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

    async def _bring(self, context: Context, inputs: ApplicationInputs) -> ApplicationOutputs:
        store = open_store(inputs.store)
        code_uri = await asyncio.to_thread(code_packages.upload, inputs.code, store)
        desired = desired_of(inputs, code_uri)
        async with ControllerClient(inputs.controller) as controller:
            status = await controller.declare(inputs.name, desired)
            if not _serves(status, desired):
                status = await self._follow(context, controller, inputs.name, status, desired)
        _judge(inputs.name, status, desired)
        return ApplicationOutputs(
            **{field: getattr(inputs, field) for field in ApplicationInputs.model_fields},
            digest=desired.version.digest,
            url=status.url,
            openapi_url=f"{status.url}/openapi.json",
        )

    async def _follow(
        self, context: Context, controller: ControllerClient, name: str, status: Status, desired: Desired
    ) -> Status:
        told = (0, 0)
        cancelled = asyncio.ensure_future(context.cancelled.wait())
        statuses = controller.follow(name, status)
        try:
            while True:
                newest = asyncio.ensure_future(anext(statuses, None))
                await asyncio.wait({newest, cancelled}, return_when=asyncio.FIRST_COMPLETED)
                if not newest.done():
                    newest.cancel()
                    raise RetryableError(f"the rollout of {name} goes on without this `up`; the next one follows it")
                found = newest.result()
                if found is None:
                    return status
                status = found
                told = _tell(context, name, status, told)
                if status.desired != desired or _serves(status, desired):
                    return status
        finally:
            cancelled.cancel()


def desired_of(inputs: ApplicationInputs, code_uri: str) -> Desired:
    """What the controller is asked for."""
    digest = digest_of(inputs)
    number = re.search(r"/(\d+)$", inputs.model_uri)
    version = Version(
        digest=digest,
        label=f"{number.group(1)}-{digest[:8]}" if number else digest[:8],
        code_uri=code_uri,
        contract=inputs.contract,
        model_uri=inputs.model_uri,
        tracking_uri=inputs.tracking_uri,
        store=inputs.store,
        prediction_log=inputs.prediction_log,
        limits=inputs.limits,
    )
    return Desired(
        version=version,
        replicas=inputs.replicas,
        cpus_per_replica=inputs.cpus_per_replica,
        max_ongoing_requests=inputs.max_ongoing_requests,
        startup_timeout_seconds=inputs.startup_timeout_seconds,
        strategy=inputs.strategy,
    )


def digest_of(inputs: ApplicationInputs) -> str:
    """Of all that decides what the application answers, and where it writes what it answered."""
    parts = {
        "code": inputs.code.digest,
        "contract": inputs.contract,
        "model": inputs.model_uri,
        "tracking": inputs.tracking_uri,
        "store": inputs.store.model_dump(mode="json"),
        "prediction_log": inputs.prediction_log.model_dump(mode="json"),
        "limits": inputs.limits.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def as_found(outputs: ApplicationOutputs, serving: Version, desired: Desired) -> ApplicationOutputs:
    """`outputs` as the world has them: what differs from the state shows as drift."""
    found: dict[str, object] = {
        "replicas": desired.replicas,
        "cpus_per_replica": desired.cpus_per_replica,
        "max_ongoing_requests": desired.max_ongoing_requests,
    }
    if serving.digest != outputs.digest:
        found = {
            "digest": serving.digest,
            "model_uri": serving.model_uri,
            "contract": serving.contract,
            "tracking_uri": serving.tracking_uri,
            "store": serving.store,
            "prediction_log": serving.prediction_log,
            "limits": serving.limits,
            "code": outputs.code.model_copy(update={"digest": _code_digest(serving.code_uri)}),
        }
    return outputs.model_copy(update=found)


def _code_digest(code_uri: str) -> str:
    """A code package's digest, by its name in the store."""
    found = re.search(r"/([0-9a-f]{64})\.zip$", code_uri)
    return found.group(1) if found else _UNSEEN


def _tell(context: Context, name: str, status: Status, told: tuple[int, int]) -> tuple[int, int]:
    """Tell what is new since `told`: a rollout's number, and how many of its events."""
    rollout = status.rollout
    if rollout is None:
        return told
    for event in rollout.events[told[1] if told[0] == rollout.number else 0 :]:
        context.progress(f"{name}: {event.phase}: {event.message}")
    return rollout.number, len(rollout.events)


def _serves(status: Status, desired: Desired) -> bool:
    """Whether the rollout to what is declared has brought it all the traffic."""
    rollout = status.rollout
    through = rollout is not None and rollout.phase in _SERVES and rollout.to_version == desired.version.label
    # Where what was declared served already, no rollout was needed: the newest one is older.
    as_it_was = rollout is not None and rollout.phase in ENDS and status.serving == desired.version
    return status.desired == desired and (through or (as_it_was and rollout is not None and not _failed_to(rollout, desired)))


def _failed_to(rollout: Rollout, desired: Desired) -> bool:
    return rollout.phase is Phase.FAILED and rollout.to_version == desired.version.label


def _judge(name: str, status: Status, desired: Desired) -> None:
    rollout = status.rollout
    if _serves(status, desired):
        return
    if status.desired != desired:
        newer = status.desired.version.label if status.desired is not None else "nothing"
        raise PermanentError(f"{name}: another declaration ({newer}) took the place of {desired.version.label}")
    if rollout is not None and rollout.phase is Phase.FAILED:
        raise PermanentError(_failure(name, status, rollout))
    raise RetryableError(f"{name}: {desired.version.label} does not serve yet; run it again")


def _failure(name: str, status: Status, rollout: Rollout) -> str:
    serving = f"{status.serving.label} goes on serving" if status.serving is not None else "nothing serves"
    figures = ", ".join(f"{key} {value}" for key, value in rollout.figures.items())
    measured = f" ({figures})" if figures else ""
    return f"{name}: {rollout.to_version} was not put into place; {serving}{measured}.\n{rollout.error or ''}".rstrip()
