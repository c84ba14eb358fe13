"""Decides, registration by registration, what has to happen to a resource, and has it done."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from heliostat.engine.claims import Claims
from heliostat.engine.condemned import condemned_with
from heliostat.engine.defaults import DefaultProviders
from heliostat.engine.diffs import SAME, Diff, with_replace_on_changes
from heliostat.engine.errors import CheckFailure, ProviderError, Reported
from heliostat.engine.goals import Goal
from heliostat.engine.graph import dependencies_of
from heliostat.engine.ignored import Ignoring, ignoring
from heliostat.engine.operation import Operation
from heliostat.engine.providers import Subject, Values
from heliostat.engine.state import Resource, Secret
from heliostat.engine.steps import Steps
from heliostat.engine.urns import Urn, is_provider_type, matches, provider_of_reference

SEED_BYTES = 32


class Result(Enum):
    """How a registration ended."""

    SUCCESS = "success"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Registered:
    """A resource as the program gets it back; `unknown` where it was left out of the operation and does not exist."""

    resource: Resource
    result: Result = Result.SUCCESS
    unknown: bool = False


@dataclass
class Planner:
    """Turns goals into steps. Registrations may run side by side; what several of them see changes between awaits only."""

    op: Operation
    stack: str
    project: str
    forced: tuple[str, ...]
    """URNs, or patterns of them, to replace even where nothing changed."""
    config: Mapping[str, str | Secret]
    steps: Steps = field(init=False)
    claims: Claims = field(init=False)
    defaults: DefaultProviders = field(init=False)
    operated: set[Urn] = field(default_factory=set)
    deleted: set[Urn] = field(default_factory=set)
    """Gone before their registration, because something that they depend on is replaced by deleting it first."""
    gone: set[int] = field(default_factory=set)
    _goals: dict[Urn, Goal] = field(default_factory=dict)
    _replaced: set[Urn] = field(default_factory=set)
    _left_out: set[Urn] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.steps = Steps(self.op)
        self.claims = Claims(self.op, self.stack, self.project)
        self.defaults = DefaultProviders(self.config, self._make_provider)

    def is_operated(self, urn: Urn) -> bool:
        """Whether this run has dealt with what the old state has at `urn`."""
        return self.claims.claimant(urn) in self.operated

    # --- registrations

    async def register(self, goal: Goal, *, version: str = "", url: str = "") -> Registered:
        """What a program's registration leads to. Raises Reported or Stopped where the operation ends with it."""
        goal = goal.inheriting(self._goals.get(goal.parent) if goal.parent else None)
        if goal.custom and not is_provider_type(goal.type) and not goal.provider:
            goal = replace(goal, provider=await self.defaults.reference(goal.type.split(":", 1)[0], version, url))
        urn = self.claims.name(goal)
        self._goals[urn] = goal
        old, alias = self.claims.find_old(goal, urn)
        new = goal.resource(urn, old, alias)
        try:
            return await self._settle(goal, old, new)
        except ProviderError as error:
            raise self.op.fail(str(error), urn) from None
        except Reported:
            self.op.failed.add(urn)
            if self.op.halted.is_set():
                raise
            return Registered(new, Result.FAIL)

    async def _settle(self, goal: Goal, old: Resource | None, new: Resource) -> Registered:
        imported = False
        if goal.custom and goal.import_id and self._is_import(goal, old):
            self.operated.add(new.urn)
            old = await self.steps.import_(new, goal.import_id, old)
            new, imported = replace(new, created=old.created, modified=old.modified), True
        new = await self._checked(goal, old, new)
        targeted = self.op.is_targeted(new)
        if targeted:
            await self._carry_dependencies(new)
            if self.op.is_meant(new):
                self.op.targeted_too.add(new.urn)
        if new.urn in self.deleted:
            return await self._recreated(new)
        if old is None:
            return await self._created(new, targeted=targeted)
        if old.external:
            self.operated.add(new.urn)
            return await self._run(new, lambda: self.steps.create(new, old, delete_old_later=True))
        if not targeted:
            return Registered(await self._carry(old))
        diff = await self._diff(goal, old, new)
        if new.urn in self.deleted:
            return await self._recreated(new)
        return await self._apply(goal, old, new, diff, imported=imported)

    def _is_import(self, goal: Goal, old: Resource | None) -> bool:
        return old is None or old.external or (old.extra.get("importID") or old.id) != goal.import_id

    async def _recreated(self, new: Resource) -> Registered:
        """Something was deleted since what it depends on had to go first; the program wants it, so it is made again."""
        self.deleted.discard(new.urn)
        self.operated.add(new.urn)
        self._replaced.add(new.urn)
        old = self.op.old(self.claims.former(new.urn))
        return await self._run(new, lambda: self.steps.create(new, old))

    async def _created(self, new: Resource, *, targeted: bool) -> Registered:
        self.operated.add(new.urn)
        if targeted:
            return await self._run(new, lambda: self.steps.create(new))
        self._left_out.add(new.urn)
        return Registered(new, unknown=True)

    async def _run(self, new: Resource, step: Callable[[], Awaitable[Resource]]) -> Registered:
        """Runs a step of `new`, unless what it needs has failed or was left out."""
        missing = self._left_out & dependencies_of(new)
        if missing:
            self.op.errored = True
            self.op.tell(
                "error",
                f"Resource '{new.urn}' depends on '{min(missing)}', which is not in the --target list and "
                "would have to be created; add it",
                new.urn,
            )
            if not self.op.preview:
                raise self.op.fail("untargeted create", new.urn)
            return Registered(new, unknown=True)
        if self.op.depends_on_failed(new):
            self.op.failed.add(new.urn)
            return Registered(new, Result.SKIP)
        return Registered(await step())

    # --- checks and differences

    async def _checked(self, goal: Goal, old: Resource | None, new: Resource) -> Resource:
        """`new` with the inputs that its provider makes of the declared ones. Raises Reported where it rejects them."""
        if goal.custom and not self.op.is_targeted(new):
            return replace(new, inputs=old.inputs if old else {})
        inputs = self._ignored(goal, old, new).inputs if old else new.inputs
        if not goal.custom:
            return replace(new, inputs=inputs)
        fresh = old is None or old.external or new.urn in self.deleted or self._is_forced(new.urn, old)
        olds = {} if fresh or old is None else old.inputs
        return replace(new, inputs=await self._check(new, olds, goal.inputs if fresh else inputs))

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

    async def _check(self, new: Resource, olds: Values, news: Values) -> Values:
        if is_provider_type(new.type):
            inputs, failures = await self.op.registry.check(new.urn, olds, news)
        else:
            provider = await self.op.registry.provider(new.provider)
            inputs, failures = await provider.check(new.urn, olds, news, os.urandom(SEED_BYTES))
        if failures:
            for failure in failures[:-1]:
                self.op.tell("error", _rejection(new, failure), new.urn)
            raise self.op.fail(_rejection(new, failures[-1]), new.urn)
        return inputs

    def _is_forced(self, urn: Urn, old: Resource | None) -> bool:
        return any(matches(pattern, urn) for pattern in self.forced) or bool(old and old.extra.get("taint"))

    async def _diff(self, goal: Goal, old: Resource, new: Resource) -> Diff:
        if self._is_forced(new.urn, old):
            return Diff(changes=True, replaces=("id",))
        if self._replaced & {*goal.replace_with, goal.deleted_with}:
            return Diff(changes=True, replaces=("replaceWith" if self._replaced & set(goal.replace_with) else "deletedWith",))
        if await self._provider_changed(old, new):
            return Diff(changes=True, replaces=("provider",))
        if not new.custom:
            diff = SAME if old.inputs == new.inputs else Diff(changes=True)
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

    async def _apply(self, goal: Goal, old: Resource, new: Resource, diff: Diff, *, imported: bool) -> Registered:
        self.operated.add(new.urn)
        if (diff.changes and diff.replacing) or old.pending_replacement:
            return await self._replace(goal, old, new, diff)
        if diff.changes or old.init_errors:
            return await self._run(new, lambda: self.steps.update(old, new, diff))
        if imported:
            return Registered(old)
        return await self._run(new, lambda: self.steps.same(old, new))

    # --- replacements

    async def _replace(self, goal: Goal, old: Resource, new: Resource, diff: Diff) -> Registered:
        if new.protect and old.protect:
            message = (
                f"unable to replace resource {new.urn!r}\nas it is currently marked for protection. To unprotect the "
                "resource, remove the `protect` flag from the resource in your program and run `up`"
            )
            if not self.op.preview:
                raise self.op.fail(message, new.urn)
            self.op.tell("error", message, new.urn)
            self.op.errored = True
        if goal.import_id and not self.op.preview:
            raise self.op.fail(
                "previously-imported resources that still specify an ID may not be replaced; please remove the "
                f"`import` declaration from your program; what changed: {', '.join(diff.replaces)}",
                new.urn,
            )
        self._replaced.add(new.urn)
        if new.custom and not self._is_forced(new.urn, old):
            # What was carried over from the old resource (generated names, defaults) is not the new one's.
            new = replace(new, inputs=await self._check(new, {}, goal.inputs))
        first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        if not first:
            later = not old.pending_replacement
            return await self._run(new, lambda: self.steps.create(new, old, diff, delete_old_later=later))
        if self.op.depends_on_failed(new) or self._left_out & dependencies_of(new):
            return await self._run(new, lambda: self.steps.create(new, old, diff))
        await self._delete_first(old, new)
        return await self._run(new, lambda: self.steps.create(new, self.op.now(old), diff))

    async def _delete_first(self, old: Resource, new: Resource) -> None:
        """Deletes `old`, and before it those that cannot live through its replacement; they are made again in their turn."""
        for dependent in reversed(await condemned_with(self.op, old, self.is_operated)):
            dependent = self.op.now(dependent)
            if id(dependent) in self.gone or self.is_operated(dependent.urn) or dependent.urn in self.deleted:
                continue
            if dependent.protect and not dependent.delete:
                raise self.op.fail(
                    f"unable to replace resource {dependent.urn!r} as part of replacing {new.urn!r} as it is currently marked "
                    "for protection. To unprotect the resource, remove the `protect` flag from the resource in your program "
                    f"and run `up`, or use the command:\n`pulumi state unprotect '{dependent.urn}'`",
                    new.urn,
                )
            self.gone.add(id(dependent))
            if not dependent.delete:
                self.deleted.add(dependent.urn)
            await self.steps.delete(dependent, self.deleted, replaced=True, pending_replacement=not dependent.delete)
        if not old.pending_replacement:
            await self.steps.delete(old, self.deleted, replaced=True, pending_replacement=True)

    # --- what the operation leaves alone

    async def _carry_dependencies(self, resource: Resource) -> None:
        """With targets: brings what `resource` needs of the old state before it, where nothing of this run has."""
        if self.op.targets:
            for urn in sorted(dependencies_of(resource)):
                old = self.op.old(urn)
                if old and not self.is_operated(urn) and not self.claims.is_seen(urn):
                    await self._carry(old)

    async def _carry(self, old: Resource) -> Resource:
        """Keeps a resource that is no target as the old state has it, after what it needs."""
        self.claims.see(old.urn)
        self.operated.add(self.claims.claimant(old.urn))
        self.operated.add(old.urn)
        await self._carry_dependencies(old)
        return await self.steps.same(old, replace(old), untargeted=True)

    async def _make_provider(self, goal: Goal) -> Resource:
        made = await self.register(goal)
        if made.result != Result.SUCCESS:
            raise Reported(f"there is no default provider for {goal.type}")
        return made.resource

    # --- reads

    async def read(self, new: Resource) -> Registered:
        """A lookup by id; what the stack made itself under this name is replaced by it."""
        self.claims.take(new.urn)
        old = self.op.old(new.urn)
        self.operated.add(new.urn)
        replacing = bool(old and not old.external and old.id != new.id)
        try:
            return await self._run(new, lambda: self.steps.read(old, new, replacing=replacing))
        except Reported:
            if self.op.halted.is_set():
                raise
            return Registered(new, Result.FAIL)


def _rejection(new: Resource, failure: CheckFailure) -> str:
    where = f"; property {failure.property}" if failure.property else ""
    return f"{new.type} resource '{new.urn.split('::', 3)[3]}' has a problem{where}: {failure.reason}"
