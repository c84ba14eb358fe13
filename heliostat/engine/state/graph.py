"""Who depends on whom; pure functions over a checkpoint's resources in their order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn, provider_of_reference


def dependencies_of(resource: Resource, *, parent: bool = True, provider: bool = True) -> set[Urn]:
    """All that must be there before `resource`: its provider, parent and dependencies of any kind."""
    found = set(resource.dependencies)
    for urns in resource.property_dependencies.values():
        found.update(urns)
    found.update(resource.extra.get("replaceWith") or [])
    served_by = provider_of_reference(resource.provider) if provider else ""
    for urn in (resource.deleted_with, served_by, resource.parent if parent else None):
        if urn:
            found.add(urn)
    return found


def dependents_of(root: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """What depends on `root` directly or through others, in the order of `resources`; to sit below it is not enough."""
    place = next((i for i, one in enumerate(resources) if one is root), None)
    if place is None:
        return []
    reached = {root.urn}
    found = []
    for resource in resources[place + 1 :]:
        if not reached.isdisjoint(dependencies_of(resource, parent=False)):
            reached.add(resource.urn)
            found.append(resource)
    return found


def with_dependents(urns: Iterable[Urn], resources: Sequence[Resource]) -> set[Urn]:
    """`urns` with all that depends on them, children included."""
    reached = set(urns)
    for resource in resources:
        if not reached.isdisjoint(dependencies_of(resource)):
            reached.add(resource.urn)
    return reached


def needs(resources: Sequence[Resource]) -> dict[int, list[Resource]]:
    """For each resource, by `id()`: those that have to be there before it.

    Several resources may have one URN (replaced ones wait for deletion): a resource depends on all of them that stand
    before it. What depends on a component depends on what stands below it, too.
    """
    by_urn: dict[Urn, list[Resource]] = {}
    below: dict[Urn, list[Resource]] = {}
    parents: dict[Urn, Urn | None] = {}
    found: dict[int, list[Resource]] = {}
    for resource in resources:
        wanted = dependencies_of(resource, parent=False)
        before = [one for urn in wanted for one in by_urn.get(urn, ())]
        components = [one.urn for one in before if not one.custom]
        before += [one for urn in dict.fromkeys(components) for one in below.get(urn, ())]
        before += by_urn.get(resource.parent or "", ())
        found[id(resource)] = before
        by_urn.setdefault(resource.urn, []).append(resource)
        parents[resource.urn] = above = resource.parent
        while above:
            below.setdefault(above, []).append(resource)
            above = parents.get(above)
    return found


def levels(chosen: Sequence[Resource], needed: Mapping[int, list[Resource]]) -> list[list[Resource]]:
    """`chosen` (in the order of the state), parted so that each level needs only what is in the levels before it.

    `needed` is what `needs` says of the whole state; as with the CLI, only what one resource needs itself counts.
    """
    depth: dict[int, int] = {}
    found: list[list[Resource]] = []
    for resource in chosen:
        mine = 1 + max((depth[id(one)] for one in needed[id(resource)] if id(one) in depth), default=-1)
        depth[id(resource)] = mine
        found.extend([] for _ in range(mine + 1 - len(found)))
        found[mine].append(resource)
    return found


def all_needs(resource: Resource, needed: Mapping[int, list[Resource]]) -> set[int]:
    """What a resource needs directly or through others, by `id()`."""
    found: set[int] = set()
    waiting = [resource]
    while waiting:
        for one in needed.get(id(waiting.pop()), ()):
            if id(one) not in found:
                found.add(id(one))
                waiting.append(one)
    return found


def with_needs(urns: Iterable[Urn], resources: Sequence[Resource], *, dependents: bool = False) -> set[Urn]:
    """`urns` with all that they need; with `dependents`, also with what depends on any of that, and so on."""
    needed = needs(resources)
    wanted = set(urns)
    while True:
        before = len(wanted)
        for resource in reversed(resources):
            if resource.urn in wanted:
                wanted.update(one.urn for one in needed[id(resource)])
        if dependents:
            wanted = with_dependents(wanted, resources)
        if not dependents or len(wanted) == before:
            return wanted


def protected(resources: Sequence[Resource]) -> list[Resource]:
    """The protected resources with all that they need, in the order of the state."""
    needed = needs(resources)
    kept: set[int] = set()
    for resource in resources:
        if resource.protect:
            kept |= {id(resource), *all_needs(resource, needed)}
    return [one for one in resources if id(one) in kept]


def needed_by(urns: Collection[Urn], resources: Sequence[Resource]) -> set[Urn]:
    """What the resources at `urns` need, directly or through others."""
    needed: set[Urn] = set()
    for resource in reversed(resources):
        if resource.urn in urns or resource.urn in needed:
            needed |= dependencies_of(resource)
    return needed


def renamed(resource: Resource, names: Mapping[Urn, Urn]) -> Resource:
    """`resource` with the new names of what it mentions; the same object where it mentions none of them."""
    if names.keys().isdisjoint(dependencies_of(resource)):
        return resource

    def new(urns: Iterable[Urn]) -> list[Urn]:
        return [names.get(urn, urn) for urn in urns]

    provider, _, ident = resource.provider.rpartition("::")
    extra = dict(resource.extra)
    if "replaceWith" in extra:
        extra["replaceWith"] = new(extra["replaceWith"])
    return replace(
        resource,
        parent=names.get(resource.parent or "", resource.parent),
        dependencies=new(resource.dependencies),
        property_dependencies={key: new(urns) for key, urns in resource.property_dependencies.items()},
        extra=extra,
        deleted_with=names.get(resource.deleted_with or "", resource.deleted_with),
        provider=f"{names[provider]}::{ident}" if provider in names else resource.provider,
    )


def repaired(resources: Iterable[tuple[Resource, Resource | None]]) -> list[Resource]:
    """What a refresh leaves of `(before, after)` pairs: the gone are left out, and so is every mention of them.

    A child whose parent is gone moves up to that parent's parent.
    """
    result: list[Resource] = []
    there: set[Urn] = set()
    parents: dict[Urn, Urn | None] = {}
    for before, after in resources:
        parents.setdefault(before.urn, before.parent)
        if after is None:
            continue
        parent = after.parent
        while parent and parent not in there:
            parent = parents.get(parent)
        by_property = {key: [u for u in urns if u in there] for key, urns in after.property_dependencies.items()}
        fixed = replace(
            after,
            parent=parent,
            dependencies=[u for u in after.dependencies if u in there],
            property_dependencies={key: urns for key, urns in by_property.items() if urns},
            deleted_with=after.deleted_with if after.deleted_with in there else None,
        )
        result.append(after if fixed == after else fixed)
        there.add(after.urn)
    return result
