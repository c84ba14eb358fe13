"""`heliostat:index:Handover`: the end of a move from a cluster to another one, which the deletion of the old one waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.platform_resources import HandoverInputs, HandoverOutputs
from heliostat.spec.rollouts import Health, Status
from heliostat.systems.controller_api import ENDS, ControllerClient
from heliostat.systems.errors import RetryableError

_PATIENCE_SECONDS = 600.0
"""For what is on its way, without a timeout of the program's own."""
_LOOK_SECONDS = 0.5


class HandoverHandler(Handler[HandoverInputs, HandoverOutputs]):
    """Waits for what moves; what does not move fails the update, so that its cluster stays."""

    token = "heliostat:index:Handover"  # noqa: S105 - a type
    inputs = HandoverInputs
    outputs = HandoverOutputs

    async def create(self, context: Context, inputs: HandoverInputs) -> Created[HandoverOutputs]:
        """Return once the controller works on the cluster, and nothing is left on another one.

        Raises:
            RetryableError: an application is still on another one, or takes long to leave it.
        """
        return Created("handover", await self._wait(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: HandoverOutputs) -> HandoverOutputs:
        """What was left once stays left."""
        return outputs

    async def update(self, context: Context, identifier: str, old: HandoverOutputs, new: HandoverInputs) -> HandoverOutputs:
        """The same as create."""
        return await self._wait(context, new)

    async def delete(self, context: Context, identifier: str, outputs: HandoverOutputs) -> None:
        """Nothing: it has no place in the world."""

    async def _wait(self, context: Context, inputs: HandoverInputs) -> HandoverOutputs:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (context.timeout_seconds or _PATIENCE_SECONDS)
        async with ControllerClient(inputs.controller) as controller:
            while True:
                health = await controller.health()
                missing = _missing(health, inputs.cluster)
                if missing is None:
                    return HandoverOutputs(**{name: getattr(inputs, name) for name in HandoverInputs.model_fields})
                if staying := stays(await controller.list(), health):
                    verb = "is" if len(staying) == 1 else "are"
                    raise RetryableError(
                        f"{missing}: {', '.join(staying)} {verb} still there, with no rollout that moves. Run `up` in the "
                        "stacks that declare what is left, then here again; what is to be deleted stays until then"
                    )
                if loop.time() > deadline or context.cancelled.is_set():
                    raise RetryableError(f"{missing}; run it again to see the end. What is to be deleted stays until then")
                context.progress(missing)
                await asyncio.sleep(_LOOK_SECONDS)


def stays(statuses: Iterable[Status], health: Health) -> tuple[str, ...]:
    """The applications on a cluster that was left, which no rollout takes away from there. Pure."""
    return tuple(each.name for each in statuses if each.cluster in health.former_ray_urls and not _moves(each))


def _moves(status: Status) -> bool:
    rollout = status.rollout
    return status.pending or (rollout is not None and rollout.moves and rollout.phase not in ENDS)


def _missing(health: Health, cluster: str) -> str | None:
    """What is not as it shall be; None where all is."""
    if health.ray_url != cluster:
        return f"the controller works on {health.ray_url or 'another cluster'}, and not on {cluster} yet"
    left = ", ".join(health.former_ray_urls)
    return f"applications have not left {left} yet" if left else None
