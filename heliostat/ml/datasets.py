"""Snapshots of data: what a workload's data function returns, how it is kept, and how a training reads it.

A snapshot is immutable and named by its content. Below its key lie the Parquet files of the splits (`train.parquet`; where a
split is more than one file holds, `train/rows-<first>-<end>.parquet`), a profile of each, `statistics.json`, `schema.json`
and, written last, `manifest.json`, which names the files: without a manifest there is no snapshot.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from heliostat.ml import dataset_statistics
from heliostat.ml.snapshots import told
from heliostat.ml.snapshots.digest import content_digest
from heliostat.ml.snapshots.parts import SplitCheck, parts_of
from heliostat.ml.snapshots.profiling import keep_profiles
from heliostat.ml.snapshots.reader import Snapshot
from heliostat.ml.snapshots.splits import FileSplit, Split, TableSplit
from heliostat.ml.snapshots.writer import SplitWriter
from heliostat.ml.tasks.base import Kind, is_list, wrong_label
from heliostat.ml.tasks.evaluation import kind_of
from heliostat.spec.data_sets import DataSource, Parent
from heliostat.spec.tasks import DeclaredTask
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore
from heliostat.systems.references import is_whole
from heliostat.systems.scratch import scratch_folder

__all__ = ["DataSource", "Parent", "Parts", "Snapshot", "Tables", "check"]

SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Tables:
    """The data of one snapshot, split; all three with the same columns."""

    train: pa.Table
    validation: pa.Table
    test: pa.Table
    label: str
    """The column to predict."""
    notes: tuple[str, ...] = ()
    """What was left out and why, with counts: kept in the manifest."""
    sources: tuple[DataSource, ...] = ()
    """What it was made of: kept with how it was made."""
    parents: tuple[Parent, ...] = ()
    """Snapshots that it was made of: they are kept as long as it is, and show what was made of them."""

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        return iter((("train", self.train), ("validation", self.validation), ("test", self.test)))


@dataclass(frozen=True)
class Parts:
    """The data of one snapshot where memory does not hold them, split; all parts with the same columns.

    A split is an iterable of `pyarrow.Table` or `pyarrow.RecordBatch`, a `pyarrow.dataset.Dataset` or a `ray.data.Dataset`,
    whose rows are taken in their order, or a function without arguments that returns one of these. A column may be of the type
    null in parts that have no value of it, but not in the first. The same rows are the same snapshot, whatever the parts.

    Memory holds a part, and about 0.5 GiB besides. The disk of the node that makes the snapshot (`TMPDIR`) holds its Parquet
    files until all are in the object store, and 32 bytes for each distinct value of one column. A file a day, for example:

        def snapshot(parameters):
            def days(first, last):
                for day in range(first, last):
                    yield pyarrow.parquet.read_table(f"/data/{day:03}.parquet")

            return Parts(lambda: days(0, 300), lambda: days(300, 330), lambda: days(330, 365), label="late")
    """

    train: Any
    validation: Any
    test: Any
    label: str
    """The column to predict."""
    notes: Sequence[str] = ()
    """As in `Tables`. It is read after the last part: what makes parts may add to a list."""
    sources: Sequence[DataSource] = ()
    """As in `Tables`, and read after the last part too."""
    parents: Sequence[Parent] = ()
    """The same."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter((("train", self.train), ("validation", self.validation), ("test", self.test)))


def check(data: Tables | Parts, task: DeclaredTask = None) -> None:
    """Whether the data can be a snapshot, for the task that the workload declares. Parts are made for it, and iterators are
    used up; what a task asks of splits as wholes is looked at where a snapshot of them is saved, of tables here too.

    Raises:
        PermanentError: with every reason why not.
    """
    checks = _checks(data.label, task)
    for split, source in data:
        for number, part in parts_of(split, source):
            if part.num_rows:
                checks[split].add(number, part)
    _require(checks)
    if isinstance(data, Tables):
        _require_testable({split: TableSplit(table) for split, table in data}, data.label, task)


def _checks(label: str, task: DeclaredTask) -> dict[str, SplitCheck]:
    kind = kind_of(task) if task is not None else None
    return {split: SplitCheck(split, label, lambda column: _wrong_label(column, kind)) for split in SPLITS}


def _require_testable(splits: Mapping[str, Split], label: str, task: DeclaredTask) -> None:
    """See that models of a task can be trained and tested on splits; memory holds the label and the columns that it names."""
    if task is None:
        return
    tables = {split: dataset_statistics.columns_for(task, label, rows) for split, rows in splits.items()}
    if reasons := [*kind_of(task).wrong_tables(tables, label)]:
        raise PermanentError("the data cannot be a snapshot: " + "; ".join(reasons))


def _require(checks: Mapping[str, SplitCheck]) -> None:
    empty = [f"the {split} split is empty" for split, found in checks.items() if not found.rows]
    if reasons := empty + _mistakes(checks):
        raise PermanentError("the data cannot be a snapshot: " + "; ".join(reasons))


def _mistakes(checks: Mapping[str, SplitCheck]) -> list[str]:
    """Why the rows that were seen cannot be a snapshot, whatever follows them."""
    first = next((found for found in checks.values() if found.schema is not None), None)
    if first is None or first.schema is None:
        return []
    reasons = [
        f"the column {field.name!r} is of type {field.type}: it must be of numbers, text, booleans, times or lists of these"
        for field in first.schema
        if not _is_kept(field.type)
    ]
    for found in checks.values():
        reasons += found.reasons(first.split, first.schema)
    return reasons


def _is_kept(kind: pa.DataType) -> bool:
    """Whether a snapshot can hold a column of this type, and give it back as it was."""
    if pa.types.is_dictionary(kind):
        return _is_kept(kind.value_type) and not pa.types.is_dictionary(kind.value_type)
    if is_list(kind):
        return _is_kept(kind.value_type) and not pa.types.is_dictionary(kind.value_type)
    return bool(
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )


def _wrong_label(label: pa.ChunkedArray, kind: Kind[Any] | None) -> Counter[str]:
    """Why models cannot be judged by labels, and by how many of them."""
    return Counter(wrong_label(kind, label))


def save(
    data: Tables | Parts,
    name: str,
    store: ObjectStore,
    tell: Callable[[str], None] = lambda text: None,
    task: DeclaredTask = None,
    hold: Callable[[Mapping[str, Split]], None] = lambda splits: None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Keep `data` as a snapshot of the data set `name` and return its manifest; one that is there is adopted as it is.

    Killed at any moment, nothing of it is read: the manifest comes last, and the next attempt writes the same rows anew.

    The values alone name it. What is told of the label is told as the task has it, also of one that is adopted. `hold` is
    called with the splits before anything is stored, and raises where they are not to become a snapshot. `more` is what else
    the manifest says. Of columns that it names as `personal` neither statistics nor schema, which are shown, have values.

    Raises:
        PermanentError: the splits or the parts do not fit together, or their label is none of the task.
    """
    with scratch_folder() as folder:
        splits: Mapping[str, TableSplit | FileSplit]
        splits = _written(data, folder, tell, task) if isinstance(data, Parts) else _in_memory(data, task)
        _require_testable(splits, data.label, task)
        hold(splits)
        tell("computing the digest")
        digest = content_digest(data.label, splits)
        prefix = f"datasets/{name}/{digest}"
        found: dict[str, Any] = {}
        if store.exists(f"{prefix}/manifest.json"):
            found = json.loads(store.get(f"{prefix}/manifest.json"))
        if found and ("origin" not in found or is_whole(store, name, digest)):
            if erased := found.get("erased"):
                raise PermanentError(
                    f"the data are the snapshot {digest[:12]} of {name}, of which a person's rows were deleted (erasure "
                    f"{erased['erasure']}): take them out of the source as well"
                )
            found = told.without_personal_values(store, found, (more or {}).get("personal", ()))
            _tell_label(store, f"{prefix}/statistics.json", splits, data.label, task)
            keep_profiles(store, name, digest, splits, data.label)
            return found
        tell("storing the snapshot")
        files = {split: _stored(split, rows, folder, prefix, store) for split, rows in splits.items()}
        tell("computing the statistics")
        personal = (more or {}).get("personal", ())
        put_json(store, f"{prefix}/statistics.json", dataset_statistics.of(splits, data.label, folder, task, personal))
        put_json(store, f"{prefix}/schema.json", dataset_statistics.schema_of(splits["train"], data.label, personal))
        keep_profiles(store, name, digest, splits, data.label)
    manifest = {
        "name": name,
        "digest": digest,
        "uri": store.uri(prefix),
        "label": data.label,
        "rows": {split: rows.rows for split, rows in splits.items()},
        "columns": {field.name: str(field.type) for field in splits["train"].schema},
        "files": files,
        "notes": list(data.notes),
        "statisticsUri": store.uri(f"{prefix}/statistics.json"),
        "schemaUri": store.uri(f"{prefix}/schema.json"),
        **(more or {}),
    }
    put_json(store, f"{prefix}/manifest.json", manifest)
    return manifest


def _tell_label(store: ObjectStore, key: str, splits: Mapping[str, Split], label: str, task: DeclaredTask) -> None:
    """Write the statistics of a snapshot that is adopted anew where they are of the label as another task has it."""
    if task is None:
        return
    known = json.loads(store.get(key))
    labels = {split: dataset_statistics.label_of(rows, label, task) for split, rows in splits.items()}
    if any(known[split].get("label") != found for split, found in labels.items()):
        put_json(store, key, {split: {**known[split], "label": found} for split, found in labels.items()})


def _in_memory(tables: Tables, task: DeclaredTask) -> dict[str, TableSplit]:
    check(tables, task)
    return {split: TableSplit(_storable(table)) for split, table in tables}


def _written(parts: Parts, folder: Path, tell: Callable[[str], None], task: DeclaredTask) -> dict[str, FileSplit]:
    """The parts in Parquet files, checked on the way; once something is wrong, they are only checked."""
    checks = _checks(parts.label, task)
    splits: dict[str, FileSplit] = {}
    for split, source in parts:
        writer: SplitWriter | None = None
        for number, part in parts_of(split, source):
            if not part.num_rows:
                continue
            kept = checks[split].add(number, part.replace_schema_metadata(None))
            if _mistakes(checks):
                continue
            kept = _storable(kept)
            writer = writer or SplitWriter(_folder(folder, split), kept.schema)
            if writer.add(kept):
                tell(f"reading the data: {checks[split].rows:,} rows of the {split} split")
        if writer is not None:
            splits[split] = writer.close()
    _require(checks)
    return splits


def _stored(split: str, rows: TableSplit | FileSplit, folder: Path, prefix: str, store: ObjectStore) -> list[str]:
    """Put a split's files into the store. A file is named by its rows, so that attempts that cut otherwise do not mix."""
    if isinstance(rows, TableSplit):
        writer = SplitWriter(_folder(folder, split), rows.schema)
        writer.add(rows.table)
        rows = writer.close()
    keys = []
    for file in rows.files:
        alone = len(rows.files) == 1
        keys.append(f"{split}.parquet" if alone else f"{split}/rows-{file.first:012d}-{file.first + file.rows:012d}.parquet")
        store.put_file(f"{prefix}/{keys[-1]}", file.path)
    return keys


def _folder(folder: Path, split: str) -> Path:
    found = folder / split
    found.mkdir()
    return found


def _storable(table: pa.Table) -> pa.Table:
    """With the types that Parquet gives back as they were: it has no time of whole seconds."""
    schema = pa.schema(
        field.with_type(pa.timestamp("ms", field.type.tz)) if str(field.type).startswith("timestamp[s") else field
        for field in table.schema
    )
    return table.cast(schema)


def put_json(store: ObjectStore, key: str, value: object) -> None:
    """Store `value` as readable JSON."""
    store.put(key, told.content_of(value))
