"""Deletes what the program no longer declares, or all of it: level by level, each resource after those that depend on it."""

from __future__ import annotations

import asyncio

from heliostat.engine.errors import Reported
from heliostat.engine.planning.operation import Operation, Stopped
from heliostat.engine.planning.planner import Planner
from heliostat.engine.state.graph import all_needs, levels, needed_by, needs
from heliostat.engine.state.snapshot import Resource


async def delete_the_rest(op: Operation, planner: Planner) -> None:
    """Deletes the resources of the old state that this run has not dealt with, and those that were replaced.

    Those of one level go side by side, and the next level waits for all of them, so that a deletion that fails leaves what
    it would with the CLI. Where one fails, what it needs stays; the rest goes on only where the failure is a protected
    resource, or the operation is to continue on errors.
    """
    condemned = _condemned(op, planner)
    if not condemned or not _within_targets(op, condemned):
        return
    # What failed is as the state had it, and still needs what it needed.
    kept = needed_by(op.failed, op.still_there())
    condemned = [one for one in condemned if one.urn not in kept]
    if not await _agreed(op, condemned):
        return
    planner.deleted.update(one.urn for one in condemned)
    needed = needs(op.still_there())
    spared: set[int] = set()
    for level in reversed(levels(condemned, needed)):
        going = [one for one in level if id(one) not in spared]
        gone = await asyncio.gather(*(_delete(op, planner, one) for one in going))
        for resource, went in zip(going, gone, strict=True):
            if not went:
                spared |= all_needs(resource, needed)


async def _agreed(op: Operation, condemned: list[Resource]) -> bool:
    """Whether what is no longer declared may go. Where it may not, all of it stays, since some of it may need the rest."""
    undeclared = [one for one in condemned if not one.delete]
    why = "" if op.preview or op.agree is None or not undeclared else await op.agree(undeclared)
    if why:
        op.errored = True
        op.tell("error", why)
    return not why


async def _delete(op: Operation, planner: Planner, resource: Resource) -> bool:
    if resource.pending_replacement and not resource.delete:
        # It was deleted before its replacement was to be made, which nobody wants any more: a mark is all that is left.
        if not op.halted.is_set():
            op.journal.remove(resource)
        return True
    try:
        await planner.steps.delete(resource, planner.deleted, replaced=resource.delete)
    except (Reported, Stopped):
        return False
    return True


def _condemned(op: Operation, planner: Planner) -> list[Resource]:
    resources = op.still_there()
    may_delete = op.scope.may_delete(resources)
    found = []
    for original, resource in zip(op.previous, resources, strict=True):
        if not may_delete(resource):
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
    if not op.scope.targets or op.scope.target_dependents:
        return True
    beyond = [one.urn for one in condemned if not op.scope.names(one.urn)]
    for urn in beyond:
        op.errored = True
        op.tell(
            "error",
            f"Resource '{urn}' will be destroyed but was not specified in --target list. Either include resource "
            "in --target list or pass --target-dependents to proceed.",
            urn,
        )
    return not beyond or op.preview
