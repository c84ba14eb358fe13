"""Deletes what the program no longer declares, or all of it: each resource after those that depend on it."""

from __future__ import annotations

import asyncio

from heliostat.engine.errors import Reported
from heliostat.engine.graph import blockers, needed_by, with_dependents
from heliostat.engine.operation import Operation, Stopped
from heliostat.engine.planner import Planner
from heliostat.engine.state import Resource
from heliostat.engine.urns import Urn


async def delete_the_rest(op: Operation, planner: Planner) -> None:
    """Deletes the resources of the old state that this run has not dealt with, and those that were replaced.

    Those that can go side by side do. Where one fails, what it depends on stays; the rest goes on only where the failure
    is a protected resource, or the operation is to continue on errors.
    """
    condemned = _condemned(op, planner)
    if not _within_targets(op, condemned):
        return
    # What failed is as the state had it, and still needs what it needed.
    kept = needed_by(op.failed, op.still_there())
    condemned = [one for one in condemned if one.urn not in kept]
    for resource in [one for one in condemned if one.pending_replacement and not one.delete]:
        op.journal.remove(resource)
    condemned = [one for one in condemned if one.delete or not one.pending_replacement]
    planner.deleted.update(one.urn for one in condemned)
    before = blockers(condemned, op.still_there())
    tasks: dict[int, asyncio.Task[bool]] = {}

    async def delete(resource: Resource) -> bool:
        # All tasks stand in `tasks` before the first of them runs.
        if not all(await asyncio.gather(*(tasks[id(one)] for one in before[id(resource)]))):
            return False
        try:
            await planner.steps.delete(resource, planner.deleted, replaced=resource.delete)
        except (Reported, Stopped):
            return False
        return True

    for resource in reversed(condemned):
        tasks[id(resource)] = asyncio.create_task(delete(resource))
    await asyncio.gather(*tasks.values())


def _condemned(op: Operation, planner: Planner) -> list[Resource]:
    resources = op.still_there()
    allowed: set[Urn] | None = None
    if op.targets:
        allowed = with_dependents((one.urn for one in resources if op.names_target(one.urn)), resources)
    found = []
    for original, resource in zip(op.previous, resources, strict=True):
        if allowed is not None and resource.urn not in allowed:
            continue
        # Deleted before its registration: the program may have made it again, else nothing is left of it but a mark.
        gone = id(original) in planner.gone or id(resource) in planner.gone
        if gone and (planner.is_operated(resource.urn) or not resource.pending_replacement):
            continue
        if resource.delete or not planner.is_operated(resource.urn):
            found.append(resource)
    return found


def _within_targets(op: Operation, condemned: list[Resource]) -> bool:
    """Whether `--target` allows it all; what stands in the way is told."""
    if not op.targets or op.target_dependents:
        return True
    beyond = [one.urn for one in condemned if not op.names_target(one.urn)]
    for urn in beyond:
        op.errored = True
        op.tell(
            "error",
            f"Resource '{urn}' will be destroyed but was not specified in --target list. Either include resource "
            "in --target list or pass --target-dependents to proceed.",
            urn,
        )
    return not beyond or op.preview
