"""The two ways in which the world says no; every wrapper, and every resource of the provider, raises one of them."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Final

TRY_LATER: Final = 75
"""The exit code of a command where something goes on by itself, or is on its way: EX_TEMPFAIL of sysexits(3)."""


class PermanentError(Exception):
    """It will fail again until somebody changes something; the text says what was found, the limit and the fix."""


class NoAccessError(PermanentError):
    """This process has nothing to be let in with: no credential was sent, so none was refused."""


class RetryableError(Exception):
    """It may go well when tried again as it is; the text says what was waited for, and how long."""


class GoesOnError(RetryableError):
    """What was begun goes on by itself: nothing failed, and whoever asks again later gets its end."""

    def __init__(self, message: str, details: Mapping[str, str]) -> None:
        """`details` are for programs that look for it."""
        super().__init__(message)
        self.details = details


class DiskFullError(PermanentError):
    """No space is left where something was to be written."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def explained(error: OSError, what: str) -> PermanentError:
    """`error`, met while doing `what` (e.g. "write /data/a"), as one sentence with its fix."""
    if error.errno in FULL:
        return DiskFullError(f"cannot {what}: no space left on the disk ({error.strerror}); free some space and run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermanentError(f"cannot {what}: {error.strerror}; give this user write access to it, or choose another place")
    return PermanentError(f"cannot {what}: {error.strerror or error}")
