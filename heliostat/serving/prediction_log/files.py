"""From a spool of the prediction log to Parquet in the object store: `python -m heliostat.serving.prediction_log.files SPOOL`.

`predictions/<application>/date=YYYY-MM-DD/<spool's name>.parquet`, one row a prediction: `request_id`, `row` (in the
request), `time` (UTC), `version`, `latency_ms` (of the request); `input_<field>` and `prediction_<field>`, whose types come
from the contract (`heliostat.serving.prediction_log.columns`), so that all files of one contract have the same schema; and,
where these do not say all of a row, `input` and `prediction`, which have it as JSON, and `misfit`, why a cell is empty though
something was sent. Where steps are behind the model, `model_prediction_<field>` and `model_prediction` are what it answered
before them, and `changes` what each of them did. Storing the same spool again writes the same objects.

A line of a spool that is no entry goes to `predictions-unread/<application>/<spool's name>.jsonl`, with the reason.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json, to_json

from heliostat.serving.prediction_log.arrow import Batch, record_batch, schema_of
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.sealing import Sealed
from heliostat.serving.prediction_log.spools import Head
from heliostat.spec.review import ReviewItem, choose, items_prefix
from heliostat.systems.erasures import ErasedPeople, announced
from heliostat.systems.objects import ObjectStore, open_store

_BATCH_ROWS: Final = 32_768
"""Of a row group of Parquet."""
_READ_BYTES: Final = 1 << 18
"""Of a spool, at once."""
_NO_ENTRY: Final = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What is raised over a line that is no entry."""
_SHOWN: Final = 200
_DAY: Final = 86_400_000_000
"""In microseconds."""
_MOST_DAYS: Final = 2_900_000
"""Till the year 9910; a day beyond is no time of a request."""


def store(spool: Path, own: Head) -> Sealed:
    """Store a spool that nobody writes any more where `own` says, then delete it. `own` has the columns of one that says none.

    Raises:
        PermanentError, RetryableError: the store does not take it now; the spool stays.
        OSError: it cannot be read.
    """
    head = Head.read(spool)
    objects = open_store(own.store)
    known = announced(objects, own.application)
    while True:
        sealed = _stored(spool, own, head, objects, ErasedPeople(known))
        now = announced(objects, own.application)
        if now == known:
            break
        # A deletion that was announced since may have looked for rows before these were there.
        known = now
    spool.unlink(missing_ok=True)
    return sealed


def _stored(spool: Path, own: Head, head: Head | None, objects: ObjectStore, erased: ErasedPeople) -> Sealed:
    """Store a spool, which stays, without the rows of people; what was stored of it before is written over."""
    unread: dict[int, str] = {}
    aside: list[bytes] = []
    items: list[ReviewItem] = []
    days: dict[int, _Day] = {}
    keeps_all, reviewed = not erased, (head or own).review is not None
    with ExitStack() as files:
        with spool.open("rb") as source:
            for number, line, entry in _read(source, has_head=head is not None):
                if isinstance(entry, Exception):
                    unread[number] = f"{type(entry).__name__}: {entry}"[:_SHOWN]
                    if not erased.are_in(line):
                        aside.append(to_json({"reason": unread[number], "line": line.decode("latin-1")}) + b"\n")
                    continue
                day = days.get(entry.day)
                if day is None:
                    file = files.enter_context(tempfile.NamedTemporaryFile(suffix=".parquet"))
                    day = days[entry.day] = _Day(file.name, (head or own).columns)
                rows = range(len(entry.asked)) if keeps_all else entry.without(erased)
                day.add(entry, rows)
                if reviewed:
                    items += _items(entry, rows, head or own)
        for number, day in sorted(days.items()):
            day.close()
            date = dt.date(1970, 1, 1) + dt.timedelta(days=number)
            objects.put_file(f"predictions/{own.application}/date={date:%Y-%m-%d}/{spool.stem}.parquet", day.path)
    chosen = b"".join(item.model_dump_json().encode() + b"\n" for item in items)
    _put_lines(objects, f"{items_prefix(own.application)}{spool.stem}.jsonl", chosen, erased)
    _put_lines(objects, f"predictions-unread/{own.application}/{spool.stem}.jsonl", b"".join(aside), erased)
    misfits = {name: why for day in days.values() for name, why in day.misfits.items()}
    return Sealed(predictions=sum(day.rows for day in days.values()), misfits=misfits, unread=unread)


def _put_lines(objects: ObjectStore, key: str, lines: bytes, erased: ErasedPeople) -> None:
    """Store lines, where there are any; those that are there may be of a person who was not erased then."""
    if lines:
        objects.put(key, lines)
    elif erased:
        objects.delete(key)


def _read(source: Iterable[bytes], has_head: bool) -> Iterator[tuple[int, bytes, _Entry | Exception]]:
    """The whole lines of a spool, each with its number from 1, and its entry or why it is none.

    Many lines are read at once, as a JSON list, which is a third of the time; where that is none they are one by one.
    """
    lines: list[tuple[int, bytes]] = []
    size = 0
    for number, line in enumerate(source, 1):
        if not line.endswith(b"\n") or (number == 1 and has_head):  # a torn line: its writer was killed over it
            continue
        lines.append((number, line))
        size += len(line)
        if size >= _READ_BYTES:
            yield from _entries(lines)
            lines, size = [], 0
    yield from _entries(lines)


def _entries(lines: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, _Entry | Exception]]:
    found: Sequence[_Entry | Exception]
    try:
        values = from_json(b"[%b]" % b",".join([line for _, line in lines]), cache_strings="keys")
        found = [_Entry.of(value) for value in values]
    except _NO_ENTRY:
        found = ()
    if len(found) != len(lines):
        found = [_entry_of(line) for _, line in lines]
    for (number, line), entry in zip(lines, found, strict=True):
        yield number, line, entry


def _entry_of(line: bytes) -> _Entry | Exception:
    try:
        return _Entry.of(from_json(line))
    except _NO_ENTRY as error:
        return error


def _items(entry: _Entry, rows: Sequence[int], head: Head) -> Iterator[ReviewItem]:
    """The answers of a request that people are to look at."""
    if head.review is None:
        return
    for row in rows:
        asked, answered, at = entry.asked[row], entry.answered[row], entry.time / 1e6
        item = choose(head.review, entry.request_id, row, at, entry.version, asked, answered, head.logged)
        if item is not None:
            yield item


@dataclass(slots=True)
class _Entry:
    """One request in a spool."""

    request_id: str
    time: int
    """Unix time in microseconds."""
    day: int
    """Days since 1970-01-01, UTC."""
    version: str
    latency_ms: float
    asked: list[Any]
    answered: list[Any]
    model_answered: list[Any]
    """Before the steps behind the model."""
    changes: list[list[dict[str, Any]]] | None
    """None where no step changed anything."""

    @classmethod
    def of(cls, line: Any) -> _Entry:
        """What a line says.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, OverflowError: it is no entry.
        """
        asked, answered = line["inputs"], line["predictions"]
        before, changes = line.get("model_predictions", answered), line.get("changes")
        parts = [asked, answered]
        if before is not answered or changes is not None:
            parts += [before, asked if changes is None else changes]
        for part in parts:
            if type(part) is not list or len(part) != len(asked):
                raise ValueError("it has not as many answers as rows")
        request_id, version, time = line["request_id"], line["version"], int(line["time"] * 1e6)
        day = time // _DAY
        if type(request_id) is not str or type(version) is not str or abs(day) > _MOST_DAYS:
            raise ValueError("its request_id, version or time is none")
        return cls(request_id, time, day, version, float(line["latency_ms"]), asked, answered, before, changes)

    def without(self, erased: ErasedPeople) -> Sequence[int]:
        """The numbers of the rows that are not of people whose rows are not stored any more."""
        return [row for row, asked in enumerate(self.asked) if not erased.has(asked, self.time / 1e6)]


class _Day:
    """The file of one day, while it is written."""

    def __init__(self, path: str, columns: Columns) -> None:
        import pyarrow.parquet as pq

        self.path = Path(path)
        self._columns = columns
        self._schema = schema_of(columns)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._batch = Batch()
        self.rows = 0
        """Written so far."""
        self.misfits: dict[str, str] = {}
        """An example of what does not fit, by column."""

    def add(self, entry: _Entry, kept: Sequence[int]) -> None:
        """Write those rows of a request, sooner or later."""
        count, batch = len(kept), self._batch
        if count == 1:
            self._add_one(entry, kept[0])
            return
        batch.request_id += [entry.request_id] * count
        batch.row += kept
        batch.time += [entry.time] * count
        batch.version += [entry.version] * count
        batch.latency_ms += [entry.latency_ms] * count
        batch.asked += [entry.asked[row] for row in kept]
        batch.answered += [entry.answered[row] for row in kept]
        if self._columns.postprocessed:
            batch.model_answered += [entry.model_answered[row] for row in kept]
            batch.changes += [entry.changes[row] if entry.changes else [] for row in kept]
        if len(batch) >= _BATCH_ROWS:
            self._write()

    def _add_one(self, entry: _Entry, row: int) -> None:
        """What `add` does of one row, the usual request, without a list for each of its columns."""
        batch = self._batch
        batch.request_id.append(entry.request_id)
        batch.row.append(row)
        batch.time.append(entry.time)
        batch.version.append(entry.version)
        batch.latency_ms.append(entry.latency_ms)
        batch.asked.append(entry.asked[row])
        batch.answered.append(entry.answered[row])
        if self._columns.postprocessed:
            batch.model_answered.append(entry.model_answered[row])
            batch.changes.append(entry.changes[row] if entry.changes else [])
        if len(batch.row) >= _BATCH_ROWS:
            self._write()

    def close(self) -> None:
        """Write what waits."""
        if len(self._batch):
            self._write()
        self._writer.close()

    def _write(self) -> None:
        batch, self._batch = self._batch, Batch()
        found, misfits = record_batch(batch, self._columns, self._schema)
        self._writer.write_batch(found)
        self.rows += len(batch)
        self.misfits = {**misfits, **self.misfits}


class _Without(MetaPathFinder):
    """Has a module not found."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """None, which leaves it to others, but for that one."""
        if fullname == self._name:
            raise ModuleNotFoundError(f"{fullname} is not wanted here")


def main() -> None:
    """Store the spool that is named, and say on stdout what became of it; see `heliostat.serving.prediction_log.sealing`."""
    sys.meta_path.insert(0, _Without("pandas"))  # pyarrow would import it, half a second, and has no use for it here
    head = Head.of(sys.stdin.buffer.read())
    assert head is not None  # noqa: S101 - see `sealing.seal`
    try:
        sys.stdout.write(store(Path(sys.argv[1]), head).model_dump_json())
    except Exception as error:  # whatever it is, it is told in a line and tried again
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
