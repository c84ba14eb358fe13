"""How commands end: the official CLI's exit codes, and the errors that lead to them."""

from __future__ import annotations

from enum import IntEnum

from heliostat.engine.errors import EngineError
from heliostat.engine.stackerrors import NotFoundError
from heliostat.systems import errors
from heliostat.systems.errors import PermanentError, RetryableError


class Exit(IntEnum):
    """Exit codes, the official CLI's but for TRY_LATER, which is that of sysexits(3)."""

    OK = 0
    """The command did what it was asked; of a preview, that it could be done."""
    FAILED = 1
    """It failed: a resource, a rollout that was followed, the outside world, or a question that was answered with no."""
    USAGE = 2
    """It was called in a way that cannot be meant; nothing was done."""
    NO_STACK = 6
    """There is no such stack, or none is selected."""
    CHANGES = 7
    """`--expect-no-changes` was given, and there were changes."""
    CANCELLED = 8
    """It was interrupted, or an operation was cancelled; a rollout that was only watched goes on."""
    TRY_LATER = errors.TRY_LATER
    """What it waits for is on its way and not there yet; the same once more may do the rest."""
    INTERNAL = 255
    """A defect of heliostat itself; HELIOSTAT_TRACEBACK=1 shows where."""


class UsageError(Exception):
    """The command was called in a way that cannot be meant; its exit code is USAGE."""


class UnexpectedChangesError(Exception):
    """`--expect-no-changes`, and there were changes."""


class NotYetError(RetryableError):
    """What a command waits for is on its way; its exit code is TRY_LATER."""


class DeclinedError(Exception):
    """The user said no."""


def explain(error: Exception) -> tuple[int, str]:
    """The exit code and the text of an error."""
    codes: list[tuple[type[Exception], Exit]] = [
        (NotFoundError, Exit.NO_STACK),
        (EngineError, Exit.FAILED),
        (PermanentError, Exit.FAILED),
        (NotYetError, Exit.TRY_LATER),
        (RetryableError, Exit.FAILED),
        (UsageError, Exit.USAGE),
        (UnexpectedChangesError, Exit.CHANGES),
        (DeclinedError, Exit.FAILED),
    ]
    for kind, code in codes:
        if isinstance(error, kind):
            return code, str(error)
    where = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Exit.INTERNAL, f"a defect of heliostat itself: {where} (HELIOSTAT_TRACEBACK=1 shows where)"
