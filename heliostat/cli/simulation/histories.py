"""What a workload's data were at each moment: of a function that reads by itself, or of rows that are ingested for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from heliostat.cli.simulation import rows as cut
from heliostat.cli.simulation.declared import Declared
from heliostat.cli.simulation.rows import Happened
from heliostat.data.augmentation import augmented
from heliostat.data.ingestion import Counted, Ingestion, codes_of, prepared, split, with_times
from heliostat.data.splits import SplitTables, TimeSplit
from heliostat.jobs.ingested_rows import Ingested, labels_of
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Tables
from heliostat.monitoring.windows import Micros, micros, to_micros
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ingestion import DataSetSource, IncrementalQuery, PredictionsSource
from heliostat.systems.errors import PermanentError

Tell = Callable[[str], None]


class History(Protocol):
    """A workload's data over time."""

    label: str
    happened: Happened
    """All that happened."""

    def known(self, now: datetime, since: datetime, until: datetime) -> Tables:
        """The data set that is made `now`, of rows from `since` on and before `until`.

        Raises:
            PermanentError: there is none.
        """


def history(asked: Declared, address: StoreAddress, column: str | None, arrived: str | None, tell: Tell) -> History:
    """The data of a workload.

    Args:
        asked: The workload.
        address: Where rows that are ingested are kept.
        column: When a row happened; None: what the ingestion says, or the first column of times.
        arrived: When a row came; None: what the ingestion says.
        tell: Who is told of what is done in another way than on a platform.

    Raises:
        PermanentError: its data cannot be simulated.
    """
    if asked.ingestion is not None:
        return IngestedHistory(asked, asked.ingestion, address, column, arrived, tell)
    if arrived is not None:
        raise ValueError(f"{asked.name} ingests nothing, so no column of its source says when a row came: leave --arrived out")
    return WholeHistory(asked, column)


class WholeHistory:
    """Data that a function reads by itself: a row's label is known a day after the row happened."""

    def __init__(self, asked: Declared, column: str | None) -> None:
        data: Any = load_entry_point(asked.dataset)(asked.data_parameters)
        if not isinstance(data, Tables):
            raise PermanentError(f"{asked.dataset} returns parts: only data that memory holds can be simulated")
        self.label = data.label
        rows = pa.concat_tables([data.train, data.validation, data.test])
        self._column = cut.time_column(rows, column)
        times, there = micros(rows[self._column])
        self.happened = Happened(rows, times, times + cut.KNOWN_AFTER_US).where(there)

    def known(self, now: datetime, since: datetime, until: datetime) -> Tables:
        """All rows of that time, split by whole days."""
        del now
        at = self.happened.at
        rows = self.happened.where((at >= to_micros(since)) & (at < to_micros(until))).rows
        return cut.by_days(rows, self._column, self.label)


class IngestedHistory:
    """Rows that are ingested, each from when it came.

    A row came at its query's cursor where that is a time, else a day after it happened; a label that people made when they
    did. What a row was before it last changed is not known: until then it is not there.
    """

    def __init__(
        self,
        asked: Declared,
        ingestion: Ingestion,
        address: StoreAddress,
        column: str | None,
        arrived: str | None,
        tell: Tell,
    ) -> None:
        if isinstance(ingestion.source, DataSetSource | PredictionsSource):
            what = "another data set" if isinstance(ingestion.source, DataSetSource) else "a prediction log"
            raise PermanentError(f"the rows are those of {what}, which lies on a platform: a simulation has none")
        self._asked, self._tell, self.label = asked, tell, ingestion.label
        self._ingestion = ingestion.model_copy(update={"until": None})
        ingested = Ingested(asked.name, ingestion, address, tell)
        self._function = load_entry_point(asked.dataset)
        self._rows = _with_times(ingested.rows(), {ingestion.time, arrived, _cursor(ingestion)} - {None})
        self._labels = labels_of(ingestion, address)[0]
        self._column = column or ingestion.time or cut.time_column(self._rows, None)
        came = self._moments(arrived)
        self._rows, self._came = self._rows.filter(pa.array(came > 0)), came[came > 0]
        self._labels_came = self._moments_of_labels()
        self._at = micros(_required(self._rows, self._column))[0]
        self._made_until: datetime | None = None
        self._made_at = 0
        self.happened = self._happened(ingestion)
        if isinstance(ingestion.split, TimeSplit):
            tell(f"the TimeSplit of {asked.name} stays where it is: in its place rows are split by whole days")

    def known(self, now: datetime, since: datetime, until: datetime) -> Tables:
        """What came by `now` and happened in that time, made by the workload's function and in its split."""
        moment = to_micros(now)
        there = (self._came <= moment) & (self._at >= to_micros(since))
        rows = self._rows.filter(pa.array(there))
        if not rows.num_rows:
            first = datetime.fromtimestamp(int(self._came.min()) / 1e6, now.tzinfo)
            raise PermanentError(
                f"no row had come by {now:%Y-%m-%d %H:%M}: the first of {self._rows.num_rows:,} came on {first:%Y-%m-%d}. "
                "Where all were loaded at once, --arrived names the column that says when each came"
            )
        counted = Counted()
        self._count_late(moment, until, counted)
        asked = self._ingestion.model_copy(update={"until": until}) if self._ingestion.time is not None else self._ingestion
        labels = self._labels
        if labels is not None and self._labels_came is not None:
            labels = labels.filter(pa.array(self._labels_came <= moment))
        made = self._made(prepared(asked, rows, labels, counted))
        if isinstance(made, pa.Table):
            splits = self._split(asked, made, counted)
            made = Tables(splits.train, splits.validation, splits.test, self.label)
        self._made_until, self._made_at = until, moment
        return replace(made, notes=(*counted.notes, *made.notes))

    def _made(self, rows: pa.Table) -> pa.Table | Tables:
        found = self._function(self._asked.data_parameters, rows)
        if not isinstance(found, pa.Table | Tables):
            raise PermanentError(
                f"{self._asked.dataset} returned {type(found).__name__}: it must return a pyarrow.Table, or Tables"
            )
        return found

    def _split(self, asked: Ingestion, made: pa.Table, counted: Counted) -> SplitTables:
        function = load_entry_point(asked.augment) if asked.augment is not None else None
        more = (lambda train: function(train, self._asked.data_parameters)) if function is not None else None
        if not isinstance(asked.split, TimeSplit):
            return split(asked, made, more, counted)
        days = cut.by_days(_with_times(made, {self._column}), self._column, self.label)
        found = SplitTables(days.train, days.validation, days.test)
        return found if more is None else augmented(found, more, asked.augment, counted.notes)

    def _count_late(self, moment: int, until: datetime, counted: Counted) -> None:
        """Count the rows that came since the data set before, and would have belonged to it.

        Raises:
            PermanentError: there are more than are declared.
        """
        if self._made_until is None or self._ingestion.time is None:
            return
        times, there = micros(self._rows[self._ingestion.time])
        came = there & (self._came <= moment)
        late = int((came & (self._came > self._made_at) & (times < to_micros(self._made_until))).sum())
        share, most = late / max(1, int((came & (times < to_micros(until))).sum())), self._ingestion.max_late
        if most is not None and share > most:
            raise PermanentError(f"{late:,} rows ({share:.2%}) came late; at most {most:.2%} may (maxLate)")
        if late:
            counted.notes.append(f"{late:,} rows ({share:.2%}) came late")

    def _moments(self, arrived: str | None) -> Micros:
        """When each row came; 0 where nothing says so: it never did."""
        name = arrived or _cursor(self._ingestion)
        if name is not None and (arrived is not None or _is_time(self._rows, name)):
            times, there = micros(_required(self._rows, name))
        else:
            times, there = micros(_required(self._rows, self._column))
            labels = self._ingestion.labels
            times = times + (0 if labels is not None and labels.time is not None else cut.KNOWN_AFTER_US)
        return np.where(there, times, 0)

    def _moments_of_labels(self) -> Micros | None:
        """When people made each label; None where nothing says so."""
        found = self._ingestion.labels
        if self._labels is None or found is None or found.time is None:
            return None
        self._labels = _with_times(self._labels, {found.time})
        times, there = micros(_required(self._labels, found.time))
        return np.where(there, times, 0)

    def _happened(self, ingestion: Ingestion) -> Happened:
        """All rows as they are in the end; where the function made others of them, a label comes after a day."""
        position = pa.array(np.arange(self._rows.num_rows))
        numbered = self._rows.append_column(_NUMBER, position)
        last = prepared(self._ingestion, numbered, self._labels, Counted())
        came = self._came[last[_NUMBER].to_numpy()]
        if self._labels is not None and ingestion.labels is not None and self._labels_came is not None:
            came = np.maximum(
                came, _newest_of(last[ingestion.labels.on], self._labels[ingestion.labels.on], self._labels_came)
            )
        last = last.drop_columns([_NUMBER])
        found = self._made(last)
        rows = pa.concat_tables([found.train, found.validation, found.test]) if isinstance(found, Tables) else found
        rows = _with_times(rows, {self._column})
        times, there = micros(_required(rows, self._column))
        usual = times + cut.KNOWN_AFTER_US
        told = _carried(last, rows, (ingestion.key, (self._column,)), came)
        known = np.where(told > 0, np.maximum(told, times), usual)
        return Happened(rows, times, known).where(there)


_NUMBER = "heliostat row number"


def _cursor(ingestion: Ingestion) -> str | None:
    return ingestion.source.cursor if isinstance(ingestion.source, IncrementalQuery) else None


def _with_times(rows: pa.Table, names: set[Any]) -> pa.Table:
    for name in sorted(names):
        rows = with_times(rows, name)
    return rows


def _is_time(rows: pa.Table, name: str) -> bool:
    kind = rows[name].type if name in rows.column_names else pa.null()
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _required(rows: pa.Table, name: str) -> pa.ChunkedArray:
    if not _is_time(rows, name):
        times = [each for each in rows.column_names if _is_time(rows, each)]
        raise ValueError(f"the data have no column of times {name!r}; they have {', '.join(times) or 'none'}")
    return rows[name]


def _newest_of(keys: pa.ChunkedArray, others: pa.ChunkedArray, moments: Micros) -> Micros:
    """Of each key the last moment among others with the same; 0 where there is none."""
    together = pa.table({"key": pa.chunked_array([*others.cast(pa.string()).chunks, *keys.cast(pa.string()).chunks])})
    codes, _ = codes_of(together, ("key",))
    newest = np.zeros(int(codes.max(initial=0)) + 1, np.int64)
    np.maximum.at(newest, codes[: len(others)], moments)
    return newest[codes[len(others) :]]


def _carried(before: pa.Table, after: pa.Table, keys: tuple[tuple[str, ...], ...], moments: Micros) -> Micros:
    """The moments of rows, for what a function made of them: row by row where it kept all in their order, else by the first
    key that it kept and that tells them apart; 0 where it did neither."""
    time = keys[-1][0]
    if before.num_rows == after.num_rows and micros(before[time])[0].tolist() == micros(after[time])[0].tolist():
        return moments
    for key in keys:
        if key and all(name in after.column_names and after[name].type == before[name].type for name in key):
            codes, _ = codes_of(pa.concat_tables([before.select(key), after.select(key)]), key)
            of, wanted = codes[: before.num_rows], codes[before.num_rows :]
            if len(np.unique(of)) == len(of):
                found = np.zeros(int(codes.max(initial=0)) + 1, np.int64)
                found[of] = moments
                return found[wanted]
    return np.zeros(after.num_rows, np.int64)
