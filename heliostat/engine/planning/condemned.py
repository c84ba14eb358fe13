"""Which resources cannot live through the replacement of one that has to be deleted first."""

from __future__ import annotations

from collections.abc import Callable

from heliostat.engine.planning.operation import Operation
from heliostat.engine.planning.registry import is_served
from heliostat.engine.protocol.diffs import with_replace_on_changes
from heliostat.engine.protocol.providers import Subject
from heliostat.engine.state.graph import dependents_of
from heliostat.engine.state.snapshot import UNKNOWN, Resource
from heliostat.engine.state.urns import Urn, provider_of_reference


async def condemned_with(op: Operation, root: Resource, is_operated: Callable[[Urn], bool]) -> list[Resource]:
    """The dependents of `root` that its deletion takes along, in the order of the state.

    A dependent goes where its provider says that it would be replaced if what it takes from a condemned resource changed.
    What this run has dealt with already cannot depend on `root` any more, whatever the old state says; what was deleted
    before and waits for its replacement is gone already.
    """
    resources = op.still_there()
    condemned = {root.urn}
    found: dict[int, Resource] = {}
    for resource in dependents_of(root, resources):
        if not is_operated(resource.urn) and await _must_go(op, resource, condemned):
            condemned.add(resource.urn)
            found[id(resource)] = resource
    for one in resources:
        bound = one.deleted_with == root.urn or root.urn in (one.extra.get("replaceWith") or [])
        if bound and not (one.delete or one.pending_replacement or is_operated(one.urn)):
            found[id(one)] = one
    return [one for one in resources if id(one) in found]


async def _must_go(op: Operation, resource: Resource, condemned: set[Urn]) -> bool:
    if not resource.custom or resource.external or resource.pending_replacement:
        return False
    if provider_of_reference(resource.provider) in condemned or resource.deleted_with in condemned:
        return True
    touched = {key for key, urns in resource.property_dependencies.items() if condemned.intersection(urns)}
    if not touched & resource.inputs.keys() or not is_served(resource):
        return False
    inputs = {key: UNKNOWN if key in touched else value for key, value in resource.inputs.items()}
    provider = await op.registry.provider(resource.provider)
    diff = await provider.diff(
        Subject(resource.urn, resource.id, resource.inputs, resource.outputs), inputs, resource.ignore_changes
    )
    return with_replace_on_changes(diff, resource.replace_on_changes, init_errors=False).replacing
