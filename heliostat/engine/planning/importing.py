"""Takes resources that are there already under management, without a program: as the CLI's `import` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from heliostat.engine.planning.goals import Goal
from heliostat.engine.planning.operation import Operation
from heliostat.engine.planning.planner import Planner
from heliostat.engine.planning.request import Import
from heliostat.engine.state.urns import PROVIDER_TYPE_PREFIX, ROOT_STACK_TYPE, Urn, is_default_provider, is_provider_type, make


async def import_all(op: Operation, planner: Planner, imports: Sequence[Import]) -> None:
    """Reads each resource from its provider and records it; all that the state has stays. Raises Reported."""
    for old in op.previous:
        if not old.delete:  # so that each stands before what is imported below it
            await planner.steps.same(old, replace(old), untargeted=True)
    root = next((one.urn for one in op.previous if one.type == ROOT_STACK_TYPE and not one.parent), None)
    if root is None:
        made = await planner.register(Goal(ROOT_STACK_TYPE, f"{planner.project}-{planner.stack}", custom=False))
        root = made.resource.urn
    for one in imports:
        await _import(op, planner, one, root)


async def _import(op: Operation, planner: Planner, wanted: Import, root: Urn) -> None:
    parent = wanted.parent or root
    urn = make(planner.stack, planner.project, parent, wanted.type, wanted.name)
    if urn in op.olds or urn in op.news:
        raise op.fail(f"resource '{urn}' already exists", urn)
    if parent not in op.olds and parent not in op.news:
        raise op.fail(f"unknown parent '{parent}' of '{urn}'", urn)
    reference = await _provider(op, planner, wanted, urn)
    goal = Goal(
        wanted.type,
        wanted.name,
        custom=True,
        parent=parent,
        provider=reference,
        protect=wanted.protect,
        import_id=wanted.id,
    )
    await planner.steps.import_(goal.resource(urn, None, None), wanted.id, None)


async def _provider(op: Operation, planner: Planner, wanted: Import, urn: Urn) -> str:
    """The reference of the provider that is to read it."""
    package = wanted.type.split(":", 1)[0]
    known = [one for one in op.previous if is_provider_type(one.type) and not one.delete]
    if wanted.provider:
        found = next((one for one in known if one.urn == wanted.provider), None)
        if found is None:
            raise op.fail(f"unknown provider '{wanted.provider}' of '{urn}'", urn)
        return f"{found.urn}::{found.id}"
    default = next((o for o in known if o.type == PROVIDER_TYPE_PREFIX + package and is_default_provider(o.urn)), None)
    return f"{default.urn}::{default.id}" if default else await planner.defaults.reference(package)
