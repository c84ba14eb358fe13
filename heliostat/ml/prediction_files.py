"""From a spool of the prediction log to Parquet in the object store.

`predictions/<application>/date=YYYY-MM-DD/<spool's name>.parquet`, one row a prediction: `request_id`, `row` (in the
request), `time` (UTC), `version`, `latency_ms` (of the request); `input_<field>` and `prediction_<field>`, whose types come
from the contract (`heliostat.ml.log_columns`), so that all files of one contract have the same schema; and, where these do
not say all of a row, `input` and `prediction`, which have it as JSON, and `misfit`, why a cell is empty although something
was sent. Storing the same spool again writes the same objects.

A line of a spool that is no entry goes to `predictions-unread/<application>/<spool's name>.jsonl`, with the reason.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pydantic_core import from_json, to_json

from heliostat.ml.log_cells import cells_of
from heliostat.ml.log_columns import Columns
from heliostat.ml.log_parquet import Row, batch_of, schema_of
from heliostat.ml.spools import Head
from heliostat.spec.base import Name
from heliostat.spec.resources import StoreAddress
from heliostat.systems.objects import open_store

_BATCH_ROWS: Final = 8_192
_YIELD_EVERY: Final = 16
_SHOWN: Final = 200


@dataclass
class Stored:
    """What became of a spool."""

    predictions: int = 0
    misfits: dict[str, str] = field(default_factory=dict)
    """What does not fit a column, the first such of each."""
    unread: dict[int, str] = field(default_factory=dict)
    """Why a line was no entry, by its number, from 1."""


def store(spool: Path, application: Name, address: StoreAddress, columns: Columns) -> Stored:
    """Store a spool that nobody writes any more, then delete it. `columns`: for one that has none in its first line.

    Raises:
        PermanentError, RetryableError: the store does not take it now; the spool stays.
        OSError: it cannot be read.
    """
    head = Head.read(spool)
    columns = head.columns if head else columns
    done = Stored()
    unread: list[bytes] = []
    objects = open_store(address)
    with ExitStack() as files:
        days: dict[str, _Day] = {}
        with spool.open("rb") as source:
            for row in _rows(source, columns, done, unread):
                day = f"{row.time:%Y-%m-%d}"
                if day not in days:
                    days[day] = _Day(files.enter_context(tempfile.NamedTemporaryFile(suffix=".parquet")).name, columns)
                days[day].add(row, done)
        for day, each in sorted(days.items()):
            each.close(done)
            objects.put_file(f"predictions/{application}/date={day}/{spool.stem}.parquet", each.path)
    if unread:
        objects.put(f"predictions-unread/{application}/{spool.stem}.jsonl", b"".join(unread))
    spool.unlink(missing_ok=True)
    return done


def rows_asked(entry: Any) -> list[Any]:
    """The rows of a spool's entry, as they were sent."""
    if "inputs" in entry:  # of an older release
        return list(entry["inputs"])
    return list(entry["request"]["rows"]) if entry["many"] else [entry["request"]]


def _rows_answered(entry: Any) -> list[Any]:
    if "predictions" in entry:
        return list(entry["predictions"])
    return list(entry["answer"]["rows"]) if entry["many"] else [entry["answer"]]


def _rows(source: IO[bytes], columns: Columns, done: Stored, unread: list[bytes]) -> Iterator[Row]:
    """The predictions in a spool. A torn last line is left out: its writer was killed over it."""
    for number, line in enumerate(source, 1):
        if number % _YIELD_EVERY == 0:
            time.sleep(0)  # a replica seals beside its answers: those go first
        if not line.endswith(b"\n") or (number == 1 and Head.of(line)):
            continue
        try:
            yield from _rows_of(from_json(line), columns)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            done.unread[number] = f"{type(error).__name__}: {error}"[:_SHOWN]
            unread.append(to_json({"reason": done.unread[number], "line": line.decode("latin-1")}) + b"\n")


def _rows_of(entry: Any, columns: Columns) -> list[Row]:
    inputs = [f"input_{column.name}" for column in columns.input]
    predictions = [f"prediction_{column.name}" for column in columns.prediction]
    at = dt.datetime.fromtimestamp(entry["time"], dt.UTC)
    request_id, version, latency = str(entry["request_id"]), str(entry["version"]), float(entry["latency_ms"])
    return [
        Row(
            request_id, number, at, version, latency, asked, answered,
            cells_of(asked, columns.input, inputs), cells_of(answered, columns.prediction, predictions),
        )
        for number, (asked, answered) in enumerate(zip(rows_asked(entry), _rows_answered(entry), strict=True))
    ]  # fmt: skip


class _Day:
    """The file of one day, while it is written."""

    def __init__(self, path: str, columns: Columns) -> None:
        import pyarrow.parquet as pq

        self.path = Path(path)
        self._columns = columns
        self._schema = schema_of(columns)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Row] = []

    def add(self, row: Row, done: Stored) -> None:
        """Write a prediction, sooner or later."""
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH_ROWS:
            self._write(done)

    def close(self, done: Stored) -> None:
        """Write what waits."""
        if self._waiting:
            self._write(done)
        self._writer.close()

    def _write(self, done: Stored) -> None:
        rows, self._waiting = self._waiting, []
        self._writer.write_batch(batch_of(rows, self._columns, self._schema))
        done.predictions += len(rows)
        for row in rows:
            for name, reason in (*row.input.misfits.items(), *row.prediction.misfits.items()):
                done.misfits.setdefault(name, reason)
