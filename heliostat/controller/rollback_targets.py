"""Which version a rollback goes to, and whether all that it needs is still there."""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.rollout.model import SETTLED, Colour, Observed, State, identity
from heliostat.rollout.refusals import is_refused
from heliostat.spec.addresses import Access, StoreAddress
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Desired, Version
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_models import ModelMissingError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import open_store

_FULL = 0.9999


class NoRollbackTargetError(PermanentError):
    """There is nothing to go back to; the text says what there is."""


def served(entry: Entry) -> Desired | None:
    """What had most of the traffic after an entry; None where nothing served, or the entry does not say how it was made."""
    digest = max(entry.weights, key=lambda each: entry.weights[each], default=None)
    return entry.known.get(digest) if digest is not None else None


def kept(state: State) -> Desired | None:
    """What served before and is still kept warm, where that is not what was rolled away from."""
    rollout = state.rollout
    if rollout is None or rollout.phase not in SETTLED or rollout.previous is None:
        return None
    slot = state.slot(rollout.candidate.other)
    there = slot.desired is not None and identity(slot.desired) == identity(rollout.previous)
    return rollout.previous if there and not is_refused(state, rollout.previous) else None


def before(state: State, entries: Iterable[Entry]) -> tuple[Desired, Entry]:
    """The newest version that had all traffic and is not the present one, nor one that was rolled back; and who says so.

    Raises:
        NoWayBackError: there is none, or a rollout is on its way.
    """
    rollout = state.rollout
    if rollout is not None and not rollout.ended and rollout.phase not in SETTLED:
        raise NoRollbackTargetError(
            f"rollout {rollout.number} of {state.name} to {rollout.target.version.label} is on its way: "
            "`heliostat rollout abort` takes it back, `heliostat rollback --to N` goes to an entry of the ledger"
        )
    live = state.slot(state.live).desired if state.live is not None else None
    for entry in entries:
        found = served(entry)
        full = found is not None and entry.weights[found.version.digest] >= _FULL
        if found is None or not full or (live is not None and found.version.digest == live.version.digest):
            continue
        if not is_refused(state, found):
            return found, entry
    raise NoRollbackTargetError(
        f"the ledger of {state.name} knows no version that served before the present one and was not rolled back; "
        "`heliostat history` shows it, `--to N` takes any of it"
    )


def at(name: str, number: int, entry: Entry | None, last: int, emptied: int = 0) -> Desired:
    """What an entry says served; what those up to `emptied` name was removed with the object store.

    Raises:
        NoWayBackError: there is no such entry, or nothing served after it, or what it names is gone.
    """
    if entry is None:
        has = f"it has 1 to {last}" if last else "it is empty"
        raise NoRollbackTargetError(f"the ledger of {name} has no entry {number}: {has}")
    if number <= emptied:
        raise NoRollbackTargetError(
            f"what entry {number} of the ledger of {name} names was removed with the object store (onDestroy: delete), like "
            f"all up to entry {emptied}: choose a later one"
        )
    found = served(entry)
    if found is None:
        raise NoRollbackTargetError(f"nothing served after entry {number} of the ledger of {name}: choose another one")
    return found


def is_warm(state: State, observed: Observed, desired: Desired) -> bool:
    """Whether healthy replicas of it are there, so that nothing needs to be fetched."""
    slots = [(state.slot(colour).desired, observed.seen(colour)) for colour in Colour]
    return any(slot is not None and identity(slot) == identity(desired) and seen.healthy for slot, seen in slots)


def missing(version: Version, access: Access | None = None) -> tuple[str, ...]:
    """What a version needs and is not there any more; `access` is how its registry is reached from here.

    Raises:
        RetryableError: the object store or the registry does not answer.
        PermanentError: the registry lets nobody in.
    """
    gone = [] if _is_there(version, version.code_uri) else [f"its code package {version.code_uri}"]
    runtime = version.runtime
    if runtime is not None and not _is_there(version, runtime.library_uri):
        gone.append(f"its library {runtime.library} at {runtime.library_uri}")
    if version.environment is not None and not _is_there(version, version.environment.uri):
        gone.append(f"its environment at {version.environment.uri}")
    try:
        with Registry(version.tracking_uri, access=access) as registry:
            location = registry.location(version.model_uri)
            if not registry.hands_out(location):
                gone.append(f"the files of {version.model_uri} at {location}")
    except ModelMissingError:
        gone.append(f"the model {version.model_uri} in {version.tracking_uri}")
    return tuple(gone)


def _is_there(version: Version, uri: str) -> bool:
    """Whether an object lies in the version's store."""
    folder, _, name = uri.rpartition("/")
    return open_store(StoreAddress(uri=folder, endpoint=version.store.endpoint, region=version.store.region)).exists(name)
