"""Joins predictions with the labels that came for them, in memory that does not grow with their number.

Both are cut into partitions by a hash of the request's id, on disk; a partition is joined as a whole. A row is written
and read once, so the time is that of the rows, and the memory that of a partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from heliostat.data.codes import coded
from heliostat.monitoring.hashing import partitions_of
from heliostat.monitoring.labels import LABELS
from heliostat.monitoring.logged import COMMON
from heliostat.monitoring.windows import micros, to_micros
from heliostat.spec.base import Model, is_empty

_PARTITION_ROWS: Final = 500_000
_MOST_PARTITIONS: Final = 512
"""Each is two open files."""
_ROW_BITS: Final = 31


class JoinCounts(Model):
    """What became of each prediction and of each label."""

    predictions: int = 0
    """Rows that were answered, each once."""
    repeated_predictions: int = 0
    """Rows that were answered again under the same request id and row; the newest answer counts."""
    labelled: int = 0
    """Predictions with a label."""
    labels: int = 0
    """Rows of labels that were joined, with those below."""
    unknown: int = 0
    """Labels of no prediction that was read: it never was, was not logged, or is older than what was read."""
    repeated: int = 0
    """Labels that were there already, with the same value."""
    conflicting: int = 0
    """Labels that another, newer one of the same row replaced."""
    weighed: int = 0
    """Predictions whose label came of a review alone: it has the chance with which the answer was chosen."""
    future: int = 0
    """Labels that became known after now; they are left out."""
    delays: dict[str, float] = Field(default_factory=dict, exclude_if=is_empty)
    """After how many seconds labels came, of those that say when: quantiles; empty where none does."""
    premature: int = 0
    """Labels that became known before their prediction was made; they count, and clocks are apart or the label leaked."""
    premature_seconds: float = 0.0
    """How long before, at most."""

    @property
    def coverage(self) -> float | None:
        """The share of predictions that have a label; None without predictions."""
        return self.labelled / self.predictions if self.predictions else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is odd, in words."""
        told = {
            f"{self.unknown} labels are of no prediction that was read: it never was, is not logged or is older": self.unknown,
            f"{self.repeated} labels were sent again and change nothing": self.repeated,
            f"{self.conflicting} labels contradict a newer one of the same row, which counts": self.conflicting,
            f"{self.future} labels became known in the future and are left out: clocks are apart": self.future,
            f"{self.premature} labels became known up to {self.premature_seconds:.0f} s before their prediction: clocks are "
            "apart, or the label was known already": self.premature,
            f"{self.repeated_predictions} rows were answered again under the same request id, the newest answer counts": (
                self.repeated_predictions
            ),
        }
        return tuple(text for text, count in told.items() if count)


def partitions_for(rows: int) -> int:
    """How many partitions so many rows need, a power of two."""
    return min(_MOST_PARTITIONS, 1 << max(0, (rows - 1) // _PARTITION_ROWS).bit_length())


class Join:
    """Takes predictions and labels in any order and in parts; a folder on disk holds them until they are joined.

    Args:
        folder: An empty folder of its own; whoever made it removes it.
        rows: About how many predictions and labels there will be.
        now: The time by our clock.
        tolerance: How far clocks may be apart without being told so.
    """

    def __init__(self, folder: Path, rows: int, now: datetime, tolerance: timedelta = timedelta(seconds=60)) -> None:
        self.counts = JoinCounts()
        """Of what was joined so far."""
        self._now, self._tolerance = to_micros(now), int(tolerance.total_seconds() * 1_000_000)
        count = partitions_for(rows)
        self._predictions = _Partitions(folder / "predictions", count)
        self._labels = _Partitions(folder / "labels", count)
        self._order = 0

    def add_predictions(self, table: pa.Table) -> None:
        """Take predictions: `request_id`, `row`, `time` and whatever else is to be had beside the label."""
        self._predictions.add(table)

    def add_labels(self, table: pa.Table) -> None:
        """Take labels of the schema `LABELS`: of several of a row the newest counts, of those without a time the last."""
        order = pa.array(np.arange(self._order, self._order + table.num_rows))
        self._order += table.num_rows
        self._labels.add(table.append_column("order", order))

    def joined(self) -> Iterator[pa.Table]:
        """The predictions, each once, with `label`, `known` and `label_weight`, null where none came.

        A label's weight is one over the chance that the answer was chosen for a review, 1 where its truth came by another way
        as well: then it was known in any case. `counts` is whole after the last.
        """
        for predictions, labels in zip(self._predictions.tables(), self._labels.tables(), strict=True):
            if predictions is not None or labels is not None:
                found = self._of_partition(predictions, labels)
                if found is not None:
                    yield found

    def _of_partition(self, predictions: pa.Table | None, labels: pa.Table | None) -> pa.Table | None:
        is_empty, labels = predictions is None, _no_labels() if labels is None else labels
        predictions = _no_predictions() if predictions is None else predictions
        self._count(labels=labels.num_rows)
        labels = self._without_future(labels)
        rows, label_keys = _keys(predictions, labels)
        times = predictions["time"].cast(pa.int64()).to_numpy()
        newest = _last_of_each(rows, times)
        self._count(predictions=len(newest), repeated_predictions=len(rows) - len(newest))
        predictions, rows, times = predictions.take(newest), rows[newest], times[newest]
        label_rows, weights = self._settled(label_keys, labels)
        places = np.searchsorted(rows, label_keys[label_rows])  # `newest` is in the order of the keys
        hit = np.append(rows, -1)[places] == label_keys[label_rows]
        self._count(unknown=int((~hit).sum()))
        return (
            None
            if is_empty
            else self._with_labels(predictions, times, labels.take(label_rows[hit]), places[hit], weights[hit])
        )

    def _without_future(self, labels: pa.Table) -> pa.Table:
        known, said = _known(labels)
        future = said & (known > self._now + self._tolerance)
        if not future.any():
            return labels
        self._count(future=int(future.sum()))
        return labels.filter(pa.array(~future))

    def _settled(self, keys: NDArray[np.int64], labels: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The row of the newest label of each key, in the order of the keys, and its weight; NaN where it has none."""
        known, said = _known(labels)
        age = np.where(said, known, np.iinfo(np.int64).min)
        order = np.lexsort((labels["order"].to_numpy(), age, keys))
        ordered, values = keys[order], labels["label"].to_numpy()[order]
        last = _ends(ordered)
        run = np.cumsum(np.concatenate([[0], last[:-1]])) if len(last) else np.zeros(0, dtype=np.int64)
        same = values == values[last][run] if len(last) else np.zeros(0, dtype=bool)
        replaced = ~last
        self._count(repeated=int((replaced & same).sum()), conflicting=int((replaced & ~same).sum()))
        weights = labels["weight"].to_numpy()[order]
        plain = np.bincount(run, np.isnan(weights)) > 0 if len(last) else same
        return np.asarray(order[last], dtype=np.int64), np.where(plain, np.nan, weights[last])

    def _with_labels(
        self, predictions: pa.Table, times: NDArray[np.int64], labels: pa.Table, places: NDArray[np.int64],
        weights: NDArray[np.float64],
    ) -> pa.Table:  # fmt: skip
        values = np.full(predictions.num_rows, np.nan)
        values[places] = labels["label"].to_numpy()
        known, said = _known(labels)
        when = np.zeros(predictions.num_rows, dtype=np.int64)
        is_known = np.zeros(predictions.num_rows, dtype=bool)
        when[places], is_known[places] = known, said
        early = (times[places] - known)[said & (known < times[places] - self._tolerance)]
        self._count(labelled=len(places), premature=len(early), weighed=int(np.isfinite(weights).sum()))
        if len(early):
            most = max(self.counts.premature_seconds, float(early.max()) / 1e6)
            self.counts = self.counts.model_copy(update={"premature_seconds": most})
        labelled = np.zeros(predictions.num_rows, dtype=bool)
        labelled[places] = True
        counted = np.ones(predictions.num_rows)
        counted[places] = np.where(np.isfinite(weights), weights, 1.0)
        found = predictions.append_column("label", pa.array(values, mask=~labelled)).append_column(
            LABELS.field("known"), pa.array(when, mask=~is_known).cast(LABELS.field("known").type)
        )
        return found.append_column("label_weight", pa.array(counted, mask=~labelled))

    def _count(self, **more: int) -> None:
        self.counts = self.counts.model_copy(update={name: getattr(self.counts, name) + count for name, count in more.items()})


class _Partitions:
    """Tables cut by the hash of their request ids, each part in a file of its own."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True)
        self._paths = [folder / f"{number}.arrow" for number in range(count)]
        self._writers: dict[int, Any] = {}
        self._schema: pa.Schema | None = None

    def add(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        self._schema = self._schema or table.schema
        table = table.cast(self._schema) if table.schema != self._schema else table
        if len(self._paths) == 1:
            self._write(0, table)
            return
        numbers = partitions_of(table["request_id"], len(self._paths))
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=len(self._paths)))
        table = table.take(pa.array(order))
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if end > start:
                self._write(number, table.slice(start, end - start))

    def _write(self, number: int, table: pa.Table) -> None:
        if number not in self._writers:
            self._writers[number] = pa.ipc.new_stream(str(self._paths[number]), table.schema)
        self._writers[number].write_table(table)

    def tables(self) -> Iterator[pa.Table | None]:
        """Each part, None for one without rows; its file is gone when it is read."""
        for writer in self._writers.values():
            writer.close()
        for path in self._paths:
            if not path.exists():
                yield None
                continue
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
            path.unlink()
            yield table


def _keys(predictions: pa.Table, labels: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each request id and row of both tables, the same for the same."""
    ids = pa.chunked_array([*predictions["request_id"].chunks, *labels["request_id"].chunks], pa.string())
    rows = [np.asarray(table["row"].to_numpy(), dtype=np.int64) for table in (predictions, labels)]
    keys = (coded(ids).codes << _ROW_BITS) + np.concatenate(rows)
    return keys[: predictions.num_rows], keys[predictions.num_rows :]


def _last_of_each(keys: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of the newest of each key, in the order of the keys."""
    order = np.lexsort((times, keys))
    return np.asarray(order[_ends(keys[order])], dtype=np.int64)


def _ends(ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which are the last of their run."""
    last = np.ones(len(ordered), dtype=bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    return last


def _known(labels: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    return micros(labels["known"])


def _no_predictions() -> pa.Table:
    return COMMON.empty_table()


def _no_labels() -> pa.Table:
    return LABELS.append(pa.field("order", pa.int64())).empty_table()


def delays_of(joined: pa.Table) -> NDArray[np.float32]:
    """After how many seconds each label came, of those that say when."""
    delays = pc.subtract(joined["known"].cast(pa.int64()), joined["time"].cast(pa.int64())).drop_null()
    return np.asarray(delays.to_numpy() / 1e6, dtype=np.float32)


def delay_quantiles(delays: NDArray[np.float32]) -> dict[str, float]:
    """After how many seconds a half, 90 % and 99 % of labels were there."""
    if not len(delays):
        return {}
    levels = (0.5, 0.9, 0.99)
    found = np.quantile(delays, levels)
    return {f"{level:g}": float(value) for level, value in zip(levels, found, strict=True)}
