"""What a rollback goes back to, by the ledger: so that it can be shown, and agreed to, before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from heliostat.cli.rollouts import ledger, words
from heliostat.rollout.orders import fingerprint
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Desired, Status
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore

_ALL = 0.9999
"""Weights are known to 1/100 %."""


def goal(entry: Entry) -> Desired | None:
    """What serving this entry again means: what had most of the traffic after it; None where nothing served."""
    shares = ledger.served(entry).shares
    return shares[0][1] if shares else None


def before(entries: Iterable[Entry], serving: str, refused: Collection[str] = ()) -> Entry | None:
    """The newest entry after which another version than `serving` (its digest) had all traffic and was not `refused` since.

    `refused` are fingerprints of declarations.
    """
    for entry in sorted(entries, key=lambda one: one.number, reverse=True):
        shares = ledger.served(entry).shares
        whole = bool(shares) and shares[0][0] >= _ALL and shares[0][1].version.digest != serving
        if whole and fingerprint(shares[0][1]) not in refused:
            return entry
    return None


def goal_of(store: ObjectStore, status: Status, to: int | None) -> tuple[Entry, Desired]:
    """The entry that a rollback goes back to, and what it served.

    Raises:
        PermanentError: there is none, or it cannot be read; the text says what there is.
    """
    name = status.name
    entry = _named(store, name, to) if to is not None else _last_other(store, status)
    wanted = goal(entry)
    if wanted is None:
        raise PermanentError(f"after entry {entry.number} nothing served {name}: choose another (`heliostat history {name}`)")
    return entry, wanted


def _named(store: ObjectStore, application: str, number: int) -> Entry:
    found = ledger.entry_of(store, application, number)
    if isinstance(found, ledger.Damaged):
        raise PermanentError(
            f"entry {number} of the ledger of {application} cannot be read: {found.why}; "
            f"`heliostat history {application}` lists what there is"
        )
    return found


def _last_other(store: ObjectStore, status: Status) -> Entry:
    rollout = status.rollout
    if rollout is not None and rollout.phase not in words.ENDS | words.SETTLED:
        raise PermanentError(
            f"rollout {rollout.number} of {status.name} to {rollout.to_version} is on its way: "
            "`heliostat rollout abort` takes it back, `heliostat rollback --to N` goes to an entry of the ledger"
        )
    serving = status.serving.digest if status.serving else ""
    refused = {one.fingerprint for one in status.refused}
    entry = before(ledger.read(store, status.name).entries, serving, refused)
    if entry is None:
        raise PermanentError(
            f"nothing else served {status.name} before that was not rolled back: "
            f"`heliostat history {status.name}` shows what did, `--to N` takes any of it"
        )
    return entry
