"""Edits of a state by hand: what is forgotten, renamed, protected or put in order; pure functions over its resources.

Each returns a new list and leaves the resources that it was given as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state.graph import dependencies_of, renamed
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn, name_of, provider_of_reference


def find(resources: Sequence[Resource], urn: Urn) -> Resource:
    """The resource at `urn`; one that waits for its deletion only where there is no other."""
    there = [one for one in resources if one.urn == urn]
    living = [one for one in there if not one.delete]
    if len(living) == 1 or (not living and len(there) == 1):
        return (living or there)[0]
    if there:
        raise StackError(f"{urn} is ambiguous: {len(there)} resources of the state have it; edit `stack export` by hand")
    near = [one.urn for one in resources if name_of(one.urn) == (urn.split("::", 3)[3] if urn.count("::") > 2 else urn)]
    hint = f"; did you mean {near[0]!r}?" if near else ": `heliostat stack --show-urns` lists what there is"
    raise NotFoundError(f"no resource {urn!r} in the state{hint}")


def forget(
    resources: Sequence[Resource], urns: Iterable[Urn], *, force: bool = False, dependents: bool = False
) -> list[Resource]:
    """The state without the resources at `urns`; `force` takes protected ones, `dependents` what depends on them.

    Raises:
        NotFoundError: there is no such resource.
        StackError: others depend on it, or it is protected; the text says what would do it.
    """
    doomed = {id(find(resources, urn)) for urn in urns}
    order: dict[Urn, list[Urn]] = {}
    for resource in resources:
        if id(resource) in doomed:
            continue
        for urn in sorted(_gone_for(resource, resources, doomed)):
            order.setdefault(urn, []).append(resource.urn)
            if dependents:
                doomed.add(id(resource))
    if order and not dependents:
        urn, others = next(iter(order.items()))
        listed = "".join(f"\n * {name_of(other)!r} ({other})" for other in others)
        raise StackError(
            f"{urn} can't be safely deleted because the following resources depend on it:{listed}\n"
            "Delete those resources first or pass --target-dependents."
        )
    protected = [one.urn for one in resources if id(one) in doomed and one.protect]
    if protected and not force:
        raise StackError(
            f"{protected[0]} can't be safely deleted because it is protected. Re-run this command with --force "
            "to force deletion"
        )
    return [one for one in resources if id(one) not in doomed]


def _gone_for(resource: Resource, resources: Sequence[Resource], doomed: Collection[int]) -> set[Urn]:
    """Of what `resource` needs, that of which nothing is left."""
    needed = dependencies_of(resource)
    left = {one.urn for one in resources if id(one) not in doomed}
    return {one.urn for one in resources if id(one) in doomed and one.urn in needed} - left


def protect(resources: Sequence[Resource], urns: Iterable[Urn] | None, *, on: bool) -> list[Resource]:
    """The state with these resources (None: all) protected, or no longer; those that wait for their deletion are left out."""
    living = [one for one in resources if not one.delete]
    chosen = {id(one) for one in living} if urns is None else {id(find(living, urn)) for urn in urns}
    return [replace(one, protect=on) if id(one) in chosen and one.protect != on else one for one in resources]


def rename(resources: Sequence[Resource], urn: Urn, name: str) -> list[Resource]:
    """The state in which the resource at `urn` is called `name`, wherever it is mentioned.

    Raises:
        NotFoundError: there is no such resource.
        StackError: the name cannot be one, or a resource has it already.
    """
    if not name or "\n" in name:
        raise StackError(f"{name!r} is no name for a resource")
    find(resources, urn)
    new = "::".join([*urn.split("::", 3)[:3], name])
    if new != urn and any(one.urn == new for one in resources):
        raise StackError(f"{new} is in the state already: choose another name")
    changed = (renamed(one, {urn: new}) for one in resources)
    return [replace(one, urn=new) if one.urn == urn else one for one in changed]


def flaws(resources: Sequence[Resource]) -> list[str]:
    """What makes a state invalid: mentions of what is not there or comes later, and URNs that stand twice."""
    there = {one.urn for one in resources}
    seen: set[Urn] = set()
    living: set[Urn] = set()
    found = []
    for resource in resources:
        for urn in sorted(dependencies_of(resource) - seen):
            what = "comes after it" if urn in there else "is not in the state"
            found.append(f"{resource.urn} depends on {urn}, which {what}")
        if resource.urn in living and not resource.delete:
            found.append(f"{resource.urn} stands twice in the state")
        seen.add(resource.urn)
        if not resource.delete:
            living.add(resource.urn)
    return found


def repair(resources: Sequence[Resource]) -> tuple[list[Resource], list[str]]:
    """The state in an order in which each resource follows what it needs, without mentions of what is gone; what was done.

    Raises:
        StackError: resources need each other, or stand twice: only a person can say which is right.
    """
    there = {one.urn for one in resources}
    pruned, notes = [], []
    for resource in resources:
        missing = dependencies_of(resource) - there
        provider = provider_of_reference(resource.provider)
        if provider in missing:
            raise StackError(f"{resource.urn} has the provider {provider}, which is not in the state: edit it by hand")
        notes += [f"removed from {resource.urn}: the mention of {urn}, which is not in the state" for urn in sorted(missing)]
        pruned.append(without(resource, missing) if missing else resource)
    ordered = _ordered(pruned)
    before = [one.urn for one in pruned]
    notes += [f"moved {one.urn}" for number, one in enumerate(ordered) if before[number] != one.urn]
    left = flaws(ordered)
    if left:
        raise StackError("the state cannot be repaired by itself:" + "".join(f"\n  {flaw}" for flaw in left))
    return ordered, notes


def without(resource: Resource, missing: Collection[Urn]) -> Resource:
    """The resource without its mentions of what is missing."""
    extra = dict(resource.extra)
    if "replaceWith" in extra:
        extra["replaceWith"] = [urn for urn in extra["replaceWith"] if urn not in missing]
    by_property = {key: [urn for urn in urns if urn not in missing] for key, urns in resource.property_dependencies.items()}
    return replace(
        resource,
        parent=None if resource.parent in missing else resource.parent,
        dependencies=[urn for urn in resource.dependencies if urn not in missing],
        property_dependencies={key: urns for key, urns in by_property.items() if urns},
        deleted_with=None if resource.deleted_with in missing else resource.deleted_with,
        extra=extra,
    )


def _ordered(resources: Sequence[Resource]) -> list[Resource]:
    """Each after all that it needs, else in the order in which they stood."""
    holders: dict[Urn, list[Resource]] = {}
    for resource in resources:
        holders.setdefault(resource.urn, []).append(resource)
    done: dict[int, Resource] = {}
    waiting = [(resource, False) for resource in reversed(resources)]
    under_way: set[int] = set()
    while waiting:
        resource, is_ready = waiting.pop()
        if id(resource) in done:
            continue
        if is_ready:
            done[id(resource)] = resource
            continue
        under_way.add(id(resource))
        waiting.append((resource, True))
        for urn in sorted(dependencies_of(resource), reverse=True):
            for needed in reversed(holders.get(urn, [])):
                if id(needed) in under_way and id(needed) not in done and needed is not resource:
                    raise StackError(f"{resource.urn} and {needed.urn} need each other: edit `stack export` by hand")
                waiting.append((needed, False))
    return list(done.values())
