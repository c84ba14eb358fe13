"""From rows as they came to the splits of a data set: newest rows, labels of people, times, a declared split. Pure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from heliostat.data.augmentation import augmented
from heliostat.data.codes import Coded, coded, coded_texts
from heliostat.data.columns import is_text
from heliostat.data.splits import GroupSplit, LatestSplit, Split, SplitTables, TimeSplit, in_utc
from heliostat.spec.base import EntryPoint, Model, is_empty, is_none
from heliostat.spec.ingestion import DataSetSource, DataSettings, FilesSource, IncrementalQuery, RowSource, WatchedSource

_NAMED: Final = 5
"""Texts that a mistake names."""


class LabelsSource(Model):
    """Labels that people made, in files of their own."""

    files: FilesSource
    """With a column of the same name as the rows' `on`, one with the label, and where `time` names one, when it was made."""
    on: str
    """The column that says of which row a label is."""
    column: str = "label"
    """The label's column in the files."""
    time: str | None = Field(default=None, exclude_if=is_none)
    """Of several labels of a row the newest counts; without a time the last, in the order of the files."""


class Ingestion(Model):
    """How a data set is made of rows from elsewhere."""

    source: RowSource
    """Where they are."""
    label: str
    """The column to predict."""
    split: Annotated[TimeSplit | LatestSplit | GroupSplit, Field(discriminator="kind")]
    """Which rows are trained on, validated and tested with; the latest are those before `until`."""
    key: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The columns that name a row; of several rows with the same the newest counts. By default all rows count."""
    time: str | None = Field(default=None, exclude_if=is_none)
    """The column that says when a row happened; `until` is of it. Text in it, as SQLite has it, is read as ISO 8601."""
    until: datetime | None = Field(default=None, exclude_if=is_none)
    """Rows from this moment on are left out. Another one is another data set: it is how new data is asked for."""
    labels: LabelsSource | None = Field(default=None, exclude_if=is_none)
    """Labels of people; rows without one are left out."""
    augment: EntryPoint | None = Field(default=None, exclude_if=is_none)
    """A function `(train, parameters) -> table` of further rows, which the train split gets, and no other."""
    max_late: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, exclude_if=is_none)
    """The share of rows that may come after a data set was made to which they would have belonged; more fail it."""

    def settled(self, settings: DataSettings | None) -> Ingestion:
        """What a stack says put in, and held together.

        Raises:
            ValueError: it says not up to when rows are taken, which nothing else tells.
        """
        given = settings or DataSettings()
        changes = {"source": given.source or self.source, "until": given.until or self.until}
        found = Ingestion.model_validate({**self.model_dump(), **changes})
        if found.until is None and not isinstance(found.source, FilesSource | DataSetSource):
            what = "query" if isinstance(found.source, IncrementalQuery) else "prediction log"
            raise ValueError(
                f"rows of a {what} are taken up to a moment: name it in `data.until` of the workload's section; a later one "
                "asks for new rows"
            )
        if found.until is None and isinstance(found.split, LatestSplit):
            raise ValueError(
                "the split is of the latest rows before a moment: name it in `data.until` of the workload's section"
            )
        return found

    @property
    def boundaries(self) -> Split:
        """The split, where it begins and ends.

        Raises:
            ValueError: it is of the latest rows before `until`, and there is none.
        """
        if not isinstance(self.split, LatestSplit):
            return self.split
        if self.until is None:
            raise ValueError("the split is of the latest rows before `until`, and there is none")
        return self.split.before(self.until)

    @property
    def watched(self) -> WatchedSource | None:
        """What a monitor counts new rows of; None of what its log, or what is upstream, tells."""
        if self.labels is not None:
            return WatchedSource(source=self.labels.files, label=self.labels.column)
        if isinstance(self.source, FilesSource | IncrementalQuery):
            return WatchedSource(source=self.source, label=self.label)
        return None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = []
        if self.until is not None and self.time is None:
            wrong.append("`until` is a moment of `time`: name the column that says when a row happened")
        if isinstance(self.split, LatestSplit) and self.split.column != self.time:
            of = f"`until` is of `{self.time or 'time'}`"
            wrong.append(f"the latest rows are told by {self.split.column!r}, and {of}: let both be one column")
        if isinstance(self.source, IncrementalQuery) and not self.key:
            wrong.append("a query reads rows again that changed: name the columns that tell them in `key`")
        if self.labels is not None and self.labels.column == self.labels.on:
            wrong.append(f"the labels are {self.labels.column!r} and are joined on it: name two columns")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


@dataclass
class Counted:
    """What became of the rows on the way, in words."""

    notes: list[str] = field(default_factory=list)
    later: int = 0
    """Labelled rows that happened too late to be taken."""

    def less(self, before: pa.Table, after: pa.Table, why: str) -> pa.Table:
        """Take note of rows that are left out."""
        if count := before.num_rows - after.num_rows:
            self.notes.append(f"{count:,} of {before.num_rows:,} rows are left out: {why}")
        return after


def prepared(ingestion: Ingestion, rows: pa.Table, labels: pa.Table | None, counted: Counted) -> pa.Table:
    """The rows that count, with their labels, from all that came, the oldest first.

    Raises:
        ValueError: a column that is named is not there, of a type that does not fit, or has texts that are no times.
    """
    needed = [
        *ingestion.key,
        *([ingestion.time] if ingestion.time else []),
        *([ingestion.labels.on] if ingestion.labels else []),
    ]
    _require(rows, needed, "the rows")
    rows = timed(ingestion, rows)
    if ingestion.key:
        rows = counted.less(
            rows, newest(rows, ingestion.key), f"the same {', '.join(ingestion.key)} came again, and the last one counts"
        )
    if ingestion.until is not None and ingestion.time is not None:
        times = rows[ingestion.time]
        in_time = before(times, ingestion.time, ingestion.until)
        counted.later = _labelled_rows(ingestion, rows.filter(pc.and_(pc.invert(in_time), pc.is_valid(times))), labels)
        kept = rows.filter(in_time)
        rows = counted.less(rows, kept, f"{ingestion.time} is from {ingestion.until.isoformat()} on, or missing")
    if ingestion.labels is not None and labels is not None:
        rows = counted.less(rows, labelled(rows, labels, ingestion.labels, ingestion.label), "nobody has labelled them")
    _require(rows, [ingestion.label], "the rows")
    known = rows.filter(_is_known(rows[ingestion.label]))
    return counted.less(rows, known, f"their label {ingestion.label} is missing")


def _labelled_rows(ingestion: Ingestion, rows: pa.Table, labels: pa.Table | None) -> int:
    """How many rows have a label."""
    if ingestion.labels is not None and labels is not None:
        return int(labelled(rows, labels, ingestion.labels, ingestion.label).num_rows)
    if ingestion.label not in rows.column_names:
        return 0
    return int(pc.sum(_is_known(rows[ingestion.label])).as_py() or 0)


def _is_known(label: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which rows have a label: NaN is none."""
    return pc.invert(pc.is_null(label, nan_is_null=pa.types.is_floating(label.type)))


def newest(rows: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """The last row of each key, in the order in which these are; rows without a key are each by themselves."""
    codes, missing = codes_of(rows, key)
    codes = np.where(missing, -1 - np.arange(rows.num_rows), codes)
    _, last = np.unique(codes[::-1], return_index=True)
    return rows.take(pa.array(np.sort(rows.num_rows - 1 - last)))


def timed(ingestion: Ingestion, rows: pa.Table) -> pa.Table:
    """The rows, their `time` as a time where it is text: in UTC, as is text without a zone.

    Raises:
        ValueError: a text is no time.
    """
    return with_times(rows, ingestion.time) if ingestion.time is not None else rows


def with_times(rows: pa.Table, name: str) -> pa.Table:
    """The rows, one of their columns as times where it is text: in UTC, as is text without a zone.

    Raises:
        ValueError: a text is no time.
    """
    if name not in rows.column_names:
        return rows
    kind = rows[name].type
    if not pa.types.is_null(kind) and (pa.types.is_boolean(kind) or not is_text(kind)):
        return rows
    texts = coded_texts(rows[name])
    times, wrong = [], []
    for text in texts.values.to_pylist():
        try:
            times.append(in_utc(datetime.fromisoformat(text)))
        except ValueError:
            wrong.append(text)
    if wrong:
        rest = f" and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
        raise ValueError(
            f"the column {name!r} holds texts that are no times: {', '.join(map(repr, wrong[:_NAMED]))}{rest}; give ISO 8601, "
            "as 2026-03-01T12:00:00Z, or cast it to a timestamp in the source"
        )
    places = pa.array(texts.codes, mask=texts.codes < 0)
    found = pa.array(times, pa.timestamp("us", "UTC")).take(places)
    return rows.set_column(rows.column_names.index(name), name, found)


def before(times: pa.ChunkedArray, name: str, until: datetime) -> pa.ChunkedArray:
    """Which rows happened before a moment. A time without a zone counts as UTC.

    Raises:
        ValueError: the column holds no times.
    """
    if pa.types.is_date(times.type):
        return pc.less(times.cast(pa.date32()), pa.scalar(in_utc(until).date(), pa.date32())).fill_null(False)
    if not pa.types.is_timestamp(times.type):
        raise ValueError(
            f"the column {name!r} is of type {times.type}: a time is needed; cast it to a timestamp in the source"
        )
    moment = in_utc(until) if times.type.tz is not None else in_utc(until).replace(tzinfo=None)
    return pc.less(times, pa.scalar(moment, pa.timestamp("us", times.type.tz))).fill_null(False)


def labelled(rows: pa.Table, labels: pa.Table, source: LabelsSource, label: str) -> pa.Table:
    """The rows that have a label, with it as their column `label`.

    Raises:
        ValueError: the labels lack a column.
    """
    _require(labels, [source.on, source.column, *([source.time] if source.time else [])], "the labels")
    # Without what it is of, a label would be of each row that does not say that either.
    labels = labels.filter(pc.and_(_is_known(labels[source.column]), pc.is_valid(labels[source.on])))
    if source.time is not None:
        timed = pc.is_valid(labels[source.time])
        labels = pa.concat_tables([labels.filter(pc.invert(timed)), labels.filter(timed).sort_by(source.time)])
    labels = newest(labels, (source.on,))
    places = pc.index_in(_as_keys(rows[source.on]), _as_keys(labels[source.on]).combine_chunks())
    known = pc.is_valid(places)
    kept = rows.filter(known)
    values = labels[source.column].take(places.filter(known))
    if label in kept.column_names:
        return kept.set_column(kept.column_names.index(label), label, values)
    return kept.append_column(label, values)


def _as_keys(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What rows and labels are joined by: values as they are written; whole numbers of doubles as those of integers are."""
    if pa.types.is_floating(column.type):
        with suppress(pa.ArrowInvalid):  # not all are whole
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def split(
    ingestion: Ingestion, rows: pa.Table, augment: Callable[[pa.Table], pa.Table] | None, counted: Counted
) -> SplitTables:
    """The splits, the train split with further rows where there are some. These are made of the train split alone, and none of
    them comes into another one.

    Raises:
        ValueError: a column to split by is not there, or the further rows have other columns.
    """
    found = ingestion.boundaries.apply(rows)
    counted.notes += found.notes
    return found if augment is None else augmented(found, augment, ingestion.augment, counted.notes)


def require_rows(found: SplitTables, counted: Counted) -> None:
    """See that each split has rows.

    Raises:
        ValueError: one has none; with what became of the rows.
    """
    if empty := [name for name, table in found if not table.num_rows]:
        notes = "".join(f"; {note}" for note in counted.notes)
        rest = sum(table.num_rows for _, table in found)
        raise ValueError(f"no row is in the {', the '.join(empty)} split, {rest:,} are in others{notes}")


def codes_of(rows: pa.Table, columns: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A number for each row, the same where all of these columns are, and whether one of them is missing."""
    codes = np.zeros(rows.num_rows, np.int64)
    missing = np.zeros(rows.num_rows, np.bool_)
    for name in columns:
        of_column = _coded(rows[name])
        missing |= of_column.codes < 0
        _, codes = np.unique(codes * (len(of_column.values) + 1) + of_column.codes + 1, return_inverse=True)
    return codes, missing


def _require(table: pa.Table, names: list[str], what: str) -> None:
    if lacking := [name for name in dict.fromkeys(names) if name not in table.column_names]:
        there = ", ".join(table.column_names) or "none"
        raise ValueError(f"{what} have no column {', '.join(map(repr, lacking))}; they have {there}")


def _coded(column: pa.ChunkedArray) -> Coded:
    if pa.types.is_nested(column.type):  # Arrow tells no lists apart
        column = pa.chunked_array(
            [pa.array([None if each is None else repr(each) for each in column.to_pylist()], pa.string())]
        )
    return coded(column)
