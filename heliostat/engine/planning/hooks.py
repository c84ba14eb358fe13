"""The hooks of a program: what it wants to be called for before and after a step, and where one fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from heliostat.engine.errors import GoesOn, ProviderError
from heliostat.engine.protocol.callbacks import CallbackError, Callbacks
from heliostat.engine.protocol.properties import to_struct
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn, name_of
from heliostat.pulumi_proto import resource_pb2

T = TypeVar("T")
Kind = Literal["create", "update", "delete"]
ON_ERROR = "OnError"
BINDINGS = {
    "before_create": "BeforeCreate",
    "after_create": "AfterCreate",
    "before_update": "BeforeUpdate",
    "after_update": "AfterUpdate",
    "before_delete": "BeforeDelete",
    "after_delete": "AfterDelete",
    "on_error": ON_ERROR,
}
"""When hooks are called, in the protocol and in the state."""
MOST_TRIES = 100
"""How often a step is tried where its hooks never give up."""


def bound(message: Any) -> dict[str, list[str]]:
    """The names of a resource's hooks by when they are called, as the state keeps them."""
    names = {kind: list(getattr(message, field)) for field, kind in BINDINGS.items()}
    return {kind: listed for kind, listed in names.items() if listed}


@dataclass
class Hooks:
    """The hooks that a program has registered, by their names."""

    callbacks: Callbacks
    preview: bool
    tell: Callable[[str, str, Urn], None]
    """Takes a severity, a message and the URN that it is about."""
    _of_steps: dict[str, Any] = field(default_factory=dict)
    _of_errors: dict[str, Any] = field(default_factory=dict)
    _postponed: dict[Urn, tuple[Kind, Resource | None]] = field(default_factory=dict)

    def register(self, request: Any) -> None:
        """Learns of a hook of either kind. Raises CallbackError where its name is none, or taken."""
        if not request.name:
            raise CallbackError("resource hook name cannot be empty")
        if request.name in self._of_steps or request.name in self._of_errors:
            raise CallbackError(f'resource hook already registered for name "{request.name}"')
        self.callbacks.know(request.callback)
        of_errors = isinstance(request, resource_pb2.RegisterErrorHookRequest)
        (self._of_errors if of_errors else self._of_steps)[request.name] = request

    async def before(self, kind: Kind, old: Resource | None, new: Resource | None) -> None:
        """Calls what is bound to the beginning of a step. Raises ProviderError where it is not to begin."""
        await self._run("before", kind, old, new)

    async def after(self, kind: Kind, old: Resource | None, new: Resource | None) -> str | None:
        """Calls what is bound to the end of a step, which is done by now: what went wrong, or None."""
        try:
            await self._run("after", kind, old, new)
        except ProviderError as error:
            return str(error)
        return None

    def postpone(self, kind: Kind, old: Resource | None, new: Resource) -> None:
        """Leaves what is bound to the end of a component's step until the component has its outputs."""
        if new.resource_hooks:
            self._postponed[new.urn] = (kind, old)

    async def caught_up(self, new: Resource) -> str | None:
        """Calls what was postponed for a component that has its outputs: what went wrong, or None."""
        if new.urn not in self._postponed:
            return None
        kind, old = self._postponed.pop(new.urn)
        return await self.after(kind, old, new)

    async def retrying(self, kind: Kind, old: Resource | None, new: Resource | None, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` comes to, made again as long as it fails and the resource's hooks ask for it."""
        subject, failures = _subject(old, new), list[str]()
        while True:
            try:
                return await attempt()
            except GoesOn:
                raise
            except ProviderError as error:
                failures.insert(0, str(error))
                if not await self._wanted_again(kind, old, new, failures):
                    raise
            how_often = f"({len(failures)}/{MOST_TRIES})"
            self.tell("warning", f"retrying {kind} due to on-error hook request {how_often}", subject.urn)

    async def _run(self, when: str, kind: Kind, old: Resource | None, new: Resource | None) -> None:
        subject = _subject(old, new)
        for name in subject.resource_hooks.get(f"{when.title()}{kind.title()}", ()):
            hook = self._of_steps.get(name)
            if hook is None:
                raise ProviderError(f'hook "{name}" was not registered')
            if self.preview and not hook.on_dry_run:
                continue
            problem = await self._call(hook, _told(old, new, with_outputs=when == "after"))
            if problem and hook.ignore_errors:
                self.tell("warning", f'{when.title()}{kind.title()} hook "{name}" failed: {problem}', subject.urn)
            elif problem:
                raise ProviderError(f'{when} hook "{name}" failed: {problem}')

    async def _call(self, hook: Any, request: resource_pb2.ResourceHookRequest) -> str:
        try:
            answer = await self.callbacks.call(hook.callback, request)
        except CallbackError as error:
            return str(error)
        return str(resource_pb2.ResourceHookResponse.FromString(answer).error)

    async def _wanted_again(self, kind: Kind, old: Resource | None, new: Resource | None, failures: list[str]) -> bool:
        subject, again = _subject(old, new), False
        names = subject.resource_hooks.get(ON_ERROR, ())
        if names and len(failures) >= MOST_TRIES:
            self.tell("warning", f"maximum number of error hook retries ({MOST_TRIES}) reached", subject.urn)
            return False
        for name in names:
            if name not in self._of_errors:
                raise ProviderError(f'error hooks execution failed: error hook "{name}" was not registered')
            told = _told(old, new)
            request = resource_pb2.ErrorHookRequest(
                **{field: getattr(told, field) for field in ("urn", "id", "name", "type")},
                **{
                    field: getattr(told, field)
                    for field in ("new_inputs", "old_inputs", "old_outputs")
                    if told.HasField(field)
                },
                failed_operation=kind,
                errors=failures,
            )
            try:
                answer = await self.callbacks.call(self._of_errors[name].callback, request)
                response = resource_pb2.ErrorHookResponse.FromString(answer)
                problem = response.error
            except CallbackError as error:
                problem = str(error)
            if problem:
                raise ProviderError(f'error hooks execution failed: error hook "{name}" failed: {problem}')
            again = again or response.retry
        return again


def _subject(old: Resource | None, new: Resource | None) -> Resource:
    subject = new or old
    assert subject is not None  # noqa: S101 - a step is about one of them
    return subject


def _told(old: Resource | None, new: Resource | None, *, with_outputs: bool = False) -> resource_pb2.ResourceHookRequest:
    """What a hook is told of a step: of what was before it, of what is wanted, and at its end of what came of it."""
    subject = _subject(old, new)
    values: dict[str, Any] = {}
    if new:
        values["new_inputs"] = to_struct(new.inputs)
    if old:
        values |= {"old_inputs": to_struct(old.inputs), "old_outputs": to_struct(old.outputs)}
    if new and with_outputs:
        values["new_outputs"] = to_struct(new.outputs)
    return resource_pb2.ResourceHookRequest(
        urn=subject.urn, id=subject.id, name=name_of(subject.urn), type=subject.type, **values
    )
