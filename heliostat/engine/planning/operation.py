"""What all parts of one operation share: the old state, the new, what is told, and when to stop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from heliostat.engine.errors import EngineError, GoesOn, ProgramEnded, ProviderError, Reported
from heliostat.engine.events import (
    Diagnostic,
    Event,
    GoingOn,
    Op,
    PropertyChange,
    StepFailed,
    StepLeft,
    StepStarted,
    StepSucceeded,
)
from heliostat.engine.planning.hooks import Hooks
from heliostat.engine.planning.plans import Constraint, Plan
from heliostat.engine.planning.registry import Registry
from heliostat.engine.planning.scope import Scope
from heliostat.engine.state.graph import dependencies_of
from heliostat.engine.state.journal import Journal
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn, is_default_provider

UNCOUNTED = {Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED, Op.READ_REPLACEMENT, Op.DISCARD_REPLACED}
"""Steps that are part of a replacement, which counts as one change."""


class Stopped(Exception):
    """The operation is ending; this step does not begin any more."""


@dataclass
class Outcome:
    """What a step that went well has to tell; `op` where only its end shows what it was."""

    outputs: dict[str, Any] = field(default_factory=dict)
    changes: tuple[PropertyChange, ...] | None = None
    op: Op | None = None
    counts: bool = True
    """Whether it is a change that the summary counts."""


@dataclass
class Operation:
    """One preview, update, refresh or destroy under way."""

    preview: bool
    journal: Journal
    registry: Registry
    sink: Callable[[Event], None]
    slots: asyncio.Semaphore
    continue_on_error: bool
    scope: Scope
    previous: list[Resource]
    hooks: Hooks
    ignore_protect: bool = False
    agree: Callable[[Sequence[Resource]], Awaitable[str]] | None = None
    planned: Plan | None = None
    """Takes note of what is to be done; None where nobody wants to know."""
    constraint: Constraint | None = None
    """What the operation is held to; None: it does what the program declares."""
    counts: Counter[Op] = field(default_factory=Counter)
    errored: bool = False
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    failed: set[Urn] = field(default_factory=set)
    """What is not done, for a step of it failed, goes on, or what it needs is among them."""
    errors: dict[Urn, str] = field(default_factory=dict)
    """Why steps failed."""
    going: dict[Urn, GoingOn] = field(default_factory=dict)
    """What providers began that goes on without the operation."""
    defects: list[BaseException] = field(default_factory=list)
    olds: dict[Urn, Resource] = field(default_factory=dict)
    news: dict[Urn, Resource] = field(default_factory=dict)
    _now: dict[int, Resource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rebase(self.previous)

    def rebase(self, resources: Iterable[Resource]) -> None:
        """Starts from `resources` as the old state."""
        self.previous = list(resources)
        self.olds = {resource.urn: resource for resource in self.previous if not resource.delete}

    def old(self, urn: Urn) -> Resource | None:
        """The resource that the old state has at `urn`, as it stands by now."""
        resource = self.olds.get(urn)
        return self.now(resource) if resource else None

    def now(self, resource: Resource) -> Resource:
        """What has become of a resource of the old state."""
        while id(resource) in self._now:
            resource = self._now[id(resource)]
        return resource

    def mark(self, resource: Resource, marked: Resource) -> None:
        """Puts `marked` in the place of a resource of the old state."""
        if resource in self.journal:
            self.journal.swap(resource, marked)
        self._now[id(resource)] = marked

    def still_there(self) -> Sequence[Resource]:
        """The resources of the old state as they stand by now, in their order."""
        return [self.now(resource) for resource in self.previous]

    def tell(self, severity: str, message: str, urn: Urn = "") -> None:
        """A message for the user."""
        self.sink(Diagnostic(severity, message, urn))

    def fail(self, message: str, urn: Urn = "") -> Reported:
        """Tells an error that makes the operation fail and stops it in order."""
        self.tell("error", message, urn)
        return self.stop(message)

    def blame(self, message: str | None, urn: Urn) -> None:
        """Tells what went wrong after a step that is done, if anything did; what it did stays, and the operation fails."""
        if message is not None:
            self.tell("error", message, urn)
            self.errored = True
            if not self.continue_on_error:
                self.halted.set()

    def stop(self, message: str) -> Reported:
        """Stops the operation in order for a reason that has been told."""
        self.errored = True
        self.halted.set()
        return Reported(message)

    @property
    def is_whole(self) -> bool:
        """Whether nothing failed so far, and nothing goes on that others need."""
        return not (self.errored or self.going)

    def depends_on_failed(self, resource: Resource) -> bool:
        """Whether something that `resource` needs has failed, goes on or was skipped."""
        return bool(self.failed) and not dependencies_of(resource).isdisjoint(self.failed)

    @asynccontextmanager
    async def step(
        self,
        op: Op,
        resource: Resource,
        changes: tuple[PropertyChange, ...] = (),
        *,
        lenient: bool = False,
        counted: bool = True,
    ) -> AsyncIterator[Outcome]:
        """Runs a step's body when there is a slot, tells how it went, and turns a provider's error into Reported.

        A failure stops the operation in order, unless it is to continue on errors, or the step is `lenient`. What goes on
        without the operation is no failure.
        """
        async with self.slots:
            if self.halted.is_set():
                raise Stopped
            self._hold(resource.urn, op)
            hidden = is_default_provider(resource.urn)
            if not hidden:
                self.sink(StepStarted(resource.urn, op, changes, resource.parent, resource.inputs))
            started, outcome = time.monotonic(), Outcome()
            try:
                yield outcome
            except ProgramEnded:
                raise Stopped from None
            except GoesOn as going:
                self._step_left(op, resource.urn, time.monotonic() - started, going)
                raise Reported(str(going)) from None
            except ProviderError as error:
                self._step_failed(op, resource.urn, time.monotonic() - started, str(error), lenient=lenient)
                raise Reported(str(error)) from None
            except EngineError as error:
                # What cannot be recorded must not go on.
                self._step_failed(op, resource.urn, time.monotonic() - started, str(error), lenient=False)
                raise self.stop(str(error)) from None
        op = outcome.op or op
        if not hidden:
            if counted and outcome.counts and op not in UNCOUNTED:
                self.counts[op] += 1
            changes = changes if outcome.changes is None else outcome.changes
            self.sink(StepSucceeded(resource.urn, op, time.monotonic() - started, outcome.outputs, changes))

    def _hold(self, urn: Urn, op: Op) -> None:
        """Notes a step in the plan that is made, and raises Reported where it is none of the plan that the operation has."""
        if self.planned is not None:
            self.planned.plan_step(urn, op)
        if self.constraint is not None and (why := self.constraint.step_violation(urn, op)):
            raise self.violated(urn, why)

    def violated(self, urn: Urn, why: str) -> Reported:
        """Tells what differs from the plan, and stops the operation in order."""
        return self.fail(
            f"{urn} is not as it was planned: {why}. Nothing of it was done: preview it again, and plan anew", urn
        )

    def _step_left(self, op: Op, urn: Urn, elapsed: float, going: GoesOn) -> None:
        """Notes what goes on: the operation does the rest that can be done without it, and nothing is wrong."""
        self.sink(StepLeft(urn, op, elapsed, str(going)))
        self.failed.add(urn)
        self.going[urn] = GoingOn(urn, str(going), dict(going.details))

    def _step_failed(self, op: Op, urn: Urn, elapsed: float, message: str, *, lenient: bool) -> None:
        self.tell("error", message, urn)
        self.sink(StepFailed(urn, op, elapsed, message))
        self.errored = True
        self.failed.add(urn)
        self.errors[urn] = message
        if not (lenient or self.continue_on_error):
            self.halted.set()


def timestamp() -> str:
    """This moment, as state writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
