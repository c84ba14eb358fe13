"""What a deletion cannot search or remove from here, and what people have to do about it: it stands in the proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from heliostat.governance import batches, ingested_rows, objects, snapshots
from heliostat.governance.reach import Reach
from heliostat.governance.subjects import Subject
from heliostat.spec.erasure import ErasureProgress
from heliostat.systems.objects import ObjectStore

_ALWAYS = (
    "rows that replicas have not stored yet are left out when they are, at most `predictionLog.rollSeconds` from now",
    "tasks that wait, their answers and dead letters are sealed and not searched: they go by `queue.resultSeconds` and "
    "`queue.deadLetterSeconds`",
    "logs on a cluster's nodes go with its sessions: failed jobs quote no values of marked columns there, but what the "
    "workload's own code prints is there as it is",
    "copies and backups of the object store, of MLflow's database and of the cluster's disks keep what was removed until "
    "their own rules delete it",
    "models that were trained on rows of the person keep what they learned: train them anew",
)


@dataclass(frozen=True)
class Keyless:
    """What does not say whose rows are in it."""

    batches: frozenset[str]
    """Batch predictions with such files."""
    parts: Mapping[str, int]
    """How many parts of ingested rows, by data set."""
    unread: Mapping[str, str]
    """Damaged files: why they cannot be read, by their keys."""


def notes_of(
    store: ObjectStore, application: str, reach: Reach, subject: Subject, progress: ErasureProgress, keyless: Keyless
) -> Iterator[str]:
    """All of it."""
    yield from _ALWAYS
    yield from _of_labels(store, application, progress)
    for key, why in keyless.unread.items():
        yield f"{key} cannot be read, and may have rows of them: delete it, or mend it and run this again ({why})"
    for name in reach.data_sets:
        for manifest in snapshots.manifests(store, name):
            if "origin" in manifest and subject.field in manifest["columns"]:
                where = manifest["origin"]["uri"]
                yield f"the rows of the snapshot {manifest['digest'][:12]} are in {where}: delete them there, and then here"
    for name in dict.fromkeys(each.name for each in progress.snapshots):
        yield f"the source of {name} may still have the rows: take them out there, before a snapshot is made anew"
    for name in reach.data_sets:
        yield from ingested_rows.notes(name, subject, keyless.parts.get(name, 0), progress.objects)
    for batch in batches.batches_of(store, application, reach.batches):
        yield from batches.notes(batch, subject, batch.name in keyless.batches, progress.objects)
    if reach.others:
        shared, theirs = ", ".join(reach.data_sets), ", ".join(reach.others)
        yield f"what was logged for {theirs}, which learned of {shared} as well, is not searched: delete it there too"


def _of_labels(store: ObjectStore, application: str, progress: ErasureProgress) -> Iterator[str]:
    places = frozenset(progress.predictions)
    for info in store.list(f"ground-truth/{application}/"):
        if not info.key.endswith((".parquet", ".jsonl", ".ndjson")) and info.size:
            content = store.get(info.key)
            if info.key.endswith(".gz") or any(objects.mentioned(content, places)):
                yield f"{info.key} may have labels of them, and is of a form that is not written anew: remove the lines"
