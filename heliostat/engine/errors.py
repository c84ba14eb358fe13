"""What can go wrong in an operation, apart from defects of the engine itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class EngineError(Exception):
    """An operation cannot go on for a reason that the message tells whole; no traceback helps."""


class Reported(Exception):
    """A failure that a diagnostic has told already."""


class ProviderError(Exception):
    """A provider refused or failed a call; the message is the provider's own."""


class ProgramEnded(ProviderError):
    """The program ended while something was asked of it that a step needs; why it did is told apart."""


class Unimplemented(ProviderError):
    """A provider does not know the call at all."""


@dataclass
class GoesOn(ProviderError):
    """A provider began what goes on without the operation: nothing failed, and a later operation takes the end."""

    message: str
    details: dict[str, str] = field(default_factory=dict)
    """What the provider says of it, for whoever looks for it."""

    def __str__(self) -> str:
        return self.message


class NoCredentials(ProviderError):
    """A provider was not let in to what it was asked about, for want of credentials."""


@dataclass
class InitFailed(ProviderError):
    """A provider made or changed a resource that did not come up: there is something, and it is not well."""

    message: str
    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any] | None = None
    reasons: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.reasons:
            return self.message
        listed = "\n".join(f"  * {reason}" for reason in self.reasons)
        return f"{self.message}\n{len(self.reasons)} error(s) occurred:\n{listed}"


@dataclass(frozen=True)
class CheckFailure:
    """One input that a provider rejects; `property` is its path, empty for the resource as a whole."""

    property: str
    reason: str
