"""What one resource of the plugin has to say: the seam between the protocol (`servicer`) and the resources' files.

A handler is asked to make the world so; it may be killed at any point and asked again. So `create` adopts what an
earlier attempt left, and `delete` of what is gone is a success.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from heliostat.spec.base import Model
from heliostat.systems.errors import PermanentError, RetryableError

__all__ = ["Context", "Created", "Failure", "Handler", "PartialError", "PermanentError", "RetryableError"]

I = TypeVar("I", bound=Model)  # noqa: E741 - inputs
O = TypeVar("O", bound=Model)  # noqa: E741 - outputs


class PartialError(Exception):
    """A create or update that failed half way: `outputs` says what is there, and must be kept in the state."""

    def __init__(self, message: str, identifier: str, outputs: Model) -> None:
        super().__init__(message)
        self.identifier = identifier
        self.outputs = outputs


@dataclass(frozen=True)
class Context:
    """What a handler may do besides its work: tell people about it, and see that it should stop."""

    urn: str
    progress: Callable[[str], None]
    """What it is doing now; shown until the next."""
    info: Callable[[str], None]
    warn: Callable[[str], None]
    cancelled: asyncio.Event
    """Set on Ctrl-C only. Stop waiting soon, undo nothing: what was begun is found by the next `create`."""
    timeout_seconds: float | None = None
    """The resource's custom timeout, where the program gave one."""


@dataclass(frozen=True)
class Failure:
    """One mistake in a resource's inputs."""

    path: str
    reason: str


@dataclass(frozen=True)
class Created(Generic[O]):
    """A resource that is there."""

    identifier: str
    outputs: O


class Handler(ABC, Generic[I, O]):
    """One resource type."""

    token: str
    """The type, e.g. `heliostat:index:TrainJob`."""
    inputs: type[I]
    outputs: type[O]
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs (snake case) that are encrypted in the state and never shown."""
    replace_on: frozenset[str] = frozenset()
    """Inputs (snake case) whose change needs a new resource."""
    delete_before_replace: bool = False
    """Whether the old resource has to go before its replacement can be made, as where both would have the same place."""

    gone: ClassVar[str] = "it is not there any more"
    """What is told where `read` finds nothing; empty where `read` itself tells why."""
    preview_placeholders: ClassVar[Mapping[str, Any]] = {}
    """What stands for an input (snake case) that a preview cannot know yet, so that the rest can be told all the same."""

    def insignificant_inputs(self, old: I, new: I) -> frozenset[str]:
        """Inputs whose difference means nothing, e.g. where the same code lies; none by default."""
        return frozenset()

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """What is wrong with inputs that are right by themselves (camel case, some not known yet), from what lies here.

        Asked at every check, also where nothing changed: it has to be quick then.
        """
        return []

    async def resolved_inputs(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
        """The inputs (camel case, some not known yet) with what only a look at files and stores tells, such as the digest of
        what a name stands for now, and what of that is wrong. Asked at every check: what was changed is a difference then."""
        return given, []

    async def preview(self, context: Context, old: O | None, new: I) -> None:
        """Tell what a create (`old` is None) or an update would do.

        Called where all is known but what `preview_placeholders` stand for.
        """
        return

    def preview_outputs(self, old: O | None, new: I) -> Mapping[str, Any]:
        """Outputs (snake case) that a preview can tell besides the inputs; all others show as not known yet."""
        return {}

    def early_outputs(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Outputs (snake case) that some inputs (camel case) alone decide, while others may not be known yet."""
        return {}

    async def imported(self, context: Context, identifier: str) -> O | None:
        """What `identifier` alone names, for `import`; None where there is no such thing."""
        raise PermanentError(f"{self.token} cannot be imported by its id; declare it: its create adopts what is there")

    @abstractmethod
    async def create(self, context: Context, inputs: I) -> Created[O]:
        """Make it, or adopt what is there of it."""

    @abstractmethod
    async def read(self, context: Context, identifier: str, outputs: O) -> O | None:
        """The resource as the world has it: None where it is gone; inputs that drifted as they are."""

    @abstractmethod
    async def update(self, context: Context, identifier: str, old: O, new: I) -> O:
        """Bring it to `new` in place."""

    @abstractmethod
    async def delete(self, context: Context, identifier: str, outputs: O) -> None:
        """Remove it; nothing else, and nothing where it is gone."""
