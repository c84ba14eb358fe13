"""Writes a split's parts into Parquet files of bounded size, whatever the size of the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.ml.snapshots import splits
from heliostat.ml.snapshots.splits import FileSplit, PartFile
from heliostat.systems.errors import explained

ROW_GROUP_BYTES: Final = 64 << 20
"""Of a row group in memory: one of wide rows has fewer rows."""
FILE_ROWS: Final = 1 << 20
FILE_BYTES: Final = 512 << 20
"""Of a file's rows in memory; its last row group may go beyond."""


class SplitWriter:
    """Holds the rows of one row group; the rest is in files below `folder`, which exists."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        self._files: list[PartFile] = []
        self._null_counts = dict.fromkeys(schema.names, 0)
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.Table] = []
        self._pending_rows = self._pending_bytes = self._file_rows = self._file_bytes = 0

    def add(self, part: pa.Table) -> bool:
        """Write rows, or hold them until there are enough of them; whether a file became full.

        Raises:
            PermanentError: the folder's disk is full.
        """
        files = len(self._files)
        while part.num_rows:
            rows, size = splits.ROW_GROUP_ROWS - self._pending_rows, ROW_GROUP_BYTES - self._pending_bytes
            count = leading_rows(part, rows, size) or (0 if self._pending else 1)
            self._hold(part.slice(0, count))
            part = part.slice(count)
            if part.num_rows or count == rows:
                self._flush()
        return len(self._files) > files

    def close(self) -> FileSplit:
        """What was written, whole."""
        self._flush()
        self._end_file()
        return FileSplit(self._schema, tuple(self._files), self._null_counts)

    def _hold(self, part: pa.Table) -> None:
        if part.num_rows:
            self._pending.append(part)
            self._pending_rows += part.num_rows
            self._pending_bytes += bytes_of(part)

    def _flush(self) -> None:
        if not self._pending:
            return
        group = pa.concat_tables(self._pending)
        path = self._folder / f"{len(self._files):05d}.parquet"
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", coerce_timestamps=None)
            self._writer.write_table(group, row_group_size=group.num_rows)
        except OSError as error:
            raise explained(error, f"write {path}") from error
        for name in self._null_counts:
            self._null_counts[name] += group[name].null_count
        self._file_rows += group.num_rows
        self._file_bytes += self._pending_bytes
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if self._file_rows >= FILE_ROWS or self._file_bytes >= FILE_BYTES:
            self._end_file()

    def _end_file(self) -> None:
        if self._writer is None:
            return
        path = self._folder / f"{len(self._files):05d}.parquet"
        try:
            self._writer.close()
        except OSError as error:
            raise explained(error, f"write {path}") from error
        before = self._files[-1].first + self._files[-1].rows if self._files else 0
        self._files.append(PartFile(path, before, self._file_rows))
        self._writer, self._file_rows, self._file_bytes = None, 0, 0


def leading_rows(part: pa.Table, rows: int, size: int) -> int:
    """How many of a part's first rows fit where `rows` and `size` bytes are left: all, or a half as often as needed; or 0."""
    count = min(int(part.num_rows), rows)
    while count and bytes_of(part.slice(0, count)) > size:
        count //= 2
    return count


def bytes_of(part: pa.Table) -> int:
    """What the rows take in memory, without the dictionaries that slices share."""
    return sum(
        chunk.indices.nbytes if pa.types.is_dictionary(chunk.type) else chunk.nbytes
        for column in part.columns
        for chunk in column.chunks
    )
