"""Lists that post-processing steps read: kept in the object store by their content, for as long as a version may need them.

What is declared names a file of the checkout, or an object that its owner may overwrite at any time. A replica that starts
later reads what was declared, and not what has become of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from heliostat.spec.postprocessing import ListSource, PostprocessingStep, list_key
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore


def content(source: ListSource, root: Path, store: ObjectStore | None) -> bytes:
    """What a list holds now; `root`: the checkout, `store`: the stack's, None where it is not known.

    Raises:
        PermanentError: there is no such list, or it is no UTF-8.
        RetryableError: the store does not answer.
    """
    if source.key is None:
        try:
            found = (root / source.source).read_bytes()
        except OSError as error:
            raise PermanentError(f"{source.source} cannot be read in {root}: {error.strerror}") from None
    elif store is None:
        raise PermanentError(f"{source.source}: which store that is, is not known yet")
    else:
        try:
            found = store.get(source.key)
        except ObjectMissingError:
            raise PermanentError(f"there is no {store.uri(source.key)}: put the list there, or correct its source") from None
    try:
        found.decode()
    except UnicodeDecodeError as error:
        raise PermanentError(f"{source.source} is no text of UTF-8 (byte {error.start})") from None
    return found


def digest_of(content: bytes) -> str:
    """What a list is kept by."""
    return hashlib.sha256(content).hexdigest()


def keep(steps: Iterable[PostprocessingStep], root: Path, store: ObjectStore) -> None:
    """Store the lists of steps as they were declared, where they are not stored yet.

    Raises:
        PermanentError: one was changed since it was declared.
        RetryableError: the store does not answer.
    """
    for step in steps:
        for name, source in step.lists.items():
            key = list_key(source.digest)
            if store.exists(key):
                continue
            found = content(source, root, store)
            if digest_of(found) != source.digest:
                raise PermanentError(f"the list {name} of {step.name} ({source.source}) changed while this ran: run it again")
            store.put(key, found)


def read(source: ListSource, store: ObjectStore) -> str:
    """The content of a list as it was declared.

    Raises:
        PermanentError: it is not there, or is another one than its name says.
        RetryableError: the store does not answer.
    """
    key = list_key(source.digest)
    try:
        found = store.get(key)
    except ObjectMissingError:
        raise PermanentError(f"the list {source.source} is gone: there is no {store.uri(key)}; `up` stores it again") from None
    if digest_of(found) != source.digest:
        raise PermanentError(
            f"{store.uri(key)} was changed: it is not {source.source} as it was declared; delete it, and `up`"
        )
    return found.decode()
