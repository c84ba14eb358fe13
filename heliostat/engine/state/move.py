"""Moves resources from one stack's state to another's; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.edit import find, without
from heliostat.engine.state.graph import dependencies_of, renamed
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import ROOT_STACK_TYPE, Urn, is_provider_type, make, name_of, provider_of_reference


@dataclass(frozen=True)
class Move:
    """Two states after a move, what was moved, and which ties between them were cut."""

    source: list[Resource]
    target: list[Resource]
    moved: list[Urn]
    cut_in_source: list[str]
    cut_in_target: list[str]


def move(
    source: Sequence[Resource],
    target: Sequence[Resource],
    urns: Sequence[Urn],
    to: tuple[str, str],
    *,
    include_parents: bool = False,
) -> Move:
    """Takes the resources at `urns`, with all below them, from one state to another; `to` is that stack's name and project.

    Their providers are copied. What stays and depends on them, or they on it, loses that tie.

    Raises:
        StackError: nothing of it is there, a provider was named, or the other state has such a resource.
    """
    going = _going(source, urns, include_parents=include_parents)
    moved = [one for one in source if id(one) in going]
    if not moved:
        raise StackError("no resources found to move: `heliostat stack --show-urns` lists what there is")
    gone = {one.urn for one in moved}
    kept = [one for one in source if id(one) not in going]
    used = {one.provider for one in moved}
    providers = [one for one in kept if is_provider_type(one.type) and f"{one.urn}::{one.id}" in used]
    cut_in_source = [text for one in kept for text in _ties(one, gone)]
    staying = {one.urn for one in kept}
    cut_in_target = [text for one in (*providers, *moved) for text in _ties(one, staying)]
    return Move(
        [_cut(one, gone) for one in kept],
        [*_with_root(target, to), *_arrived(target, providers, moved, staying, to)],
        [one.urn for one in moved],
        cut_in_source,
        cut_in_target,
    )


def _going(source: Sequence[Resource], urns: Sequence[Urn], *, include_parents: bool) -> set[int]:
    for urn in urns:
        if is_provider_type(find(source, urn).type):
            raise StackError(
                "cannot move providers. Only resources can be moved, and providers will be included automatically"
            )
    chosen = set(urns)
    if include_parents:
        roots = {one.urn for one in source if one.type == ROOT_STACK_TYPE}
        for one in reversed(source):
            if one.urn in chosen and one.parent and one.parent not in roots:
                chosen.add(one.parent)
    for one in source:
        if one.parent in chosen:
            chosen.add(one.urn)
    return {id(one) for one in source if one.urn in chosen and not is_provider_type(one.type) and one.type != ROOT_STACK_TYPE}


def _ties(resource: Resource, urns: Collection[Urn]) -> list[str]:
    """The mentions of `urns` that a move cuts, in words."""
    found = [f"{resource.urn} depends on {urn}" for urn in resource.dependencies if urn in urns]
    for key, several in resource.property_dependencies.items():
        found += [f"{resource.urn} ({key}) depends on {urn}" for urn in several if urn in urns]
    if resource.deleted_with in urns:
        found.append(f"{resource.urn} is marked as deleted with {resource.deleted_with}")
    return found


def _cut(resource: Resource, urns: Collection[Urn]) -> Resource:
    """Without these mentions; the parent is the mover's business."""
    if dependencies_of(resource, parent=False).isdisjoint(urns):
        return resource
    return replace(without(resource, urns), parent=resource.parent)


def _with_root(target: Sequence[Resource], to: tuple[str, str]) -> list[Resource]:
    if any(one.type == ROOT_STACK_TYPE and not one.parent for one in target):
        return list(target)
    stack, project = to
    name = f"{project}-{stack}"
    return [Resource(make(stack, project, None, ROOT_STACK_TYPE, name), ROOT_STACK_TYPE, custom=False), *target]


def _arrived(
    target: Sequence[Resource],
    providers: Sequence[Resource],
    moved: Sequence[Resource],
    staying: Collection[Urn],
    to: tuple[str, str],
) -> list[Resource]:
    """The resources as the other stack has them: its names, its root, its providers."""
    root = _with_root(target, to)[0].urn
    there = {one.urn: one for one in target}
    names: dict[Urn, Urn] = {}
    references: dict[str, str] = {}
    arrived: list[Resource] = []
    gone = {one.urn for one in moved}
    for one in (*providers, *moved):
        parent = names.get(one.parent or "", root) if one.parent in gone else root
        urn = make(*to, parent, one.type, name_of(one.urn))
        names[one.urn] = urn
        known = there.get(urn)
        if known is not None and is_provider_type(one.type) and (known.id == one.id or known.inputs == one.inputs):
            references[f"{one.urn}::{one.id}"] = f"{urn}::{known.id}"
            continue
        if known is not None:
            raise StackError(f"{urn} already exists in the other stack")
        references[f"{one.urn}::{one.id}"] = f"{urn}::{one.id}"
        new = replace(
            renamed(without(one, [urn for urn in staying if urn != provider_of_reference(one.provider)]), names),
            urn=urn,
            parent=parent,
        )
        arrived.append(replace(new, provider=references.get(one.provider, one.provider) if one.provider else ""))
    return arrived
