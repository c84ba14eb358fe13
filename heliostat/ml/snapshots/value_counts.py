"""How often each value of a column is there, in order, also where memory does not hold them: sorted in runs on disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MEMORY: Final = 32 << 20
"""Bytes of values and counts that are held; what is beyond them goes to disk."""
_BATCHES: Final = 64
"""So many batches, each of one run, fill the memory."""


class ValueCounts:
    """Counts of values, added in any order and given back in the values' own; `folder` takes the runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._runs: list[Path] = []

    def add(self, values: pa.Array, counts: pa.Array) -> None:
        """Count each of `values` so many times."""
        if not len(values):
            return
        self._pending.append(pa.table({"value": values, "count": counts}))
        self._pending_bytes += self._pending[-1].nbytes
        if self._pending_bytes > MEMORY:
            whole = _summed(self._pending)
            self._pending, self._pending_bytes = [whole], whole.nbytes
            if whole.nbytes > MEMORY // 2:
                self._spill(whole)

    def merged(self) -> Iterator[pa.Table]:
        """Columns `value`, ascending and each once, and `count`; in pieces. Called once, last."""
        if not self._runs:
            if self._pending:
                yield _summed(self._pending)
            return
        if self._pending:
            self._spill(_summed(self._pending))
        runs = [_Run(path) for path in self._runs]
        while runs := [run for run in runs if run.fill()]:
            # Beyond the least of these, a run whose next batch was not read yet may have more of the same.
            limit = min((run.last for run in runs if run.goes_on), default=None)
            yield _summed([run.take(limit) for run in runs])
        for path in self._runs:
            path.unlink()

    def _spill(self, whole: pa.Table) -> None:
        path = self._folder / f"run-{len(self._runs):05d}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, whole.schema) as writer:
            writer.write_table(whole, max_chunksize=max(1, whole.num_rows * (MEMORY // _BATCHES) // whole.nbytes))
        self._runs.append(path)
        self._pending, self._pending_bytes = [], 0


class _Run:
    """A sorted run, whose batches are looked at one by one."""

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.OSFile(str(path)))
        self._next = 0
        self._head = pa.Table.from_batches([], self._reader.schema)

    @property
    def goes_on(self) -> bool:
        """Whether there are batches behind the one that is looked at."""
        return self._next < int(self._reader.num_record_batches)

    @property
    def last(self) -> Any:
        """The greatest value of that batch."""
        return self._head["value"][-1].as_py()

    def fill(self) -> bool:
        """Look at the next batch where this one is used up; whether there was one."""
        while not self._head.num_rows and self.goes_on:
            self._head = pa.Table.from_batches([self._reader.get_batch(self._next)])
            self._next += 1
        return bool(self._head.num_rows)

    def take(self, limit: Any) -> pa.Table:
        """The batch's values up to `limit`, all of them where it is None; they are used up."""
        values, count = self._head["value"], int(self._head.num_rows)
        if limit is not None:
            count = bisect_right(range(count), limit, key=lambda place: values[place].as_py())
        taken, self._head = self._head.slice(0, count), self._head.slice(count)
        return taken


def _summed(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables' values in order, each once. Equal ones are found side by side: half the time of a hash table."""
    whole = pa.concat_tables(tables).combine_chunks()
    values = whole["value"]
    # Numpy's sort takes the tables' own order into account.
    by_numpy = pa.types.is_floating(values.type)
    order = pa.array(np.argsort(values.to_numpy(), kind="stable")) if by_numpy else pc.sort_indices(values)
    values, counts = values.take(order), whole["count"].take(order).to_numpy()
    changes = pc.not_equal(values[1:], values[:-1]).to_numpy()
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    return pa.table({"value": values.take(pa.array(starts)), "count": np.add.reduceat(counts, starts)}).combine_chunks()


def counted(piece: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """The values that are there, each once, and how often; nothing of those that are missing."""
    return tuple(pc.value_counts(piece.drop_null()).flatten())
