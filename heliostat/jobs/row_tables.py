"""Tables of files with rows: Parquet, CSV and lines of JSON, and many of them as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliostat.jobs.row_errors import of_file
from heliostat.jobs.unpacked import is_blank, opened
from heliostat.spec.ingestion import ColumnType, FilesSource
from heliostat.systems.errors import PermanentError

_TYPES: Final[dict[ColumnType, pa.DataType]] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date32[day]": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
}


def table_of_file(source: FilesSource, uri: str, content: bytes) -> pa.Table:
    """The rows of a file. An empty cell of a CSV file is a missing value, whatever its column's type.

    Raises:
        PermanentError: it cannot be read or unpacked, is in another encoding, or has a column twice.
    """
    try:
        found = _parsed(source, uri, content)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        why = of_file(error, is_text=source.format != "parquet")
        raise PermanentError(f"{uri} is no whole {source.format} file: {why}") from None
    if twice := sorted({name for name in found.column_names if found.column_names.count(name) > 1}):
        raise PermanentError(f"{uri} has several columns {', '.join(map(repr, twice))}: each needs a name of its own")
    if source.format != "csv":
        return found
    if coded := [field.name for field in found.schema if pa.types.is_binary(field.type)]:
        raise PermanentError(
            f"{uri} has text in {', '.join(map(repr, coded))} that is not of {source.encoding}: name the `encoding` of the "
            "source, as latin-1"
        )
    return _without_empty_texts(found)


def together(tables: Iterable[tuple[str, pa.Table]], types: bool = False) -> pa.Table:
    """All rows as one table; a column that some lack is empty there.

    Args:
        tables: each with where it is from.
        types: whether the source could say the types of columns.

    Raises:
        PermanentError: they do not fit together; with the columns, and where they differ.
    """
    found = [(uri, table) for uri, table in tables if table.num_columns]
    try:
        return pa.concat_tables([table for _, table in found], promote_options="permissive")
    except pa.ArrowException as error:
        fix = "mend them, or say the type in `types` of the source" if types else "give a column the same type in all of them"
        apart = _apart([(uri, table.schema) for uri, table in found]) or [str(error)]
        raise PermanentError(f"the rows do not fit together: {'; '.join(apart)}; {fix}") from None


def in_parts(tables: Iterable[pa.Table], size: int) -> Iterator[list[pa.Table]]:
    """Tables one after another, as many together as make up `size` bytes."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(each.nbytes for each in held) >= size:
            yield held
            held = []
    if held:
        yield held


def require_typed(source: FilesSource, table: pa.Table) -> None:
    """See that each column whose type the source says is there.

    Raises:
        PermanentError: one is not.
    """
    if lacking := sorted({*source.types} - {*table.column_names}):
        there = ", ".join(table.column_names) or "none"
        raise PermanentError(f"`types` of {source.uri} name {', '.join(map(repr, lacking))}: the columns are {there}")


def _apart(schemas: list[tuple[str, pa.Schema]]) -> list[str]:
    """Of each column with types that do not fit together, two of them and where they are."""
    first = dict[str, tuple[str, pa.DataType]]()
    found = dict[str, str]()
    for uri, schema in schemas:
        for field in schema:
            before, kind = first.setdefault(field.name, (uri, field.type))
            try:
                merged = pa.unify_schemas([pa.schema([(field.name, kind)]), pa.schema([field])], promote_options="permissive")
            except pa.ArrowException:
                found.setdefault(field.name, f"{field.name!r} is {kind} in {before}, and {field.type} in {uri}")
            else:
                first[field.name] = (uri if pa.types.is_null(kind) else before, merged.field(0).type)
    return list(found.values())


def _parsed(source: FilesSource, uri: str, content: bytes) -> pa.Table:
    if source.format == "parquet":
        return pq.read_table(pa.BufferReader(content))
    if is_blank(uri, content):
        return pa.table({})
    types = {name: _TYPES[kind] for name, kind in source.types.items()}
    if source.format == "csv":
        return _csv(source, uri, content, types)
    from pyarrow import json as lines

    with opened(uri, content) as text:
        return lines.read_json(text, parse_options=lines.ParseOptions(explicit_schema=_schema(types)))


def _schema(types: dict[str, pa.DataType]) -> pa.Schema | None:
    return pa.schema(list(types.items())) if types else None


def _csv(source: FilesSource, uri: str, content: bytes, types: dict[str, pa.DataType]) -> pa.Table:
    try:
        with opened(uri, content) as text:
            return _csv_of(source, text, types, use_threads=True)
    except pa.ArrowInvalid:
        # One thread alone counts the rows, and says which one it is.
        with opened(uri, content) as text:
            return _csv_of(source, text, types, use_threads=False)


def _csv_of(source: FilesSource, text: BinaryIO, types: dict[str, pa.DataType], use_threads: bool) -> pa.Table:
    from pyarrow import csv

    reading = csv.ReadOptions(encoding=source.encoding, use_threads=use_threads)
    parsing, converting = csv.ParseOptions(delimiter=source.separator), csv.ConvertOptions(column_types=types)
    return csv.read_csv(text, reading, parsing, converting)


def _without_empty_texts(table: pa.Table) -> pa.Table:
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(number)
            empty = pc.equal(column, "")
            if pc.any(empty).as_py():
                table = table.set_column(number, field, pc.if_else(empty, pa.scalar(None, pa.string()), column))
    return table
