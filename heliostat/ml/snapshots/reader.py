"""A snapshot as trainings and jobs read it: whole, a share of it, in batches, or as a data set of Ray Data."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.ml.snapshots.splits import ROW_GROUP_ROWS, FileSplit, PartFile, row_groups
from heliostat.spec.addresses import StoreAddress
from heliostat.systems import ray_data
from heliostat.systems.objects import open_store
from heliostat.systems.references import home_of


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

        Memory holds the part and one row group, the disk one of the split's files. Interleaved parts look alike, which
        contiguous ones do not where the data is ordered: LightGBM's workers each find the bins of some columns in their own
        part.

        Raises:
            ValueError: there is no such part.
        """
        return pa.concat_tables(self._pieces(split, columns, shard, shards))

    def batches(
        self,
        split: str,
        columns: Sequence[str] | None = None,
        rows: int = ROW_GROUP_ROWS,
        shard: int = 0,
        shards: int = 1,
    ) -> Iterator[pa.Table]:
        """The same a batch of `rows` at a time, the last of fewer. Memory holds a batch and one row group.

        Raises:
            ValueError: there is no such part, or no such batch.
        """
        if rows < 1:
            raise ValueError(f"a batch of {rows} rows was asked for: it has 1 or more")
        return _batches(self._pieces(split, columns, shard, shards), rows)

    def dataset(self, split: str, columns: Sequence[str] | None = None) -> Any:
        """A split as a `ray.data.Dataset`, for jobs that map over it on the cluster; its rows keep their order.

        A batch as a data frame has Arrow's types, with `<NA>` where a value is missing, which scikit-learn and LightGBM do not
        take for one: ask for `batch_format="pyarrow"` where there are texts. A training's worker reads its share by `batches`.
        """
        return ray_data.read_parquet(self.home(), [f"{self.key}/{file}" for file in self.files(split)], columns)

    def home(self) -> StoreAddress:
        """The store that has the files of its rows: another one's, of a snapshot that is here by reference."""
        return home_of(self.manifest(), self.store)

    def files(self, split: str) -> list[str]:
        """The Parquet files of a split, below the snapshot's key."""
        # Snapshots from before a split could have several say nothing of them.
        found: list[str] = self.manifest().get("files", {}).get(split, [f"{split}.parquet"])
        return found

    def _pieces(self, split: str, columns: Sequence[str] | None, shard: int, shards: int) -> Iterator[pa.Table]:
        if not 0 <= shard < shards:
            raise ValueError(f"part {shard} of {shards} parts was asked for: they are counted from 0 to {shards - 1}")
        return _shard(self._row_groups(split, columns), shard, shards)

    def _row_groups(self, split: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        store = open_store(self.home())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{split}.parquet")
            for file in self.files(split):
                store.get_file(f"{self.key}/{file}", path)
                yield from row_groups(path, columns)


def fetched(key: str, store: StoreAddress, folder: Path) -> dict[str, FileSplit]:
    """The splits of a snapshot as files in `folder`, which exists."""
    snapshot, found = Snapshot(key, store), {}
    for split in snapshot.manifest()["rows"]:
        files, first = [], 0
        for number, file in enumerate(snapshot.files(split)):
            path = folder / f"{split}-{number:05d}.parquet"
            open_store(snapshot.home()).get_file(f"{key}/{file}", path)
            rows = pq.read_metadata(path).num_rows
            files.append(PartFile(path, first, rows))
            first += rows
        found[split] = FileSplit(pq.read_schema(files[0].path), tuple(files), {})
    return found


def _shard(groups: Iterable[pa.Table], shard: int, shards: int) -> Iterator[pa.Table]:
    """Every `shards`-th row from row `shard` on, counted over all groups."""
    before = 0
    for group in groups:
        first = (shard - before) % shards
        before += group.num_rows
        yield group.take(pa.array(range(first, group.num_rows, shards), pa.int64())) if shards > 1 else group


def _batches(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    count = 0
    for piece in pieces:
        while count + piece.num_rows >= rows:
            yield pa.concat_tables([*held, piece.slice(0, rows - count)])
            piece, held, count = piece.slice(rows - count), [], 0
        if piece.num_rows:
            held.append(piece)
            count += piece.num_rows
    if held:
        yield pa.concat_tables(held)
