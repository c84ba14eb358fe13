"""Old versions of the objects that a deletion changed: in a bucket that keeps such, what was removed is among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from heliostat.governance.subjects import Subject
from heliostat.spec.erasure import ErasedObject, ErasedSnapshot, ErasureProof, key_of
from heliostat.systems.erasures import announced
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore
from heliostat.systems.storage.s3 import S3

RIGHTS = "s3:ListBucketVersions on the bucket and s3:DeleteObjectVersion on its objects"


def changed(objects: Iterable[ErasedObject], snapshots: Iterable[ErasedSnapshot]) -> tuple[str, ...]:
    """What keys begin with whose old versions go; a whole key ends with nothing more, a folder with `/`."""
    folders = (f"datasets/{each.name}/{each.before}/" for each in snapshots)
    return tuple(dict.fromkeys((*(each.key for each in objects), *folders)))


def proven(store: ObjectStore, application: str, subject: Subject) -> Iterator[ErasureProof]:
    """The proofs of earlier deletions of this person, which may have left old versions."""
    for each in announced(store, application):
        if each.field == subject.field and set(each.tokens) & subject.tokens:
            try:
                yield ErasureProof.model_validate_json(store.get(key_of(application, each.id, "proof")))
            except ObjectMissingError:
                continue


def forget(store: ObjectStore, places: Iterable[str]) -> tuple[int, str]:
    """Delete the old versions of these objects; how many went, and what is left of them, and why, where some are.

    Raises:
        RetryableError: the store does not answer.
    """
    if not isinstance(store, S3):
        is_bucket = hasattr(store, "bucket")
        return 0, _LEFT.format(where=store.uri("")) if is_bucket else ""
    removed = 0
    for number, place in enumerate(found := tuple(places)):
        try:
            removed += store.delete_old_versions(place)
        except PermanentError as error:
            left = ", ".join(found[number:][:3]) + (" and more" if len(found) - number > 3 else "")
            return removed, (
                f"old versions of {left} may be left, with the rows ({error}): if the bucket keeps versions, run this again "
                f"as somebody with {RIGHTS}, or they go by the bucket's own rules"
            )
    return removed, ""


_LEFT = (
    "if the bucket keeps old versions, what was removed from {where} is among these until its own rules delete them, 30 days "
    "on the platform `gcp`: delete those of the objects that this names"
)
