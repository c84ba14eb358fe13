"""Decides, registration by registration, what has to happen to a resource, and has it done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from heliostat.engine.errors import ProgramEnded, ProviderError, Reported
from heliostat.engine.planning.checks import Checks
from heliostat.engine.planning.claims import Claims
from heliostat.engine.planning.condemned import condemned_with
from heliostat.engine.planning.defaults import DefaultProviders
from heliostat.engine.planning.goals import Goal
from heliostat.engine.planning.operation import Operation, Stopped
from heliostat.engine.planning.plans import PlannedGoal
from heliostat.engine.planning.policies import Policies
from heliostat.engine.planning.steps import Steps
from heliostat.engine.protocol.diffs import Diff
from heliostat.engine.state.graph import dependencies_of
from heliostat.engine.state.snapshot import Resource, Secret
from heliostat.engine.state.urns import Urn, is_provider_type


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
    policies: Policies | None = None
    steps: Steps = field(init=False)
    checks: Checks = field(init=False)
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
        self.checks = Checks(self.op, self.claims, self.forced)
        self.defaults = DefaultProviders(self.config, self._make_provider)

    def is_operated(self, urn: Urn) -> bool:
        """Whether this run has dealt with what the old state has at `urn`."""
        return self.claims.claimant(urn) in self.operated

    def goal(self, urn: Urn) -> Goal | None:
        """What this run has declared of the resource at `urn`, with what it takes from its parents."""
        return self._goals.get(urn)

    # --- registrations

    async def register(self, goal: Goal, *, version: str = "", url: str = "") -> Registered:
        """What a program's registration leads to. Raises Reported or Stopped where the operation ends with it."""
        goal = goal.inheriting(self._goals.get(goal.parent) if goal.parent else None)
        if goal.custom and not is_provider_type(goal.type) and not goal.provider:
            goal = replace(goal, provider=await self._default(goal, version, url))
        urn = self.claims.name(goal)
        if "id" in goal.additional_secret_outputs:
            self.op.tell("warning", "additional_secret_outputs: the 'id' of a resource cannot be made secret", urn)
        self._goals[urn] = goal
        old, alias = self.claims.find_old(goal, urn)
        new = goal.resource(urn, old, alias)
        try:
            return await self._settle(goal, old, new)
        except ProgramEnded:
            raise Stopped from None
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
            # As with the CLI, a trigger counts from the update after the import on.
            new, imported = replace(new, created=old.created, modified=old.modified, replacement_trigger=None), True
        new = await self._judged(goal, await self.checks.checked(goal, old, new, gone=new.urn in self.deleted))
        targeted = self.op.scope.includes(new)
        if targeted and not self.op.depends_on_failed(new):  # what is not done need not be as it was planned
            self._hold(goal, old, new)
        self.op.scope.note(new)
        if targeted:
            await self._carry_dependencies(new)
        if new.urn in self.deleted:
            return await self._recreated(new)
        if old is None:
            return await self._created(new, targeted=targeted)
        if old.external:
            self.operated.add(new.urn)
            return await self._run(new, lambda: self.steps.create(new, old, delete_old_later=True))
        if not targeted:
            return Registered(await self.carry(old))
        diff = await self.checks.diff(goal, old, new, self._replaced)
        if new.urn in self.deleted:
            return await self._recreated(new)
        return await self._apply(goal, old, new, diff, imported=imported)

    def _hold(self, goal: Goal, old: Resource | None, new: Resource) -> None:
        """Notes a goal in the plan that is made, and raises Reported where it is none of the plan that the operation has."""
        if self.op.planned is not None:
            self.op.planned.plan_goal(new.urn, PlannedGoal.of(goal, old, new))
        if self.op.constraint is not None and (why := self.op.constraint.goal_violation(new.urn, goal, old, new)):
            raise self.op.violated(new.urn, why)

    async def _judged(self, goal: Goal, new: Resource) -> Resource:
        return await self.policies.judged(goal, new) if self.policies else new

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
            message = self._missing_message(new.urn, min(missing))
            if not self.op.preview:
                raise self.op.fail(message, new.urn)
            self.op.tell("error", message, new.urn)
            return Registered(new, unknown=True)
        if self.op.depends_on_failed(new):
            self.op.failed.add(new.urn)
            return Registered(new, Result.SKIP)
        return Registered(await step())

    def _missing_message(self, urn: Urn, missing: Urn) -> str:
        if self.op.scope.targets:
            return (
                f"Resource '{urn}' depends on '{missing}', which is not in the --target list and would have to be created; "
                "add it"
            )
        return (
            f"Resource '{urn}' depends on '{missing}', which --exclude leaves out and which does not exist yet: "
            f"exclude '{urn}' too (or give --exclude-dependents), or exclude neither"
        )

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
        if new.protect and old.protect and not self.op.ignore_protect:
            message = (
                f"unable to replace resource {new.urn!r}\nas it is currently marked for protection. To unprotect the "
                "resource, remove the `protect` flag from the resource in your program and run `up`"
            )
            if not self.op.preview:
                raise self.op.fail(message, new.urn)
            self.op.tell("error", message, new.urn)
            self.op.errored = True
        if goal.import_id:
            message = (
                "previously-imported resources that still specify an ID may not be replaced; please remove the "
                f"`import` declaration from your program; what changed: {', '.join(diff.replaces)}"
            )
            if not self.op.preview:
                raise self.op.fail(message, new.urn)
            self.op.tell("warning", message, new.urn)
        self._replaced.add(new.urn)
        if new.custom and not self.checks.is_forced(new.urn, old):
            # What was carried over from the old resource (generated names, defaults) is not the new one's.
            new = await self._judged(goal, replace(new, inputs=await self.checks.check(new, {}, goal.inputs)))
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
        condemned: list[Resource] = []
        for dependent in reversed(await condemned_with(self.op, old, self.is_operated)):
            dependent = self.op.now(dependent)
            if id(dependent) in self.gone or self.is_operated(dependent.urn) or dependent.urn in self.deleted:
                continue
            if dependent.protect and not (dependent.delete or self.op.ignore_protect):
                raise self.op.fail(
                    f"unable to replace resource {dependent.urn!r} as part of replacing {new.urn!r} as it is currently marked "
                    "for protection. To unprotect the resource, remove the `protect` flag from the resource in your program "
                    f"and run `up`, or use the command:\n`heliostat state unprotect '{dependent.urn}'`",
                    new.urn,
                )
            condemned.append(dependent)
        # What goes with another of them is told that the other goes, before the first of them does.
        self.gone.update(id(one) for one in condemned)
        self.deleted.update(one.urn for one in condemned if not one.delete)
        self.deleted.update(() if old.pending_replacement else (old.urn,))
        for one in condemned:
            await self.steps.delete(one, self.deleted, replaced=not one.delete, pending_replacement=not one.delete)
        if not old.pending_replacement:
            await self.steps.delete(old, self.deleted, replaced=True, pending_replacement=True)

    # --- what the operation leaves alone

    async def _carry_dependencies(self, resource: Resource) -> None:
        """With targets or excludes: brings what `resource` needs of the old state before it, where nothing of this run has."""
        if self.op.scope.limited:
            for urn in sorted(dependencies_of(resource)):
                old = self.op.old(urn)
                if old and not self.is_operated(urn) and not self.claims.is_seen(urn):
                    await self.carry(old)

    async def carry(self, old: Resource) -> Resource:
        """Keeps a resource that is no target as the old state has it, after what it needs."""
        self.claims.see(old.urn)
        self.operated.add(self.claims.claimant(old.urn))
        self.operated.add(old.urn)
        await self._carry_dependencies(old)
        return await self.steps.same(old, replace(old), untargeted=True)

    async def _default(self, goal: Goal, version: str, url: str) -> str:
        try:
            return await self.defaults.reference(goal.type.split(":", 1)[0], version, url)
        except ProviderError as error:
            raise self.op.fail(f"{goal.type} {goal.name!r}: {error}") from None

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
