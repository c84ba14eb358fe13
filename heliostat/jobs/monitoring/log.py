"""Reads an application's prediction log and the labels that came for it, and joins them on disk."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heliostat.ml.ground_truth import prefix
from heliostat.ml.label_files import is_data
from heliostat.monitoring.join import Join, JoinCounts, delay_quantiles, delays_of
from heliostat.monitoring.label_objects import labels_of
from heliostat.monitoring.logged import COMMON, Reading, of_version, read, says_version
from heliostat.monitoring.windows import Micros, micros
from heliostat.spec.base import Name
from heliostat.systems.objects import Directory, ObjectInfo, ObjectMissingError, ObjectStore

PREDICTION: Final = "prediction"
MODEL_PREDICTION: Final = "model_prediction"
"""What the model answered, before the steps behind it; null where there are none."""
_TAKEN: Final = (*COMMON.names, PREDICTION, MODEL_PREDICTION, "label", "known", "label_weight", "order")
"""Names that an input may not have here."""
_ROW_BYTES: Final = 20
"""What a row of the log or of labels takes at least, to reckon how many there are."""
_MOST_SHOWN: Final = 5
_TYPED_A_DAY: Final = 10
"""Files of a day that are looked in for the type of a column."""


@dataclass(frozen=True)
class There:
    """The objects of the log and of labels that a look reads."""

    predictions: tuple[ObjectInfo, ...]
    labels: tuple[ObjectInfo, ...]

    @property
    def digest(self) -> str:
        """Of their names, sizes and times: where it is the same nothing came."""
        named = [f"{each.key} {each.size} {each.modified.timestamp()}" for each in (*self.predictions, *self.labels)]
        return hashlib.sha256("\n".join(named).encode()).hexdigest()

    @property
    def rows(self) -> int:
        """About how many there may be."""
        return sum(each.size for each in (*self.predictions, *self.labels)) // _ROW_BYTES


def there(store: ObjectStore, application: Name, now: datetime, within: timedelta) -> There:
    """What there is of the last days, and a day ahead: clocks may be apart."""
    first = horizon(now, within)
    days = [first + timedelta(days=number) for number in range((now - first).days + 2)]
    wanted = {f"{day:%Y-%m-%d}" for day in days}
    predictions = [
        info
        for info in store.list(f"predictions/{application}/")
        if info.key.endswith(".parquet") and day_of(info.key) in wanted
    ]
    labels = [info for info in store.list(prefix(application)) if is_data(info.key) and info.modified >= first]
    return There(tuple(predictions), tuple(labels))


def day_of(key: str) -> str:
    """The day of a file of the log, as it is written in its key."""
    return key.partition("/date=")[2][:10]


def horizon(now: datetime, within: timedelta) -> datetime:
    """The first moment of the log that is read: files are of a day."""
    return (now - within).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass
class Joined:
    """Predictions with their labels, in a file, and what was odd."""

    path: Path
    reading: Reading
    counts: JoinCounts = field(default_factory=JoinCounts)
    problems: tuple[str, ...] = ()
    times: Micros = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Of each row, in the order of the file."""
    timed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    labelled: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    own: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Which rows the version that is watched answered, or do not say who did: windows are of these alone."""
    version: str = ""
    """Its number."""
    others: dict[str, int] = field(default_factory=dict)
    """How many rows each other version answered, by its number."""
    answered_by: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    """Who answered each row: a place in `others`, or -1 where `own` has it."""

    def by(self, version: str) -> NDArray[np.bool_]:
        """Which rows another version answered, one of `others`."""
        return np.asarray(self.answered_by == list(self.others).index(version), dtype=bool)

    def tables(self, other: str = "") -> Iterator[pa.Table]:
        """The version's own rows, in parts: the log's own columns, `prediction`, the inputs, and its label.

        `other`: those of one of `others` instead.
        """
        if not self.path.exists():
            return
        with pa.memory_map(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                table = pa.Table.from_batches([reader.get_batch(number)])
                if other:
                    yield table.filter(pa.array(says_version(table["version"], other)))
                else:
                    yield table.filter(pa.array(of_version(table["version"], self.version))) if self.others else table


def joined(  # noqa: PLR0913 - what is read, and of whom
    store: ObjectStore, there: There, field_name: str, inputs: Sequence[str], classes: tuple[str, ...], now: datetime,
    folder: Path, version: str = "",
) -> Joined:  # fmt: skip
    """Read all of it and join it, in `folder`, which is empty; what cannot be read is said, and the rest is joined.

    `version` is the number of the one whose rows are wanted; those of others are counted.
    """
    reading, problems = Reading(), list[str]()
    taken = [name for name in inputs if name in _TAKEN]
    problems += [f"inputs called {', '.join(taken)} cannot be watched: columns of the log have these names"] if taken else []
    named = [(f"prediction_{field_name}", PREDICTION), (f"model_prediction_{field_name}", MODEL_PREDICTION)]
    named += [(f"input_{name}", name) for name in inputs if name not in _TAKEN]
    (folder / "join").mkdir()
    join = Join(folder / "join", there.rows, now)
    types = types_of(store, there.predictions, named)
    named = [(column, name) for column, name in named if name != MODEL_PREDICTION or name in types]
    for table in read(files(store, there.predictions, folder), named, reading):
        join.add_predictions(typed(table, types, reading))
    for info in there.labels:
        problems += _add_labels(store, info.key, classes, join)
    return _written(join, folder / "joined.arrow", reading, problems, version)


def _add_labels(store: ObjectStore, key: str, classes: tuple[str, ...], join: Join) -> list[str]:
    try:
        found = labels_of(key, store.get(key), classes)
    except ObjectMissingError:
        return []
    if found.table.num_rows:
        join.add_labels(found.table)
    return [f"{key}: {found.problem}"] if found.problem else []


def _written(join: Join, path: Path, reading: Reading, problems: list[str], version: str) -> Joined:
    writer: Any = None
    times: list[Micros] = []
    timed: list[NDArray[np.bool_]] = []
    labelled: list[NDArray[np.bool_]] = []
    own: list[NDArray[np.bool_]] = []
    answered_by: list[NDArray[np.int32]] = []
    delays: list[NDArray[np.float32]] = []
    others = Counter[str]()
    try:
        for table in join.joined():
            writer = writer or pa.ipc.new_file(str(path), table.schema)
            writer.write_table(table, max_chunksize=262_144)
            moments, here = micros(table["time"])
            times.append(moments)
            timed.append(here)
            labelled.append(np.asarray(table["label"].is_valid().to_numpy(), dtype=bool))
            delays.append(delays_of(table))
            own.append(of_version(table["version"], version))
            answered_by.append(_count_others(table["version"], own[-1], others))
    finally:
        if writer is not None:
            writer.close()
    more = len(problems) - _MOST_SHOWN
    shown = (*problems[:_MOST_SHOWN], *([f"{more} objects of labels more are not whole"] if more > 0 else []))
    if not times:
        return Joined(path, reading, join.counts, shown)
    counts = join.counts.model_copy(update={"delays": delay_quantiles(np.concatenate(delays))})
    flags = (np.concatenate(timed), np.concatenate(labelled), np.concatenate(own))
    moments, by = np.concatenate(times), np.concatenate(answered_by)
    return Joined(path, reading, counts, shown, moments, *flags, version, dict(others), by)


def _count_others(versions: pa.ChunkedArray, own: NDArray[np.bool_], others: Counter[str]) -> NDArray[np.int32]:
    """The place of each row's version in `others`, which counts its rows; -1 of rows that are `own`."""
    encoded = versions.combine_chunks().dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(0).to_numpy(zero_copy_only=False))
    found = np.full(len(own), -1, dtype=np.int32)
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        rows = ~own & (codes == code)
        if count := int(rows.sum()):
            number = name.partition("-")[0]
            others[number] += count
            found[rows] = list(others).index(number)
    return found


def files(store: ObjectStore, infos: Sequence[ObjectInfo], folder: Path) -> Iterator[tuple[str, Path]]:
    """The log's files as ones of this node, one at a time; what went since is passed over."""
    for info in infos:
        if isinstance(store, Directory):
            path = store.root / info.key
            if path.exists():
                yield info.key, path
            continue
        with tempfile.TemporaryDirectory(dir=folder) as own:
            path = Path(own, "log.parquet")
            try:
                store.get_file(info.key, path)
            except ObjectMissingError:
                continue
            yield info.key, path


def types_of(store: ObjectStore, infos: Sequence[ObjectInfo], named: Sequence[tuple[str, str]]) -> dict[str, pa.DataType]:
    """The type of each column: that of the newest file which has it, as the contract is now.

    A column that may be nowhere is looked for in the newest files of each day. Where others are left, its type is null, so
    that parts have one schema though one of those has it.
    """
    found: dict[str, pa.DataType] = {}
    wanted = dict(named)
    needed = {*wanted.values()} - {MODEL_PREDICTION}  # mostly there is none
    looked_in = _newest_of_each_day(infos)
    with tempfile.TemporaryDirectory() as own:
        for info in looked_in:
            for _, path in files(store, [info], Path(own)):
                try:
                    schema = pq.read_schema(path)
                except (pa.ArrowException, OSError, ValueError):
                    continue  # whoever reads it says so
                for column, name in wanted.items():
                    place = schema.get_field_index(column)  # -1 where there is none, or more than one
                    if place >= 0 and not pa.types.is_null(schema.field(place).type):
                        found.setdefault(name, schema.field(place).type)
            if needed <= {*found}:
                return found
    return found if len(looked_in) == len(infos) else dict.fromkeys(needed, pa.null()) | found


def _newest_of_each_day(infos: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """The newest first."""
    days = Counter[str]()
    chosen = []
    for info in sorted(infos, key=lambda each: each.modified, reverse=True):
        day = day_of(info.key)
        days[day] += 1
        if days[day] <= _TYPED_A_DAY:
            chosen.append(info)
    return chosen


def typed(table: pa.Table, types: dict[str, pa.DataType], reading: Reading) -> pa.Table:
    """A part with the types of the newest file: what another contract wrote otherwise is nothing, and said."""
    for place, name in enumerate(table.column_names):
        wanted = types.get(name)
        if wanted is None or table.schema.field(place).type == wanted:
            continue
        try:
            column = table.column(place).cast(wanted)
        except (pa.ArrowException, NotImplementedError):
            reading.lacking.setdefault(name, set()).add("one of another contract")
            column = pa.chunked_array([pa.nulls(table.num_rows, wanted)])
        table = table.set_column(place, name, column)
    return table
