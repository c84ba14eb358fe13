"""Snapshots of data: what a workload's data function returns, how it is kept, and how a training reads it.

A snapshot is immutable and named by its content. Below its key lie `train.parquet`, `validation.parquet`, `test.parquet`,
`statistics.json`, `schema.json` and, written last, `manifest.json`: without a manifest there is no snapshot.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliostat.ml import dataset_statistics
from heliostat.spec.resources import StoreAddress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore, open_store

__all__ = ["Snapshot", "Tables", "check"]

SPLITS: Final = ("train", "validation", "test")
ROW_GROUP_ROWS: Final = 65_536
"""Rows of a Parquet row group: the unit that is read at once."""


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

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        return iter((("train", self.train), ("validation", self.validation), ("test", self.test)))


def check(tables: Tables) -> None:
    """Whether the tables can be a snapshot.

    Raises:
        PermanentError: with every reason why not.
    """
    reasons = [f"the {split} split is empty" for split, table in tables if not table.num_rows]
    reasons += [
        f"the column {field.name!r} is of type {field.type}: a snapshot holds numbers, text, booleans and times"
        for field in tables.train.schema
        if not _is_kept(field.type)
    ]
    for split, table in tables:
        if table.schema != tables.train.schema:
            found, expected = _named(table), _named(tables.train)
            reasons.append(f"the columns of the {split} split differ from the train split's: {found} and {expected}")
        if tables.label not in table.column_names:
            reasons.append(f"the {split} split has no column {tables.label!r}, the label")
        elif problem := _wrong_label(table[tables.label]):
            reasons.append(f"the label {tables.label!r} {problem} of the {split} split")
    if reasons:
        raise PermanentError("the data cannot be a snapshot: " + "; ".join(reasons))


def _is_kept(kind: pa.DataType) -> bool:
    """Whether a snapshot can hold a column of this type, and give it back as it was."""
    if pa.types.is_dictionary(kind):
        return _is_kept(kind.value_type) and not pa.types.is_dictionary(kind.value_type)
    return bool(
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )


def _wrong_label(label: pa.ChunkedArray) -> str:
    """Why models cannot be judged by a label; empty where they can."""
    kind = label.type
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return f"is of type {kind}, it must be a number or a boolean: give classes numbers from 0 on; so in the rows"
    if label.null_count:
        return f"is missing in {label.null_count} rows"
    endless = int(pc.sum(pc.invert(pc.is_finite(label))).as_py() or 0) if pa.types.is_floating(kind) else 0
    return f"is no finite number in {endless} rows" if endless else ""


def content_digest(tables: Tables) -> str:
    """SHA-256 of the values themselves: the same on every machine and for every way of chunking or compressing them."""
    digest = hashlib.sha256(f"label {tables.label}\n".encode())
    for split, table in tables:
        digest.update(f"split {split} {table.num_rows}\n".encode())
        for name in table.column_names:
            _hash_column(digest, name, table[name])
    return digest.hexdigest()


def save(tables: Tables, name: str, store: ObjectStore) -> dict[str, Any]:
    """Keep `tables` as a snapshot of the data set `name` and return its manifest; one that is there is adopted as it is.

    Raises:
        PermanentError: the tables do not fit together.
    """
    check(tables)
    tables = _storable(tables)
    digest = content_digest(tables)
    prefix = f"datasets/{name}/{digest}"
    if store.exists(f"{prefix}/manifest.json"):
        found: dict[str, Any] = json.loads(store.get(f"{prefix}/manifest.json"))
        return found
    with tempfile.TemporaryDirectory() as folder:
        for split, table in tables:
            path = Path(folder, f"{split}.parquet")
            pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, compression="zstd", coerce_timestamps=None)
            store.put_file(f"{prefix}/{split}.parquet", path)
    put_json(store, f"{prefix}/statistics.json", dataset_statistics.of(tables))
    put_json(store, f"{prefix}/schema.json", dataset_statistics.schema_of(tables.train, tables.label))
    manifest = {
        "name": name,
        "digest": digest,
        "uri": store.uri(prefix),
        "label": tables.label,
        "rows": {split: table.num_rows for split, table in tables},
        "columns": {field.name: str(field.type) for field in tables.train.schema},
        "notes": list(tables.notes),
        "statisticsUri": store.uri(f"{prefix}/statistics.json"),
        "schemaUri": store.uri(f"{prefix}/schema.json"),
    }
    put_json(store, f"{prefix}/manifest.json", manifest)
    return manifest


def _storable(tables: Tables) -> Tables:
    """With the types that Parquet gives back as they were: it has no time of whole seconds."""
    schema = pa.schema(
        field.with_type(pa.timestamp("ms", field.type.tz)) if str(field.type).startswith("timestamp[s") else field
        for field in tables.train.schema
    )
    return replace(tables, **{split: table.cast(schema) for split, table in tables})


def _named(table: pa.Table) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in table.schema)


def put_json(store: ObjectStore, key: str, value: object) -> None:
    """Store `value` as readable JSON."""
    store.put(key, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


@dataclass(frozen=True)
class Snapshot:
    """A snapshot to read from, wherever it lies."""

    key: str
    store: StoreAddress

    def manifest(self) -> dict[str, Any]:
        """Its manifest, as JSON."""
        found: dict[str, Any] = json.loads(open_store(self.store).get(f"{self.key}/manifest.json"))
        return found

    def table(self, split: str, columns: Sequence[str] | None = None, shard: int = 0, shards: int = 1) -> pa.Table:
        """A split, or one of `shards` equal parts of it: every `shards`-th row from row `shard` on.

        Memory holds the part and one row group. Interleaved parts look alike, which contiguous ones do not where the data
        is ordered: LightGBM's workers each find the bins of some columns in their own part.
        """
        store = open_store(self.store)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{split}.parquet")
            store.get_file(f"{self.key}/{split}.parquet", path)
            file = pq.ParquetFile(path)
            names = list(columns) if columns is not None else None
            parts, before = [], 0
            for number in range(file.num_row_groups):
                group = file.read_row_group(number, columns=names)
                first = (shard - before) % shards
                parts.append(group.take(pa.array(range(first, group.num_rows, shards), pa.int64())) if shards > 1 else group)
                before += group.num_rows
            return pa.concat_tables(parts)


def _hash_column(digest: hashlib._Hash, name: str, column: pa.ChunkedArray) -> None:
    kind = column.type
    digest.update(f"column {name} {kind} {column.null_count}\n".encode())
    if column.null_count:
        digest.update(pc.is_valid(column).to_numpy().astype("u1").tobytes())
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = [value.encode() if value is not None else b"" for value in column.to_pylist()]
        digest.update(pa.array(map(len, text), pa.int64()).to_numpy().astype("<i8").tobytes())
        digest.update(b"".join(text))
        return
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif pa.types.is_temporal(column.type):
        column = column.cast(pa.int64() if column.type.bit_width == 64 else pa.int32())
    values = pc.fill_null(column, 0) if column.null_count else column
    array = values.to_numpy()
    digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
