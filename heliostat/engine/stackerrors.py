"""What can go wrong outside an operation: state, locks, passphrases, project files.

EngineError
  StackError              permanent until someone changes something; the message says what
    NotFoundError         no such project, stack or output
    LockedError           another process holds the stack: wait, or `cancel`
    PassphraseError       missing or wrong
    StorageError          the store cannot be read or written now; the same call may work later
"""

from __future__ import annotations

from heliostat.engine.errors import EngineError


class StackError(EngineError):
    """A command cannot go on; the message says it whole, with the value, the limit and the fix."""


class NotFoundError(StackError):
    """What was named does not exist."""


class LockedError(StackError):
    """Another process is changing the stack, or has left its lock."""


class PassphraseError(StackError):
    """The passphrase that protects the stack's secrets is missing or wrong."""


class StorageError(StackError):
    """The backend could not be read or written; nothing that was there before is lost."""
