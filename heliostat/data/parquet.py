"""Profiles of Parquet files, a row group's column at a time: memory holds no row group where nothing is correlated."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.data.columns import ColumnBuilder, is_text
from heliostat.data.profiles import Profile
from heliostat.data.profiling import PIECE_ROWS, Measures, ProfileBuilder, with_columns


def profile_parquet(files: str | Path | Sequence[str | Path], measures: Measures | None = None) -> Profile:
    """The profile of the rows of all files.

    Raises:
        ValueError: there is no file, or the label is no column of one.
    """
    paths = [files] if isinstance(files, str | Path) else list(files)
    if not paths:
        raise ValueError("there is no file to make a profile of: give one Parquet file at least")
    wanted = measures or Measures()
    if wanted.correlations or wanted.label is not None:
        return _by_rows(paths, wanted)
    with ThreadPoolExecutor(wanted.threads) as pool:
        return Profile.merged([_by_columns(path, wanted, pool) for path in paths])


def _by_rows(paths: Sequence[str | Path], measures: Measures) -> Profile:
    with ProfileBuilder(measures) as builder:
        for path in paths:
            with _opened(path) as file:
                if not file.metadata.num_rows:
                    builder.add(file.schema_arrow.empty_table())
                for batch in file.iter_batches(PIECE_ROWS, use_threads=measures.threads > 1):
                    builder.add(pa.Table.from_batches([batch]))
    return builder.profile()


def _by_columns(path: str | Path, measures: Measures, pool: ThreadPoolExecutor) -> Profile:
    """Each column by itself, in the thread that is free: nothing has to wait for another column."""
    own, opened = threading.local(), []
    with _opened(path) as first:
        schema, rows, groups = first.schema_arrow, first.metadata.num_rows, first.num_row_groups

    def column(name: str) -> ColumnBuilder:
        if not hasattr(own, "file"):
            own.file = _opened(path)
            opened.append(own.file)
        builder = ColumnBuilder(measures.distinct)
        for group in range(groups):
            values = own.file.read_row_group(group, [name], use_threads=False)[name]
            step = len(values) if is_text(schema.field(name).type) else PIECE_ROWS
            for start in range(0, len(values), max(step, 1)):
                builder.add(values.slice(start, step))
        if not groups:
            builder.add(schema.empty_table()[name])
        return builder

    try:
        return with_columns(rows, dict(zip(schema.names, pool.map(column, schema.names), strict=True)))
    finally:
        for file in opened:
            file.close()


def _opened(path: str | Path) -> pq.ParquetFile:
    """A file whose texts are read as dictionaries, as they mostly lie there."""
    schema = pq.read_schema(path)
    return pq.ParquetFile(path, read_dictionary=[field.name for field in schema if is_text(field.type)])
