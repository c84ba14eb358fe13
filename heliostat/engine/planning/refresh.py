"""Reads the world into the state: every resource side by side, then the state without what is gone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from heliostat.engine.errors import NoCredentials, Reported
from heliostat.engine.events import Op
from heliostat.engine.planning.operation import Operation, Stopped, timestamp
from heliostat.engine.planning.registry import is_served
from heliostat.engine.protocol.diffs import SAME, Diff, property_changes
from heliostat.engine.protocol.properties import with_secrets_of
from heliostat.engine.protocol.providers import Made, Subject
from heliostat.engine.state.graph import repaired
from heliostat.engine.state.snapshot import Resource


async def refresh(op: Operation, *, counted: bool) -> None:
    """Refreshes the resources that `op` is about, and makes what was found the old state of what follows.

    As with the CLI, only a refresh of its own is `counted` in the summary; one before an update or a destroy is not.
    A resource that cannot be read keeps its old state and makes the operation fail in the end; the others go on. In a
    preview that nothing follows, one that nobody was let in to is told and does not fail it: what it would show is a plan.
    """
    chosen = {id(one) for one in op.scope.to_refresh(op.previous)}
    refreshed = await asyncio.gather(
        *(_refresh_one(op, one, counted=counted) if id(one) in chosen else _as_it_was(one) for one in op.previous)
    )
    resources = repaired(zip(op.previous, refreshed, strict=True))
    op.rebase(resources)
    op.journal.rebase(resources)
    await op.journal.flush()


async def _as_it_was(resource: Resource) -> Resource:
    return resource


async def _refresh_one(op: Operation, old: Resource, *, counted: bool) -> Resource | None:
    try:
        if not is_served(old) or old.pending_replacement:
            return await _unchanged(op, old, counted=counted)
        async with op.step(Op.REFRESH, old, lenient=True, counted=counted) as outcome:
            provider = await op.registry.provider(old.provider)
            timeout = old.custom_timeouts.get("read", 0.0)
            try:
                found = await provider.read(Subject(old.urn, old.id, old.inputs, old.outputs, timeout))
            except NoCredentials as error:
                if not op.registry.stands_in:
                    raise
                op.tell("warning", f"not read, and taken as the state has it: {error}", old.urn)
                outcome.op, outcome.outputs = Op.SAME, old.outputs
                return old
            if found is None:
                outcome.op = Op.DELETE
                return None
            if found.init_errors:
                listed = "\n* ".join(found.init_errors)
                op.tell("warning", f"Refreshed resource is in an unhealthy state:\n* {listed}", old.urn)
            new = _refreshed(old, found)
            diff = SAME
            if not old.external:
                diff = await provider.diff(Subject(new.urn, new.id, new.inputs, new.outputs), old.inputs, old.ignore_changes)
            outcome.outputs = new.outputs
            outcome.op = Op.UPDATE if diff.changes or (old.external and old.outputs != new.outputs) else Op.SAME
            before, after = {**old.outputs, **old.inputs}, {**new.outputs, **new.inputs}
            outcome.changes = property_changes(_inverted(diff), before, after, old.hide_diffs)
            return new
    except (Reported, Stopped):
        return old


async def _unchanged(op: Operation, old: Resource, *, counted: bool) -> Resource:
    """Components, providers and marks of a replacement have nothing to read in the world; a refresh counts them, too."""
    if counted:
        async with op.step(Op.REFRESH, old) as outcome:
            outcome.op, outcome.outputs = Op.SAME, old.outputs
    return old


def _refreshed(old: Resource, found: Made) -> Resource:
    inputs = old.inputs if found.inputs is None else found.inputs
    outputs = with_secrets_of(found.outputs, inputs, old.additional_secret_outputs)
    new = replace(old, id=found.id, inputs=inputs, outputs=outputs, init_errors=list(found.init_errors))
    return old if new == old else replace(new, modified=timestamp())


def _inverted(diff: Diff) -> Diff:
    """A difference from the world to the state, told as one from the state to the world: nothing is replaced by looking."""
    return replace(
        diff, replaces=(), changed=tuple(sorted({*diff.changed, *diff.replaces})), detailed=dict.fromkeys(diff.detailed, False)
    )
