"""Rows that an application answered, with the labels that came for them: the prediction log joined with the ground truth."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliostat.data.ingestion import before
from heliostat.ml.ground_truth import prefix as labels_prefix
from heliostat.monitoring.join import Join
from heliostat.monitoring.label_objects import labels_of
from heliostat.monitoring.logged import COMMON, Reading, read
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ingestion import PredictionsSource
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, contents, open_store

_DAY: Final = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/")
_ROW_BYTES: Final = 100
"""Of a prediction in the log, about: how many partitions a join needs is guessed by it."""
_KEPT: Final = ("request_id", "row", "time")
_ANSWERED: Final = "answered by the versions "
"""What a source says of the versions whose answers it is of begins with."""


def predicted(
    source: PredictionsSource, address: StoreAddress, label: str, until: datetime | None
) -> tuple[pa.Table, tuple[str, ...], str]:
    """The answered rows before a moment that have a label, the oldest first; what was odd on the way; and which versions
    answered them.

    Raises:
        PermanentError: there is no log, or the log has not got a field.
    """
    store = open_store(address)
    files = [
        info
        for info in store.list(f"predictions/{source.application}/")
        if info.key.endswith(".parquet") and not _is_after(info.key, until)
    ]
    if not files:
        raise PermanentError(f"there is no prediction log of {source.application} in {address.uri}")
    reading, told = Reading(), []
    columns = [(f"input_{name}", name) for name in source.fields]
    schema = _schema(store, [info.key for info in files], columns)
    with tempfile.TemporaryDirectory(prefix="heliostat-join-") as folder:
        join = Join(Path(folder, "join"), sum(info.size for info in files) // _ROW_BYTES, datetime.now(UTC))
        for key in [info.key for info in files]:
            for table in read(_there(store, key), columns, reading):
                kept = table if until is None else table.filter(before(table["time"], "time", until))
                join.add_predictions(kept.cast(schema))
        for key, content in contents(store, labels_prefix(source.application)):
            labels = labels_of(key, content)
            join.add_labels(labels.table)
            if labels.problem:
                told.append(f"{key}: {labels.problem}")
        tables = [table.filter(pc.is_valid(table["label"])) for table in join.joined()]
    counts = join.counts
    told += [*reading.problems, *counts.problems]
    told.append(f"{counts.labelled:,} of {counts.predictions:,} predictions have a label; the others are left out")
    if counts.weighed:
        told.append(
            f"{counts.weighed:,} labels came of reviews alone: of these rows more are such that the model was unsure of than "
            "of all answers, and a row does not say how likely it was chosen"
        )
    rows = pa.concat_tables(tables) if tables else schema.empty_table().append_column("label", pa.array([], pa.float64()))
    numbers = {str(each).partition("-")[0] for each in rows["version"].unique().to_pylist() if each} if tables else set()
    rows = rows.select([*_KEPT, *source.fields, "label"]).sort_by(
        [("time", "ascending"), ("request_id", "ascending"), ("row", "ascending")]
    )
    return rows.rename_columns([*_KEPT, *source.fields, label]), tuple(told), versions_note(numbers)


def versions_note(numbers: Collection[str]) -> str:
    """What a source says of the versions whose answers it is of; `versions_in` reads it."""
    return _ANSWERED + ", ".join(sorted(numbers, key=lambda each: (len(each), each))) if numbers else ""


def versions_in(note: str) -> list[str]:
    """The numbers of the versions in a source's note, in their order."""
    return note.removeprefix(_ANSWERED).split(", ") if note.startswith(_ANSWERED) else []


def _there(store: ObjectStore, key: str) -> list[tuple[str, pa.BufferReader]]:
    """A file of the log; none where it went since, with the last person who was in it."""
    try:
        return [(key, pa.BufferReader(store.get(key)))]
    except ObjectMissingError:
        return []


def _is_after(key: str, until: datetime | None) -> bool:
    day = _DAY.search(key)
    return until is not None and day is not None and day[1] > until.astimezone(UTC).date().isoformat()


def _schema(store: ObjectStore, keys: list[str], columns: list[tuple[str, str]]) -> pa.Schema:
    """The types of the columns, as the newest file that can be read has them."""
    for found in _schemas(store, reversed(keys)):
        if lacking := [name for name, _ in columns if name not in found.names]:
            raise PermanentError(
                f"the prediction log has no column {', '.join(lacking)}: name fields of the contract in `fields`; it has "
                f"{', '.join(name.removeprefix('input_') for name in found.names if name.startswith('input_'))}"
            )
        return pa.schema([*COMMON, *(pa.field(as_, found.field(name).type) for name, as_ in columns)])
    raise PermanentError(f"no file of the prediction log can be read, as {keys[-1]}")


def _schemas(store: ObjectStore, keys: Iterator[str]) -> Iterator[pa.Schema]:
    for key in keys:
        try:
            yield pq.read_schema(pa.BufferReader(store.get(key)))
        except (ObjectMissingError, pa.ArrowException, OSError):
            continue
