"""What an entry of the ledger says served: so that it can be shown, and agreed to, before a rollback to it."""

from __future__ import annotations

from heliostat.cli.rollouts import ledger
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Desired
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore


def goal(entry: Entry) -> Desired | None:
    """What serving this entry again means: what had most of the traffic after it; None where nothing served."""
    shares = ledger.served(entry).shares
    return shares[0][1] if shares else None


def goal_of(store: ObjectStore, application: str, number: int) -> tuple[Entry, Desired]:
    """An entry of the ledger, and what it says served.

    Raises:
        PermanentError: there is none of that number, it cannot be read, or nothing served; the text says what to do.
    """
    entry = ledger.entry_of(store, application, number)
    if isinstance(entry, ledger.Damaged):
        raise PermanentError(
            f"entry {number} of the ledger of {application} cannot be read: {entry.why}; "
            f"`heliostat history {application}` lists what there is"
        )
    wanted = goal(entry)
    if wanted is None:
        raise PermanentError(
            f"after entry {number} nothing served {application}: choose another (`heliostat history {application}`)"
        )
    return entry, wanted
