"""Making and removing the places of object stores. Neither what was there before, and is not ours, is removed, nor the ledger.

Where a ledger is left, so is the mark beside it: the store that is made around it later is as much ours as this one was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ledger import TOP, place_of
from heliostat.systems.errors import PermanentError, explained
from heliostat.systems.objects import OWN, BucketStore, ObjectMissingError, ObjectStore, directory_of, open_bucket, open_store

_MARK = f"{OWN}/store.json"
"""Says whether the place was empty, and the bucket absent, when the store was made: only then may they be removed."""
_EMPTIED = f"{OWN}/emptied.json"
"""The last entry of each application's ledger when all else was removed: what those name was made anew since, if at all."""


def ensure(address: StoreAddress) -> None:
    """Make the store's place where it is not there yet, and see that it can be written."""
    bucket = open_bucket(address)
    store = bucket or open_store(address)
    made = _ensure_bucket(bucket) if bucket is not None else _ensure_folder(directory_of(address))
    if not store.exists(_MARK):
        ours = {"emptyBefore": next(iter(store.list()), None) is None, "madePlace": made}
        store.put(_MARK, json.dumps(ours).encode(), only_if_absent=True)
    if store.exists(_EMPTIED) and next(iter(store.list(TOP)), None) is None:
        # The ledger went by hand, and its numbers begin anew.
        store.delete(_EMPTIED)


def exists(address: StoreAddress) -> bool:
    """Whether the store's place is there."""
    return _is_there(open_bucket(address), address)


def _is_there(bucket: BucketStore | None, address: StoreAddress) -> bool:
    return _bucket_exists(bucket) if bucket is not None else directory_of(address).is_dir()


@dataclass(frozen=True)
class Removed:
    """What is left of a store that was removed; nothing by default."""

    kept: str | None = None
    """Why something was kept, where it was."""
    ledger: str | None = None
    """Where the ledger still lies, where there was one."""


def remove(address: StoreAddress) -> Removed:
    """Remove the store with all objects but the ledger, and its bucket or folder where the store made that and it is empty.

    What is gone is a success.
    """
    bucket = open_bucket(address)
    if not _is_there(bucket, address):
        return Removed()
    store = bucket or open_store(address)
    mark = _json(store, _MARK)
    if not mark.get("emptyBefore"):
        return Removed(kept=f"{address.uri} held other things before it became this store, so nothing in it was removed")
    entries = [info.key for info in store.list(TOP)]
    ledger = f"{address.uri.rstrip('/')}/{TOP.rstrip('/')}" if entries else None
    if entries:
        store.put(_EMPTIED, json.dumps(_last_entries(entries)).encode())
    made = bool(mark.get("madePlace"))
    if bucket is not None:
        return Removed(_remove_from_bucket(bucket, made, ledger is not None), ledger)
    _remove_folder(directory_of(address), made, ledger is not None)
    return Removed(ledger=ledger)


def emptied_at(store: ObjectStore, application: str) -> int:
    """The last entry of its ledger whose objects were removed with the store; 0 where there is none.

    Raises:
        RetryableError: the store does not answer.
    """
    return int(_json(store, _EMPTIED).get(application, 0))


def _last_entries(keys: Iterable[str]) -> dict[str, int]:
    # By rising number, so that the last of an application stays.
    return dict(sorted(place for key in keys if (place := place_of(key)) is not None))


def _ensure_folder(root: Path) -> bool:
    if root in (Path("/"), Path.home()) or len(root.parts) < 3:
        raise PermanentError(f"{root} cannot be an object store: it would mix with everything else; name a folder of its own")
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, f"make the object store's folder {root}") from error
    return made


def _remove_folder(root: Path, made: bool, ledger: bool) -> None:
    # The mark goes last: a removal that was killed must still know that all of this is ours.
    stays = {OWN, TOP.rstrip("/")} if ledger else {OWN}
    try:
        for entry in root.iterdir():
            if entry.name not in stays:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        if ledger:
            return
        shutil.rmtree(root / OWN, ignore_errors=True)
        if made:
            root.rmdir()
    except OSError as error:
        raise explained(error, f"remove the object store {root}") from error


def _bucket_exists(store: BucketStore) -> bool:
    try:
        store.look()
        return True
    except ObjectMissingError:
        return False


def _ensure_bucket(store: BucketStore) -> bool:
    if _bucket_exists(store):
        return False
    store.create_bucket()
    return True


def _remove_from_bucket(store: BucketStore, made: bool, ledger: bool) -> str | None:
    store.clear(keep=TOP)
    if ledger:
        return None
    others = store.holds_others(_MARK)
    store.delete(_MARK)
    if made and not others:
        store.delete_bucket()
    return f"the bucket {store.bucket} holds other things too, so it was kept" if made and others else None


def _json(store: ObjectStore, key: str) -> dict[str, Any]:
    try:
        found = json.loads(store.get(key))
        return found if isinstance(found, dict) else {}
    except (ObjectMissingError, ValueError):
        return {}
