"""The rows of a batch prediction, in parts that are named by their content."""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.jobs.decimals import are_decimals, as_doubles, as_integers
from heliostat.jobs.row_errors import of_column
from heliostat.ml.contracts import Contract, fields_of
from heliostat.ml.datasets import Snapshot
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.batch import ParquetSource, QuerySource, SnapshotSource
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import rows_key
from heliostat.systems import databases
from heliostat.systems.errors import PermanentError
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import Directory, ObjectStore, open_store

_ARROW: Final = {
    float: pa.float64(),
    int: pa.int64(),
    bool: pa.bool_(),
    str: pa.string(),
    dt.datetime: pa.timestamp("us"),
}
"""What a contract's fields are in Arrow, for rows of a database, which may not say."""


@dataclass(frozen=True)
class Part:
    """Some row groups of a Parquet file, one after another."""

    store: str
    """JSON of the store's address."""
    key: str
    first: int
    """The first row group, from 0."""
    groups: int
    rows: int
    digest: str
    """Of the rows."""

    def as_row(self) -> dict[str, Any]:
        """For Ray Data."""
        return asdict(self)


def parts_of(specification: BatchSpecification, contract: Contract[Any, Any]) -> list[Part]:
    """All parts, in the order of the rows.

    Raises:
        PermanentError: there are no rows, or what should hold them is not right.
    """
    match specification.source:
        case SnapshotSource(split=split):
            snapshot, key = Snapshot(specification.dataset_key, specification.store), specification.dataset_key
            # What a killed writer left beside them is none of the snapshot's.
            address, keys = snapshot.home(), [f"{key}/{file}" for file in snapshot.files(split)]
        case ParquetSource(uri=uri):
            address = _address(uri, specification.store)
            keys = [info.key for info in open_store(address).list() if info.key.endswith(".parquet") and info.size]
        case QuerySource():
            address = specification.store
            keys = list(_kept(specification, specification.source, contract))
    parts = [part for key in keys for part in _of_file(address, key, specification)]
    if not parts:
        raise PermanentError(f"{specification.name}: the source has no rows: {specification.source.model_dump_json()}")
    return parts


def _address(uri: str, own: StoreAddress) -> StoreAddress:
    """A store of the source's; where it is in the platform's own bucket, on the same server."""
    top = own.uri.split("/")[:3]
    return own.model_copy(update={"uri": uri}) if top[0] != "file:" and uri.split("/")[:3] == top else StoreAddress(uri=uri)


def _of_file(address: StoreAddress, key: str, specification: BatchSpecification) -> Iterator[Part]:
    """The parts of a file; they begin and end with row groups, which are read at once."""
    with local(open_store(address), key) as path:
        file = pq.ParquetFile(path)
        content = _content(specification, key, path)
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    first, rows = 0, 0
    said = address.model_dump_json()
    for number, size in enumerate(sizes):
        rows += size
        if rows and (rows >= specification.run.part_rows or number == len(sizes) - 1):
            groups = number - first + 1
            digest = hashlib.sha256(f"{content} {first} {groups}".encode()).hexdigest()
            yield Part(said, key, first, groups, rows, digest)
            first, rows = number + 1, 0


def _content(specification: BatchSpecification, key: str, path: Path) -> str:
    """A digest of a file's content: of a snapshot's its own name, which is that of its content."""
    if isinstance(specification.source, SnapshotSource):
        return f"{specification.dataset_key.rpartition('/')[2]} {key.rpartition('/')[2]}"
    return sha256_of(path)


@contextmanager
def local(store: ObjectStore, key: str) -> Iterator[Path]:
    """An object as a file of this node."""
    if isinstance(store, Directory):
        yield store.root / key
        return
    with tempfile.TemporaryDirectory(prefix="heliostat-rows-") as folder:
        path = Path(folder, "rows.parquet")
        store.get_file(key, path)
        yield path


def _kept(specification: BatchSpecification, source: QuerySource, contract: Contract[Any, Any]) -> Iterator[str]:
    """Keep a query's rows as Parquet files, and give their keys: what is predicted is what was read, whoever changes it."""
    store, run = open_store(specification.store), specification.run
    types = _types(contract)
    with databases.reading(source.database, source.query, run.batch_rows) as rows, tempfile.TemporaryDirectory() as folder:
        schema: pa.Schema | None = None
        writer: pq.ParquetWriter | None = None
        path, written = Path(folder, "part.parquet"), 0
        for batch in rows.batches:
            rounded = Counter[str]()
            table = table_of(rows.names, batch, types, schema, rows.types, rounded)
            require_exact(rounded, specification.key, "by which rows are told apart")
            if writer is not None and table.schema != schema:  # it is told by now what a column is of
                writer.close()
                yield _keep(specification.name, store, path)
                writer, written = None, 0
            schema = table.schema
            writer = writer or pq.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(table)
            written += table.num_rows
            if written >= run.part_rows:
                writer.close()
                yield _keep(specification.name, store, path)
                writer, written = None, 0
        if writer is not None:
            writer.close()
            yield _keep(specification.name, store, path)


def _keep(name: str, store: ObjectStore, path: Path) -> str:
    key = rows_key(name, sha256_of(path))
    if not store.exists(key):
        store.put_file(key, path)
    return key


def _types(contract: Contract[Any, Any]) -> dict[str, pa.DataType]:
    """Arrow's types of a contract's fields, where they are plain."""
    found = {}
    for name, field in fields_of(contract).items():
        kinds = {kind for kind in _plain_types(field.annotation) if kind is not type(None)}
        if len(kinds) == 1 and (kind := kinds.pop()) in _ARROW:
            found[name] = _ARROW[kind]
    return found


def _plain_types(annotation: Any) -> Iterator[type]:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(annotation)}
    elif origin is typing.Annotated:
        yield from _plain_types(typing.get_args(annotation)[0])
    elif origin is None:
        yield annotation
    else:
        for each in typing.get_args(annotation):
            yield from _plain_types(each)


def table_of(
    names: Sequence[str], rows: Sequence[Sequence[Any]], types: dict[str, pa.DataType], schema: pa.Schema | None,
    declared: Mapping[str, pa.DataType] | None = None, rounded: Counter[str] | None = None,
) -> pa.Table:  # fmt: skip
    """Rows of a query as a table, with the types that are known, or those of the rows before, as far as these tell them.

    A column of which all is missing has the type that the database declares it with, in `declared`, where it says one.
    Decimals are doubles, unless their type is known to be another; `rounded` counts those that are another number for that.

    Raises:
        PermanentError: the values of a column are not of one type.
    """
    columns = list(zip(*rows, strict=True))
    before = {field.name: field.type for field in schema or () if _is_told(field.type)}
    missing = {name for name, values in zip(names, columns, strict=True) if all(value is None for value in values)}
    said = {name: kind for name, kind in (declared or {}).items() if name in missing}
    known = {**said, **before, **types}
    counted = Counter[str]() if rounded is None else rounded
    return pa.table(
        {name: _column(name, values, known.get(name), counted) for name, values in zip(names, columns, strict=True)}
    )


def require_exact(rounded: Mapping[str, int], names: Sequence[str], what_for: str) -> None:
    """See that no value of some columns is another number as a double.

    Raises:
        PermanentError: one is.
    """
    for name in names:
        if count := rounded.get(name, 0):
            raise PermanentError(
                f"{count:,} values of {name!r}, {what_for}, have more digits than a double holds: CAST it to bigint or text "
                "in the query"
            )


def _is_told(kind: pa.DataType) -> bool:
    """Whether rows tell a column's type for those that follow: not where all of it is missing, nor the decimals of parts that
    were kept before these were doubles."""
    return not pa.types.is_null(kind) and not pa.types.is_decimal(kind)


def _column(name: str, values: Sequence[Any], kind: pa.DataType | None, rounded: Counter[str]) -> pa.Array:
    if are_decimals(values):
        values, kind = _numbers(name, values, kind, rounded)
    try:
        if kind is not None and pa.types.is_timestamp(kind):  # SQLite has them as text
            values = [dt.datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        wanted, why = kind if kind is not None else "one type", of_column(values, kind)
        raise PermanentError(f"the column {name!r} of the query is not {wanted}: {why}; CAST it in the query") from None


def _numbers(
    name: str, values: Sequence[Any], kind: pa.DataType | None, rounded: Counter[str]
) -> tuple[Sequence[Any], pa.DataType | None]:
    """Decimals as numbers of a type, which is that of doubles by default."""
    try:
        if kind is None or pa.types.is_floating(kind):
            values, count = as_doubles(values)
            rounded[name] += count
            return values, kind or pa.float64()
        return (as_integers(values) if pa.types.is_integer(kind) else values), kind
    except (ValueError, OverflowError) as error:
        wanted = kind if kind is not None else pa.float64()
        raise PermanentError(f"the column {name!r} of the query is not {wanted}: {error}; CAST it in the query") from None
