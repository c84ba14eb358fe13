"""Deletes what is kept of a person, from announcement to proof. Killed anywhere and run again, it goes on.

What is found is written down before anything of it is removed, an object is replaced by itself without the rows, and a second
search says what is left. A row that is still on its way to the store is left out there (`heliostat.systems.erasures`).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from heliostat.governance import batches, derived, ingested_rows, objects, snapshots, versions
from heliostat.governance.batches import Batch
from heliostat.governance.journal import Journal
from heliostat.governance.mentions import Mentions
from heliostat.governance.notes import Keyless, notes_of
from heliostat.governance.objects import Cleaned, Place
from heliostat.governance.reach import reach_of
from heliostat.governance.subjects import Subject, marked_fields
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.erasure import (
    ErasedSnapshot,
    ErasureAnnouncement,
    ErasureProof,
    content_of,
    key_of,
)
from heliostat.systems import prediction_tables
from heliostat.systems.erasures import announced
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, contents, open_store

Found = tuple[str, str, Cleaned | None]
"""What an object is, its key, and itself without the rows; None where it has none."""


def announcement_of(store: ObjectStore, application: str, subject: Subject, reason: str) -> ErasureAnnouncement:
    """The deletion of this person that was begun and not proven, or else a new one; nothing is written."""
    tokens = tuple(sorted(subject.tokens))
    for each in announced(store, application):
        same = each.field == subject.field and set(each.tokens) & subject.tokens
        if same and not store.exists(key_of(application, each.id, "proof")):
            return each
    return ErasureAnnouncement(
        id=uuid.uuid4().hex, application=application, field=subject.field, tokens=tokens, at=time.time(), reason=reason
    )


class Erasing:
    """One deletion."""

    def __init__(
        self,
        address: StoreAddress,
        announcement: ErasureAnnouncement,
        subject: Subject,
        tell: Callable[[str], None],
        declared: Collection[str] = (),
    ) -> None:
        """Take whose rows go; `declared`: the digests of the data that the application is declared with."""
        self._address = address
        self._store = open_store(address)
        self._announced = announcement
        self._subject = subject
        self._tell = tell
        self._application = announcement.application
        self._declared = declared
        self._reach = reach_of(self._store, self._application, declared)
        self._searched: Counter[str] = Counter()
        self._journal = Journal(self._store, announcement, tell)
        self._keyless: set[str] = set()
        """Batch predictions with files that do not say whose rows are in them."""
        self._keyless_parts: Counter[str] = Counter()
        """By data set, parts of ingested rows that do not say it either."""
        self._unread: dict[str, str] = {}
        """Why files of predictions and of labels could not be read, by their keys."""

    def run(self) -> ErasureProof:
        """Delete, search again, and return the proof, which is stored once the audit log has it (`keep`).

        Raises:
            PermanentError: some of it cannot be removed; the rest is, and running it again goes on.
            RetryableError: the store does not answer.
        """
        self._journal.begin()
        for kind, key, cleaned in self._search():
            self._searched[kind] += 1
            if cleaned is not None:
                self._journal.replace(key, cleaned)
        self._erase_labels()
        self._erase_snapshots()
        self._erase_statistics()
        self._erase_ingested()
        self._erase_batches()
        self._erase_derived()
        left = self._left()
        progress = self._journal.progress
        removed, kept = self._forget_versions()
        return ErasureProof(
            id=self._announced.id, application=self._application, field=self._subject.field, began=progress.began,
            ended=time.time(), reason=self._announced.reason, searched=dict(self._searched), left=left,
            objects=progress.objects, snapshots=progress.snapshots, tables=progress.tables, data_sets=self._reach.data_sets,
            versions=removed, notes=(*self._notes(), *([kept] if kept else [])),
        )  # fmt: skip

    def _forget_versions(self) -> tuple[int, str]:
        """Also of what earlier deletions of this person changed, which may not have had the right to."""
        before = list(versions.proven(self._store, self._application, self._subject))
        erased = [*self._journal.progress.objects, *(each for proof in before for each in proof.objects)]
        succeeded = [*self._journal.progress.snapshots, *(each for proof in before for each in proof.snapshots)]
        removed, left = versions.forget(self._store, versions.changed(erased, succeeded))
        if removed:
            self._tell(f"{removed} old versions of these objects removed")
        return removed, left

    def keep(self, proof: ErasureProof) -> str:
        """Store the proof, and return where."""
        key = key_of(self._application, self._announced.id, "proof")
        self._store.put(key, content_of(proof))
        self._journal.end()
        return self._store.uri(key)

    def _search(self) -> Iterator[Found]:
        """All objects that may have rows, each without them."""
        subject, application = self._subject, self._application
        theirs = objects.names(subject)
        for key, content in contents(self._store, f"predictions/{application}/", lambda key: key.endswith(".parquet")):
            cleaned = self._read(key, partial(objects.predictions, content, subject, self._announced.at))
            yield "files of the prediction log", key, cleaned
        for kind, prefix in (
            ("unread lines of it", f"predictions-unread/{application}/"),
            ("review items", f"reviews/{application}/items/"),
        ):
            for key, content in contents(self._store, prefix):
                yield kind, key, objects.lines_of(content, theirs)
        for batch in self._batches():
            for kind, key, content in batches.files_of(self._store, batch):
                cleaned = self._read(key, partial(objects.rows, content, subject))
                if key not in self._unread and not batches.has_column(content, subject.field):
                    self._keyless.add(batch.name)
                yield kind, key, cleaned

    def _read(self, key: str, without: Callable[[], Cleaned | None]) -> Cleaned | None:
        """A file without the rows; None of one that cannot be read, which the proof tells and nothing else waits for."""
        try:
            return without()
        except objects.UnreadableError as error:
            self._unread[key] = str(error)
            return None

    def _manifests(self) -> Iterator[dict[str, Any]]:
        for name in self._reach.data_sets:
            yield from snapshots.manifests(self._store, name)

    def _batches(self) -> list[Batch]:
        return batches.batches_of(self._store, self._application, self._reach.batches)

    def _erase_labels(self) -> None:
        places = frozenset(self._journal.progress.predictions)
        for info in list(self._store.list(f"ground-truth/{self._application}/")):
            self._searched["files of labels"] += 1
            while places and not self._erase_label_file(info.key, places):
                pass  # whoever brings labels has put the file anew

    def _erase_label_file(self, key: str, places: frozenset[Place]) -> bool:
        try:
            found = self._store.read(key)
        except ObjectMissingError:
            return True
        cleaned = self._without_labels(key, found.content, places)
        return cleaned is None or self._journal.replace(key, cleaned, found.tag)

    def _without_labels(self, key: str, content: bytes, places: frozenset[Place]) -> Cleaned | None:
        if key.endswith(".parquet"):
            return self._read(key, partial(objects.labels, content, places))
        if key.endswith((".jsonl", ".ndjson")):
            return objects.lines_of(content, objects.is_label_of(places))
        return None

    def _erase_snapshots(self) -> None:
        for manifest in list(self._manifests()):
            self._searched["snapshots"] += 1
            place = manifest["name"], manifest["digest"]
            known = next((each for each in self._journal.progress.snapshots if (each.name, each.before) == place), None)
            if known is None and not snapshots.is_erased(manifest):
                known = self._succeed(manifest)
            if known is not None:
                snapshots.retire(self._store, known, self._announced.id)

    def _succeed(self, manifest: dict[str, Any]) -> ErasedSnapshot | None:
        rows = snapshots.rows_of(self._address, manifest, self._subject)
        if not rows:
            return None
        self._tell(f"the snapshot {str(manifest['digest'])[:12]} has {sum(rows.values())} rows: making one without them")
        marks = self._marks()[manifest["name"]]
        made = snapshots.successor_of(self._address, manifest, self._subject, self._announced.id, marks)
        self._journal.write(snapshots=(*self._journal.progress.snapshots, made))
        return made

    def _marks(self) -> dict[str, frozenset[str]]:
        marked = {self._subject.field, *marked_fields(self._store, self._application)}
        return snapshots.marks_of(self._manifests(), marked)

    def _erase_statistics(self) -> None:
        """What was counted before columns were marked tells people's values: also of snapshots that have nobody's rows."""
        marks = self._marks()
        for manifest in list(self._manifests()):
            self._searched[snapshots.STATISTICS] += not snapshots.is_erased(manifest)
            for key, content in snapshots.without_values(self._store, manifest, marks[manifest["name"]]).items():
                self._journal.replace(key, Cleaned(content, 0))
            snapshots.keep_marks(self._store, manifest, marks[manifest["name"]])

    def _erase_ingested(self) -> None:
        """Behind the snapshots: what has their place is noted in the same records."""
        for name in self._reach.data_sets:
            self._erase_ingested_of(name)

    def _erase_ingested_of(self, name: str) -> None:
        store = self._store
        for key, content in ingested_rows.parts_of(store, name):
            self._searched[ingested_rows.PARTS] += 1
            made = ingested_rows.put_successor(store, name, key, content, self._subject)
            if made is None:
                self._keyless_parts[name] += not batches.has_column(content, self._subject.field)
                continue
            self._journal.write_succeeded(made)
            ingested_rows.retire(store, name, made, objects.count_of(store.get(made.successor)), self._announced.id)
            self._tell(f"{key}: {made.rows} rows removed")
        for kind, key, content in ingested_rows.records_of(store, name):
            self._searched[kind] += 1
            cleaned = ingested_rows.without_examples(content, self._subject)
            if cleaned is not None:
                self._journal.replace(key, cleaned)

    def _erase_batches(self) -> None:
        """Once the parts have none of the rows any more: whoever makes a table of them anew makes it without."""
        found = self._batches()
        for batch in found:
            for key in batches.tables_of(self._store, batch):
                self._searched[batches.TABLES] += 1
                made = batches.succeed_table(self._store, key, self._subject, self._announced.id)
                if made is not None:
                    self._journal.write_succeeded(made)
                    self._tell(f"{key}: {made.rows} rows removed")
            batches.tell_results(self._store, batch, self._journal.progress.objects)
            batches.delete_succeeded(self._store, batch, self._journal.progress.objects)
        for batch in found:
            self._erase_databases(batch)

    def _erase_databases(self, batch: Batch) -> None:
        subject = self._subject
        for said_by, sink in batches.databases_of(batch):
            self._searched["databases of batch predictions"] += 1
            for each in batches.rows_in_database(sink, subject, said_by):
                if each not in self._journal.progress.tables:
                    self._journal.write(tables=(*self._journal.progress.tables, each))
                prediction_tables.delete_postgres(sink, each.table, subject.field, subject.values)
                self._tell(f"{each.database}: {each.rows} rows removed of {each.table}")

    def _derived(self) -> Iterator[Found]:
        return derived.search(
            self._store, self._address, self._application, self._reach, self._subject, self._journal.progress
        )

    def _erase_derived(self) -> None:
        """Behind snapshots and predictions: what was made of these goes with them."""
        derived.change_state(self._store, self._application, Mentions(self._subject))
        for kind, key, cleaned in self._derived():
            self._searched[kind] += 1
            if cleaned is not None:
                self._journal.replace(key, cleaned)

    def _left(self) -> int:
        """Rows that a second search finds, also in data sets that were made meanwhile."""
        self._reach = reach_of(self._store, self._application, self._declared)
        left = sum(cleaned.rows for _, _, cleaned in self._search() if cleaned is not None)
        left += sum(batches.rows_left(self._store, batch, self._subject) for batch in self._batches())
        left += sum(ingested_rows.rows_left(self._store, name, self._subject) for name in self._reach.data_sets)
        left += sum(max(1, cleaned.rows) for _, _, cleaned in self._derived() if cleaned is not None)
        marks = self._marks()
        for manifest in self._manifests():
            left += len(snapshots.without_values(self._store, manifest, marks[manifest["name"]]))
            if not snapshots.is_erased(manifest):
                left += sum(snapshots.rows_of(self._address, manifest, self._subject).values())
        if left:
            raise PermanentError(f"{left} rows came while they were deleted: run it again, it goes on")
        return left

    def _notes(self) -> Iterator[str]:
        keyless = Keyless(frozenset(self._keyless), dict(self._keyless_parts), self._unread)
        return notes_of(self._store, self._application, self._reach, self._subject, self._journal.progress, keyless)
