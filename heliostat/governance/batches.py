"""Takes a person's rows out of predictions that were made beforehand: parts, the rows of queries behind them, and tables."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from heliostat.governance.subjects import Subject
from heliostat.spec.batch import PostgresSink, Sink
from heliostat.spec.erasure import ErasedObject, ErasedTable
from heliostat.spec.predictions import TOP, Current, Declared, Result, top
from heliostat.systems import prediction_tables
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import ObjectMissingError, ObjectStore, change, contents

PARTS = "parts of batch predictions"
ROWS = "rows of queries for batch predictions"
TABLES = "tables of batch predictions"


@dataclass(frozen=True)
class Batch:
    """An application's predictions of one name."""

    name: str
    declared: Mapping[str, Sink]
    """Where its runs put them, by the object that says so."""


def batches_of(store: ObjectStore, application: str, others: Collection[str] = ()) -> list[Batch]:
    """All that an application ever declared, and `others` by their names."""
    found: dict[str, dict[str, Sink]] = {}
    for info in store.list(TOP):
        parts = info.key.split("/")
        if len(parts) == 4 and parts[2] == "declared":
            declared = Declared.model_validate_json(store.get(info.key))
            if declared.application == application or parts[1] in others:
                found.setdefault(parts[1], {})[info.key] = declared.sink
    return [Batch(name, sinks) for name, sinks in sorted(found.items())]


def files_of(store: ObjectStore, batch: Batch) -> Iterator[tuple[str, str, bytes]]:
    """Its Parquet files: what each is, its key and its content."""
    for kind, below in ((PARTS, "parts/"), (ROWS, "rows/")):
        for key, content in contents(store, top(batch.name) + below):
            yield kind, key, content


def has_column(content: bytes, name: str) -> bool:
    """Whether a Parquet file that can be read has a column."""
    return name in pq.read_schema(io.BytesIO(content)).names


def tables_of(store: ObjectStore, batch: Batch) -> list[str]:
    """The keys of its SQLite files."""
    return [info.key for info in store.list(f"{top(batch.name)}results/") if info.key.endswith(".sqlite")]


def rows_in_table(store: ObjectStore, key: str, subject: Subject) -> int:
    """How many rows of the person a SQLite file has."""
    with TemporaryDirectory(prefix="heliostat-erasing-") as folder:
        path = Path(folder, "table.sqlite")
        store.get_file(key, path)
        return prediction_tables.delete_sqlite(path, subject.field, subject.values)


def succeed_table(store: ObjectStore, key: str, subject: Subject, erasure: str) -> ErasedObject | None:
    """Put a SQLite file without the person's rows beside one that has some, and return what has its place; else None.

    Replicas know a table by its digest: it is not written over, so that none sees one without the other.
    """
    with TemporaryDirectory(prefix="heliostat-erasing-") as folder:
        path = Path(folder, "table.sqlite")
        store.get_file(key, path)
        before = sha256_of(path)
        rows = prediction_tables.delete_sqlite(path, subject.field, subject.values)
        if not rows:
            return None
        successor = f"{key.rpartition('/')[0]}/table-{erasure}.sqlite"
        store.put_file(successor, path)
        return ErasedObject(key=key, rows=rows, before=before, after=sha256_of(path), successor=successor)


def tell_results(store: ObjectStore, batch: Batch, erased: Sequence[ErasedObject]) -> None:
    """Have all that names these objects name what has their place, with the rows that there are now."""
    parts = {each.key for each in erased if each.key.startswith(f"{top(batch.name)}parts/")}
    rows = {key: pq.read_metadata(io.BytesIO(store.get(key))).num_rows for key in parts if store.exists(key)}
    tables = {each.key: (each.successor, each.after or "") for each in erased if each.successor}

    def told(result: Result) -> Result:
        changed = tuple(each.model_copy(update={"rows": rows.get(each.key, each.rows)}) for each in result.parts)
        table, digest = tables.get(result.table, (result.table, result.table_sha256))
        given = {"parts": changed, "rows": sum(each.rows for each in changed), "table": table, "table_sha256": digest}
        return result.model_copy(update=given) if rows or tables else result

    def told_result(content: bytes) -> bytes:
        return told(Result.model_validate_json(content)).model_dump_json(indent=2).encode()

    def told_current(content: bytes) -> bytes:
        current = Current.model_validate_json(content)
        return current.model_copy(update={"result": told(current.result)}).model_dump_json(indent=2).encode()

    for info in list(store.list(top(batch.name))):
        kind = info.key.removeprefix(top(batch.name)).partition("/")[0]
        if not info.key.endswith(".json") or kind not in ("results", "current", "made"):
            continue
        with suppress(ObjectMissingError):  # somebody removed it beside us
            # A run may put a newer one there at any moment: that is what is told then, and not what was read before.
            change(store, info.key, told_result if kind == "results" else told_current)


def delete_succeeded(store: ObjectStore, batch: Batch, erased: Sequence[ErasedObject]) -> None:
    """Delete the SQLite files that another one has the place of."""
    for each in erased:
        if each.successor and each.key.startswith(top(batch.name)):
            store.delete(each.key)


def databases_of(batch: Batch) -> list[tuple[str, PostgresSink]]:
    """The PostgreSQL views that it has or had, by the object that says so."""
    return [(key, sink) for key, sink in batch.declared.items() if isinstance(sink, PostgresSink)]


def rows_in_database(sink: PostgresSink, subject: Subject, said_by: str) -> list[ErasedTable]:
    """The tables of a view with rows of the person.

    Raises:
        PermanentError, RetryableError: the database refuses or does not answer; the text says what to do where it is gone.
    """
    try:
        found = prediction_tables.count_postgres(sink, subject.field, subject.values)
    except (PermanentError, RetryableError) as error:
        gone = f"where the database is gone for good, delete {said_by}, which names it"
        raise type(error)(f"{error}; all else is done: run it again when it can be reached from here; {gone}") from None
    where = f"{sink.database.host}:{sink.database.port}/{sink.database.database}"
    return [ErasedTable(database=where, table=table, rows=rows) for table, rows in found.items() if rows]


def rows_left(store: ObjectStore, batch: Batch, subject: Subject) -> int:
    """How many rows of the person its SQLite files and its databases have."""
    databases = (rows_in_database(sink, subject, said_by) for said_by, sink in databases_of(batch))
    in_databases = sum(each.rows for found in databases for each in found)
    return in_databases + sum(rows_in_table(store, key, subject) for key in tables_of(store, batch))


def notes(batch: Batch, subject: Subject, keyless: bool, erased: Sequence[ErasedObject]) -> Iterator[str]:
    """What cannot be searched or removed, and what to do about it."""
    own = top(batch.name)
    if keyless:
        yield f"{own} has files without {subject.field}: whose their rows are is not known, keep it in `columns`"
    yield (
        f"a run of {batch.name} that is under way, or from a source that still has the rows, predicts them again: "
        "take them out there, and run this again when none runs"
    )
    if any(each.successor and each.key.startswith(own) for each in erased):
        yield f"replicas that answer from {batch.name} have its table of before until they look again (`refreshSeconds`)"
    if databases_of(batch):
        yield f"of rows deleted for {batch.name}, PostgreSQL's files, log and backups keep what its own housekeeping leaves"
