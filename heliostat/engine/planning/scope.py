"""Which resources an operation is about: all of them, those that `--target` names, or all but those that `--exclude` names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from heliostat.engine.state.graph import dependencies_of, with_dependents, with_needs
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import ROOT_STACK_TYPE, Urn, is_provider_type, matches


@dataclass
class Scope:
    """The limits of an operation; at most one of `targets` and `excludes` is given, as URNs or patterns of them.

    With `target_dependents`, what depends on a target is one too; with `exclude_dependents`, what depends on something
    excluded is excluded too. Both go on from resource to resource, each of which is noted (`note`) in its turn.
    """

    targets: tuple[str, ...] = ()
    target_dependents: bool = False
    excludes: tuple[str, ...] = ()
    exclude_dependents: bool = False
    _reached: set[Urn] = field(default_factory=set)

    @property
    def limited(self) -> bool:
        """Whether some resources are left alone."""
        return bool(self.targets or self.excludes)

    def includes(self, resource: Resource) -> bool:
        """Whether the operation is about a resource. Providers and the stack always belong to it, since others need them."""
        if not self.limited or is_provider_type(resource.type) or resource.type == ROOT_STACK_TYPE:
            return True
        return self._is_meant(resource) if self.targets else not self._is_meant(resource)

    def note(self, resource: Resource) -> None:
        """Remembers a resource whose turn has come, for what depends on it."""
        if self._is_meant(resource):
            self._reached.add(resource.urn)

    def names(self, urn: Urn) -> bool:
        """Whether `--target` or `--exclude`, whichever there is, names this URN itself."""
        return any(matches(pattern, urn) for pattern in self.targets or self.excludes)

    def _is_meant(self, resource: Resource) -> bool:
        if self.names(resource.urn):
            return True
        if not (self.target_dependents if self.targets else self.exclude_dependents):
            return False
        needs = dependencies_of(resource)
        return not needs.isdisjoint(self._reached) or any(self.names(urn) for urn in needs)

    def may_delete(self, resources: Sequence[Resource]) -> Callable[[Resource], bool]:
        """What of `resources` the operation may delete.

        That is what a target's deletion takes along, or what nothing excluded needs.
        """
        named = [one.urn for one in resources if self.names(one.urn)]
        if self.targets:
            allowed = with_dependents(named, resources)
            return lambda resource: resource.urn in allowed
        if self.excludes:
            kept = with_needs(named, resources, dependents=self.exclude_dependents)
            return lambda resource: resource.urn not in kept
        return lambda _: True

    def to_refresh(self, resources: Iterable[Resource]) -> list[Resource]:
        """What of `resources` is to be read anew; to have an excluded provider is no reason to be left out."""
        chosen = []
        reached: set[Urn] = set()
        along = self.target_dependents if self.targets else self.exclude_dependents
        for resource in resources:
            meant = self.limited and self.names(resource.urn)
            if not meant and along:
                needs = dependencies_of(resource, provider=False)
                meant = not needs.isdisjoint(reached)
            if meant:
                reached.add(resource.urn)
            if meant if self.targets else not meant:
                chosen.append(resource)
        return chosen
