"""The rows of a site: all Parquet and CSV files below a folder, in the order of their names, as one table."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv, parquet

from heliostat.systems.errors import PermanentError

_CHUNK: Final = 1 << 20


def read(folder: Path, key: bytes) -> tuple[pa.Table, str]:
    """The table, and the digest of its files, keyed with `key`.

    Raises:
        PermanentError: there are no rows, or a file cannot be read or has other columns.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".parquet", ".csv") and path.is_file())
    if not files:
        raise PermanentError(f"{folder} has no .parquet or .csv files: put the site's rows there, or name another --rows")
    tables = [_table(path) for path in files]
    for path, table in zip(files, tables, strict=True):
        if table.schema != tables[0].schema:
            raise PermanentError(f"{path} has other columns than {files[0]}: {_differences(table.schema, tables[0].schema)}")
    whole = pa.concat_tables(tables)
    if not len(whole):
        raise PermanentError(f"the files in {folder} have no rows")
    return whole, _digest(files, folder, key)


def _table(path: Path) -> pa.Table:
    try:
        found = parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise PermanentError(f"{path} cannot be read: {error}") from None
    return found.replace_schema_metadata(None)


def _differences(given: pa.Schema, wanted: pa.Schema) -> str:
    fields = {field.name: str(field.type) for field in given}
    others = {field.name: str(field.type) for field in wanted}
    names = sorted(name for name in fields.keys() | others.keys() if fields.get(name) != others.get(name))
    return (
        ", ".join(f"{name} is {fields.get(name, 'missing')}, not {others.get(name, 'there')}" for name in names)
        or "their order"
    )


def _digest(files: list[Path], folder: Path, key: bytes) -> str:
    keyed = hmac.new(key, digestmod=sha256)
    for path in files:
        keyed.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                keyed.update(chunk)
    return keyed.hexdigest()
