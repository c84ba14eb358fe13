"""What a registration is compared by: the inputs that its provider makes of the declared ones, and how they differ."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from heliostat.engine.errors import CheckFailure
from heliostat.engine.planning.claims import Claims
from heliostat.engine.planning.goals import Goal
from heliostat.engine.planning.operation import Operation
from heliostat.engine.protocol.diffs import SAME, Diff, alike, is_triggered, with_replace_on_changes
from heliostat.engine.protocol.ignored import Ignoring, ignoring
from heliostat.engine.protocol.properties import has_unknowns
from heliostat.engine.protocol.providers import Subject, Values
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn, is_provider_type, matches, provider_of_reference

SEED_BYTES = 32


@dataclass(frozen=True)
class Checks:
    """Asks providers on behalf of the planner; `forced` are URNs, or patterns of them, to replace without a change."""

    op: Operation
    claims: Claims
    forced: tuple[str, ...]

    async def checked(self, goal: Goal, old: Resource | None, new: Resource, *, gone: bool) -> Resource:
        """`new` with the inputs that its provider makes of the declared ones. Raises Reported where it rejects them.

        `gone` is what has been deleted in this run already: what was carried over from it is not the new one's.
        """
        if goal.custom and not self.op.scope.includes(new):
            return replace(new, inputs=old.inputs if old else {})
        inputs = self._ignored(goal, old, new).inputs if old else new.inputs
        if not goal.custom:
            return replace(new, inputs=inputs)
        fresh = old is None or old.external or gone or self.is_forced(new.urn, old)
        olds = {} if fresh or old is None else old.inputs
        return replace(new, inputs=await self.check(new, olds, goal.inputs if fresh else inputs))

    def _ignored(self, goal: Goal, old: Resource, new: Resource) -> Ignoring:
        found = ignoring(new.inputs, old.inputs, goal.ignore_changes)
        if found.partly:
            paths = ", ".join(found.partly)
            self.op.tell("warning", f'cannot ignore changes in added or removed elements of the path: "{paths}"', new.urn)
        if found.nowhere:
            paths = ", ".join(found.nowhere)
            said = f'ignore_changes names what is among the inputs neither before nor now: "{paths}"; correct or remove it'
            self.op.tell("warning", said, new.urn)
        return found

    async def check(self, new: Resource, olds: Values, news: Values) -> Values:
        """The inputs that the provider of `new` makes of `news`. Raises Reported with all that is wrong with them told."""
        if is_provider_type(new.type):
            inputs, failures = await self.op.registry.check(new.urn, olds, news)
        else:
            provider = await self.op.registry.provider(new.provider)
            inputs, failures = await provider.check(new.urn, olds, news, os.urandom(SEED_BYTES))
        self.refuse(new, failures)
        return inputs

    def refuse(self, new: Resource, failures: Sequence[CheckFailure]) -> None:
        """Tells all that is wrong with the inputs of `new`. Raises Reported where anything is, and so ends the operation.

        A preview by SDKs alone goes on, since nothing comes of it: the mistakes of all resources are told at once.
        """
        for failure in failures:
            self.op.tell("error", _rejection(new, failure), new.urn)
        if failures and self.op.registry.is_stood_in(new.type):
            self.op.errored = True
        elif failures:
            raise self.op.stop(_rejection(new, failures[-1]))

    def is_forced(self, urn: Urn, old: Resource | None) -> bool:
        """Whether a resource is to be replaced whatever it says, by `--replace` or since it was marked (`state taint`)."""
        return any(matches(pattern, urn) for pattern in self.forced) or bool(old and old.extra.get("taint"))

    async def diff(self, goal: Goal, old: Resource, new: Resource, replaced: Set[Urn]) -> Diff:
        """What has to be done to a resource; `replaced` are those that this run replaces."""
        if not self.op.preview and has_unknowns(new.replacement_trigger):
            raise self.op.fail(f"replacement trigger contains unknowns for {new.urn}", new.urn)
        if is_triggered(old.replacement_trigger, new.replacement_trigger):
            return Diff(changes=True, replaces=("replacementTrigger",))
        if self.is_forced(new.urn, old):
            return Diff(changes=True, replaces=("id",))
        if replaced & {*goal.replace_with, goal.deleted_with}:
            return Diff(changes=True, replaces=("replaceWith" if replaced & set(goal.replace_with) else "deletedWith",))
        if new.custom and await self._provider_changed(old, new):
            return Diff(changes=True, replaces=("provider",))
        if not new.custom:
            diff = SAME if alike(old.inputs, new.inputs) else Diff(changes=True)
        elif is_provider_type(new.type):
            diff = await self.op.registry.diff(new.urn, old, new.inputs)
        else:
            provider = await self.op.registry.provider(new.provider)
            subject = Subject(new.urn, old.id, old.inputs, old.outputs)
            diff = await provider.diff(subject, new.inputs, list(goal.ignore_changes))
        return with_replace_on_changes(diff, goal.replace_on_changes, init_errors=bool(old.init_errors))

    async def _provider_changed(self, old: Resource, new: Resource) -> bool:
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        before, after = provider_of_reference(old.provider), provider_of_reference(new.provider)
        if before != after and self.claims.claimant(before) == after:
            return False
        inputs = self.op.news[after].inputs if after in self.op.news else {}
        return await self.op.registry.requires_replacement(old.provider, new.provider, inputs)


def _rejection(new: Resource, failure: CheckFailure) -> str:
    where = f"; property {failure.property}" if failure.property else ""
    return f"{new.type} resource '{new.urn.split('::', 3)[3]}' has a problem{where}: {failure.reason}"
