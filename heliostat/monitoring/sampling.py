"""Rows of predictions with their labels, few enough for memory: all of them, or an even share of the requests.

Which requests are kept is decided by their ids alone, so it does not depend on the order in which they come, and a request is
kept with all of its rows or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.data.codes import as_texts
from heliostat.monitoring.hashing import hashes
from heliostat.monitoring.logged import predictions_of
from heliostat.monitoring.windows import micros
from heliostat.spec.tasks import Task

Array = NDArray[Any]
_MOST_ROWS: Final = 1_000_000
_SPREAD: Final = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Labelled:
    """Predictions with their labels, a row each."""

    labels: NDArray[np.float64]
    """NaN where none came, if such rows were asked for."""
    predictions: NDArray[np.float64]
    """`(rows,)`, or `(rows, width)`."""
    requests: NDArray[np.uint64]
    """The hash of each row's request id: rows of one request are alike, and count as one where chance is reckoned."""
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    """Inputs that slices or groups are by."""
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """When each prediction was made, in microseconds since 1970; empty where nobody asks for it."""
    share: float = 1.0
    """Of the requests that are kept."""
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """How much each row counts, one over the chance that its label is known; empty where all count alike."""

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, chosen: NDArray[np.bool_]) -> Labelled:
        """Some of the rows."""
        columns = {name: column.filter(pa.array(chosen)) for name, column in self.columns.items()}
        times = self.times[chosen] if len(self.times) else self.times
        weights = self.weights[chosen] if len(self.weights) else self.weights
        of = (self.labels[chosen], self.predictions[chosen], self.requests[chosen])
        return Labelled(*of, columns, times, self.share, weights)

    def known(self) -> Labelled:
        """The rows that have a label."""
        return self.part(np.isfinite(self.labels))

    @property
    def weighed(self) -> int:
        """How many rows have a weight, where rows count differently."""
        return len(self.weights)


def are_certain(predictions: NDArray[np.float64]) -> bool:
    """Whether each prediction of several classes is one of them, as where answers name it without a probability."""
    return bool(predictions.ndim == 2 and len(predictions) and ((predictions == 0) | (predictions == 1)).all())


class Sample:
    """Takes joined predictions in parts and keeps at most so many labelled rows.

    Args:
        task: The workload's task; None where it declares none.
        columns: Inputs to keep beside.
        most: Rows that fit.
        unlabelled: Whether rows without a label are kept as well.
    """

    def __init__(
        self, task: Task | None, columns: tuple[str, ...] = (), most: int = _MOST_ROWS, unlabelled: bool = False
    ) -> None:
        self.rows = 0
        """Predictions that came, kept or not; those with a label where others are not asked for."""
        self.unpredicted = 0
        """Of the rows that came those whose answer has no prediction that can be read."""
        self._task, self._columns, self._most, self._unlabelled = task, columns, most, unlabelled
        self._bits = 0
        """Half of the requests are kept for each."""
        self._parts: list[Labelled] = []

    def add(self, joined: pa.Table) -> None:
        """Take a part: `request_id`, `time`, `prediction`, `label` and the columns."""
        table = joined if self._unlabelled else joined.filter(pc.is_valid(joined["label"]))
        if not table.num_rows:
            return
        predictions = predictions_of(table["prediction"], self._task)
        whole = np.isfinite(predictions.reshape(len(predictions), -1)).all(axis=1)
        self.unpredicted += int((~whole).sum())
        self.rows += int(whole.sum())
        columns = {name: table[name].combine_chunks() for name in self._columns if name in table.column_names}
        labels = np.asarray(table["label"].to_numpy(), dtype=np.float64)
        times, weights = micros(table["time"])[0], _weights(table)
        part = Labelled(labels, predictions, hashes(table["request_id"]), columns, times, weights=weights)
        self._parts.append(part.part(whole & self._is_kept(part.requests)))
        while sum(map(len, self._parts)) > self._most:
            self._bits += 1
            self._parts = [part.part(self._is_kept(part.requests)) for part in self._parts]

    def _is_kept(self, requests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        # The same bits chose the partition of the join: they are mixed anew, or a sample would be of some partitions alone.
        return (
            np.asarray((requests * _SPREAD) >> np.uint64(64 - self._bits) == 0) if self._bits else np.ones(len(requests), bool)
        )

    def labelled(self) -> Labelled:
        """What is kept."""
        width = self._task.width if self._task is not None else None
        if not self._parts:
            empty = np.empty((0, width)) if width else np.empty(0)
            return Labelled(np.empty(0), empty, np.empty(0, dtype=np.uint64))
        weights = np.concatenate([part.weights for part in self._parts])
        return Labelled(
            np.concatenate([part.labels for part in self._parts]),
            np.concatenate([part.predictions for part in self._parts]),
            np.concatenate([part.requests for part in self._parts]),
            {name: _joined([part.columns[name] for part in self._parts if name in part.columns]) for name in self._columns},
            np.concatenate([part.times for part in self._parts]),
            0.5**self._bits,
            weights if (weights != 1).any() else np.zeros(0),
        )


def _weights(table: pa.Table) -> NDArray[np.float64]:
    """How much each row counts; as one where its label says nothing of a chance."""
    if "label_weight" not in table.column_names:
        return np.ones(table.num_rows)
    return np.asarray(table["label_weight"].fill_null(1.0).to_numpy(), dtype=np.float64)


def _joined(columns: list[pa.Array]) -> pa.Array:
    """Parts of a column as one; of different types as text."""
    kinds = {column.type for column in columns}
    if len(kinds) > 1:
        columns = [as_texts(column) for column in columns]
    return pa.concat_arrays(columns) if columns else pa.nulls(0)
