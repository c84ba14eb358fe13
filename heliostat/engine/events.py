"""What an operation tells while it runs; the display and `--json` are made of nothing else.

The engine calls one sink with these, from one thread, in the order in which things happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from heliostat.engine.state.urns import Urn


class Op(StrEnum):
    """What a step does to a resource, by the CLI's own words."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"
    CREATE_REPLACEMENT = "create-replacement"
    DELETE_REPLACED = "delete-replaced"
    READ = "read"
    READ_REPLACEMENT = "read-replacement"
    READ_DISCARD = "discard"
    DISCARD_REPLACED = "discard-replaced"
    REFRESH = "refresh"
    IMPORT = "import"


@dataclass(frozen=True)
class PropertyChange:
    """One property that differs, by its path in the resource (`replicas`, `gate.margin`, `slices[0]`)."""

    path: str
    old: Any
    new: Any
    replaces: bool = False
    hidden: bool = False
    """The program wants this difference told, and not shown."""


@dataclass(frozen=True)
class StepStarted:
    """A step begins; in a preview it is only planned."""

    urn: Urn
    op: Op
    changes: tuple[PropertyChange, ...] = ()
    parent: Urn | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    """The resource's, as its provider has checked them, secrets still wrapped; what is not known yet is UNKNOWN."""


@dataclass(frozen=True)
class StepSucceeded:
    """A step ended well after `seconds`; `outputs` are the resource's, secrets still wrapped."""

    urn: Urn
    op: Op
    seconds: float
    outputs: dict[str, Any] = field(default_factory=dict)
    changes: tuple[PropertyChange, ...] = ()
    """For a refresh: what the world differs in."""


@dataclass(frozen=True)
class StepFailed:
    """A step ended in an error, which a `Diagnostic` before it explains."""

    urn: Urn
    op: Op
    seconds: float
    message: str


@dataclass(frozen=True)
class StepLeft:
    """A step ended while what it began goes on; nothing failed, and the resource is as it was before."""

    urn: Urn
    op: Op
    seconds: float
    message: str


@dataclass(frozen=True)
class Diagnostic:
    """A message of the program, a plugin or the engine; `urn` is empty where it concerns no resource.

    An `ephemeral` one is progress: a terminal shows it beside the resource until the next; a pipe prints it too.
    """

    severity: str
    """`debug`, `info`, `warning` or `error`."""
    message: str
    urn: Urn = ""
    ephemeral: bool = False


@dataclass(frozen=True)
class Outputs:
    """The stack's outputs, as the program has just exported them, and those of before."""

    old: dict[str, Any]
    new: dict[str, Any]


@dataclass(frozen=True)
class PackLoaded:
    """A policy pack judges this operation by so many policies; those that are disabled are not counted."""

    pack: str
    version: str
    policies: int


@dataclass(frozen=True)
class PolicyViolation:
    """A policy is broken by the resource `urn`, or by the stack as a whole, whose URN it then is."""

    urn: Urn
    policy: str
    pack: str
    version: str
    level: Literal["advisory", "mandatory"]
    """A mandatory one makes the operation fail."""
    message: str
    severity: str = ""
    """`low`, `medium`, `high` or `critical`; empty where the pack does not say."""


@dataclass(frozen=True)
class PolicyRemediation:
    """A policy has changed what the program declared of a resource."""

    urn: Urn
    policy: str
    pack: str
    version: str
    changes: tuple[PropertyChange, ...]


PolicyEvent = PackLoaded | PolicyViolation | PolicyRemediation
Event = StepStarted | StepSucceeded | StepFailed | StepLeft | Diagnostic | Outputs | PolicyEvent


@dataclass(frozen=True)
class GoingOn:
    """What a provider began for a resource, and what goes on without the operation."""

    urn: Urn
    message: str
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """How an operation ended: steps by operation, and whether all that there was to do is done."""

    succeeded: bool
    changes: dict[Op, int]
    seconds: float
    cancelled: bool = False
    going: tuple[GoingOn, ...] = ()
    """What goes on: it and what needs it are not done."""
    failed: bool = False
    """Something failed."""
    errors: dict[Urn, str] = field(default_factory=dict)
    """Why steps failed, by their resources."""

    @property
    def goes_on(self) -> bool:
        """Whether nothing failed, and the rest is to be done once what goes on has ended."""
        return bool(self.going) and not self.failed and not self.cancelled
