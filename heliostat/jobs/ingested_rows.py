"""Rows from elsewhere, read once and kept: each ingestion reads what is new, and has all that was.

What lies where says `heliostat.spec.ingested`. A run that is killed has stored parts that the next one finds by their content.
A part that is gone is read again; one that had rows of a person who was deleted has a successor, which is read in its place,
and taken where the source still has all of it.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.data.ingestion import Ingestion
from heliostat.jobs import cursors
from heliostat.jobs.batch.rows import require_exact, table_of
from heliostat.jobs.decimals import notes_of
from heliostat.jobs.parent_rows import rows_of_parent
from heliostat.jobs.predicted_rows import predicted
from heliostat.jobs.rarely_told import RarelyTold
from heliostat.jobs.row_tables import in_parts, require_typed, table_of_file, together
from heliostat.spec import ingested
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import DataSource, Parent
from heliostat.spec.ingested import Part, SourceState
from heliostat.spec.ingestion import DataSetSource, FilesSource, IncrementalQuery, PredictionsSource, RowSource
from heliostat.spec.readings import Reading
from heliostat.systems import databases
from heliostat.systems.erasures import erased_parts
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, open_store
from heliostat.systems.row_files import listed, store_address, tag_of

_BATCH_ROWS: Final = 65_536
_PART_BYTES: Final = 256 << 20


class Ingested:
    """The rows of a source, those of earlier runs included."""

    def __init__(self, name: str, ingestion: Ingestion, address: StoreAddress, tell: Callable[[str], None]) -> None:
        self._name, self._ingestion, self._address, self._tell = name, ingestion, address, tell
        self._store = open_store(address)
        self._erased = erased_parts(self._store, name)
        self.notes: list[str] = []
        self._answered = ""
        """Which versions answered the rows of a prediction log."""
        self.parents: tuple[Parent, ...] = ()
        """The data sets that the rows are of."""
        self.before = self._whole(self._read())
        """What was known before."""
        self._state = SourceState()
        """How far it is read by now."""
        self._read_until: Reading | None = None

    def rows(self) -> pa.Table:
        """All rows of the source, the newest last.

        Raises:
            PermanentError: what is there cannot be read, is of several forms, or is nothing.
        """
        source = self._ingestion.source
        match source:
            case FilesSource():
                state = self._files(source)
            case IncrementalQuery():
                state = self._query(source)
            case PredictionsSource():
                table, told, self._answered = predicted(source, self._address, self._ingestion.label, self._ingestion.until)
                self.notes += told
                if not table.num_rows:
                    raise PermanentError(
                        f"no prediction of {source.application} has a label yet: nothing can be learnt from it"
                    )
                return table
            case DataSetSource():
                table, parent, told = rows_of_parent(source, self._address)
                self.notes += told
                self.parents = (parent,)
                return table
        self._store.put(self._state_key, state.model_dump_json(indent=2).encode())
        self._state = state
        if not any(part.rows for part in state.parts):
            raise PermanentError(_nothing_in(source, self._address))
        table = together(((part.uri, self._kept(part)) for part in state.parts), types=_has_types(source))
        if isinstance(source, FilesSource):
            require_typed(source, table)
        self.notes += notes_of(sum((Counter(part.rounded) for part in state.parts), Counter[str]()))
        return table

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that is known, in the order in which it counts; nothing before rows are read."""
        return self._state.parts

    def fresh(self) -> Iterator[pa.Table]:
        """The rows that the last data set had not, whether a run before read them or not; some may be in it as well."""
        known = {*self.before.made}
        return (self._kept(part) for part in self.parts if part.digest not in known)

    def earlier(self) -> Iterator[pa.Table]:
        """The rows that the last data set was made of."""
        known = {*self.before.made}
        return (self._kept(part) for part in self.before.parts if part.digest in known)

    def done(self, until: datetime | None) -> None:
        """Take note that a data set was made up to a moment."""
        if self.parts:
            # What another run left since is of another data set: it goes on from there, or reads it again.
            made = tuple(part.digest for part in self.parts)
            state = self._state.model_copy(update={"until": until, "made": made})
            self._store.put(self._state_key, state.model_dump_json(indent=2).encode())

    def require_current(self) -> None:
        """See that no person was deleted from the rows since they were read.

        Raises:
            RetryableError: somebody was.
        """
        erased = erased_parts(self._store, self._name)
        if erased.keys() != self._erased.keys():
            for digest in erased:  # one that was read again has been put again as well
                self._store.delete(ingested.part_key(self._name, digest))
            raise RetryableError("a person's rows were deleted while a data set was made of them: make it again")

    def reading(self, labels: Reading | None, later: int) -> Reading | None:
        """How far the source was read, or the labels that people made; None of what a monitor does not count.

        Args:
            labels: how far these were.
            later: how many rows happened too late to be taken.
        """
        found = labels if labels is not None else self._read_until
        return found.model_copy(update={"later": later}) if found is not None else None

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """What the rows were read from."""
        source = self._ingestion.source
        if isinstance(source, PredictionsSource):
            return (DataSource(uri=self._store.uri(f"predictions/{source.application}/"), note=self._answered),)
        if isinstance(source, DataSetSource):
            return ()  # it is a parent
        return tuple(DataSource(uri=part.uri, digest=part.digest, rows=part.rows) for part in self.parts)

    @property
    def _state_key(self) -> str:
        return ingested.state_key(self._name, ingested.digest_of_source(self._ingestion.source))

    def _read(self) -> SourceState:
        try:
            found = SourceState.model_validate_json(self._store.get(self._state_key))
        except ObjectMissingError:
            return SourceState()
        return found.without_people(self._erased)

    def _whole(self, state: SourceState) -> SourceState:
        """What was read, without what is gone of it; a query is read from its beginning then."""
        found = (ingested.place(info.key) for info in self._store.list(f"{ingested.top(self._name)}parts/"))
        there = {place[2] for place in found if place is not None}
        for digest in there & self._erased.keys():  # a run that was killed beside a deletion put it again
            self._store.delete(ingested.part_key(self._name, digest))
        parts = tuple(part for part in state.parts if part.digest in there)
        if len(parts) == len(state.parts):
            return state
        self.notes.append(f"{len(state.parts) - len(parts)} parts that were read before are gone, and are read again")
        if isinstance(self._ingestion.source, IncrementalQuery):
            # In other parts than before: which of its rows came late is not known.
            return state.model_copy(update={"parts": (), "cursor": None, "until": None})
        return state.model_copy(update={"parts": parts})

    def _kept(self, part: Part) -> pa.Table:
        return pq.read_table(pa.BufferReader(self._store.get(ingested.part_key(self._name, part.digest))))

    def _schema_of(self, parts: list[Part]) -> pa.Schema | None:
        """The columns of the first part and of the last: a table may have got some since."""
        ends = [*parts[:1], *parts[1:][-1:]]
        return pa.unify_schemas([self._kept(part).schema for part in ends], promote_options="permissive") if ends else None

    def _keep(self, uri: str, tag: str, table: pa.Table, rounded: Mapping[str, int] | None = None) -> Part:
        content = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(None), content, compression="zstd")
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        part = Part(uri=uri, tag=tag, digest=digest, rows=table.num_rows, rounded=rounded or {})
        if digest in self._erased:
            return ingested.part_now(part, self._erased)
        # Also where it is there: what nothing named was old, and is new again, so that it is not pruned beside us.
        self._store.put(ingested.part_key(self._name, digest), content.getvalue())
        return part

    def _files(self, source: FilesSource) -> SourceState:
        known = {(part.uri, part.tag): part for part in self.before.parts}
        parts, went = list[Part](), list[str]()
        store = open_store(store_address(source, self._address))
        files = listed(source, store)
        told = RarelyTold(self._tell)
        for number, info in enumerate(files):
            uri, tag = store.uri(info.key), tag_of(info)
            part = known.get((uri, tag))
            if part is None:
                told(f"reading {uri} ({number + 1:,} of {len(files):,} files)")
                try:
                    content = store.get(info.key)
                except ObjectMissingError:
                    went.append(uri)
                    continue
                part = self._keep(uri, tag, table_of_file(source, uri, content))
            parts.append(part)
        if went:
            self.notes.append(f"{len(went)} files went while others were read, as {min(went)}")
        gone = {part.uri for part in self.before.parts} - {part.uri for part in parts}
        if gone:
            self.notes.append(f"{len(gone)} files that were read before are gone, and their rows with them, as {min(gone)}")
        rows, size = sum(part.rows for part in parts), sum(info.size for info in files)
        self._read_until = Reading(source=ingested.digest_of_source(source), rows=rows, size=size)
        return self.before.model_copy(update={"parts": tuple(parts)})

    def _query(self, source: IncrementalQuery) -> SourceState:
        since = self.before.cursor
        parts = [*self.before.parts]
        schema = self._schema_of(parts)
        newest = since
        with databases.reading(source.database, cursors.asked(source, since, self._ingestion.key), _BATCH_ROWS) as rows:
            if source.cursor not in rows.names:
                raise PermanentError(
                    f"the query has no column {source.cursor!r} to go on from; it has {', '.join(rows.names)}"
                )
            rounded, exact = Counter[str](), (*self._ingestion.key, source.cursor)
            read = (table_of(rows.names, batch, {}, schema, rows.types, rounded) for batch in rows.batches)
            for tables in in_parts(read, _PART_BYTES):
                require_exact(rounded, exact, "by which rows are told apart or read on")
                table = together(("the query", each) for each in tables)
                schema = table.schema
                last = cursors.greatest(source.cursor, table[source.cursor])
                newest = cursors.later(newest, last)
                stretch = f"{since} to {last}" if since is not None else f"to {last}"
                part = self._keep(f"query {source.cursor} {stretch}", str(last), table, dict(+rounded))
                rounded.clear()
                self._tell(f"read {table.num_rows:,} rows of the query")
                if part.digest not in {each.digest for each in parts}:
                    parts.append(part)
            if self._ingestion.labels is None and self._ingestion.label in rows.names:
                (again,) = rows.first(cursors.counted(source, newest, self._ingestion.label))
                self._read_until = Reading(source=ingested.digest_of_source(source), cursor=newest, again=again)
        return self.before.model_copy(update={"parts": tuple(parts), "cursor": newest})


def labels_of(ingestion: Ingestion, own: StoreAddress) -> tuple[pa.Table | None, tuple[DataSource, ...], Reading | None]:
    """The labels of people, where there are any, where from, and how far they were read.

    Raises:
        PermanentError: a file cannot be read.
    """
    if ingestion.labels is None:
        return None, (), None
    source = ingestion.labels.files
    store = open_store(store_address(source, own))
    contents, size = list[tuple[str, bytes]](), 0
    for info in listed(source, store):
        with suppress(ObjectMissingError):  # somebody took it back since
            contents.append((store.uri(info.key), store.get(info.key)))
            size += info.size
    if not contents:
        raise PermanentError(f"there are no labels at {source.uri}: no file ends with {_endings(source)}")
    tables = [table_of_file(source, uri, content) for uri, content in contents]
    told = [
        DataSource(uri=uri, digest=hashlib.sha256(content).hexdigest(), rows=table.num_rows, note="labels")
        for (uri, content), table in zip(contents, tables, strict=True)
    ]
    rows = sum(table.num_rows for table in tables)
    reading = Reading(source=ingested.digest_of_source(source), rows=rows, size=size)
    found = together(zip([uri for uri, _ in contents], tables, strict=True), types=_has_types(source))
    require_typed(source, found)
    return found, tuple(told), reading


def _nothing_in(source: FilesSource | IncrementalQuery, own: StoreAddress) -> str:
    if isinstance(source, IncrementalQuery):
        return f"the source has no rows: the query answered none: {source.query}"
    others = [info.key for info in open_store(store_address(source, own)).list() if not info.key.endswith(source.endings)]
    beside = f"; there is {min(others)}: is it of another `format`, or compressed otherwise?" if others else ""
    return f"the source has no rows: no file below {source.uri} ends with {_endings(source)} and has some{beside}"


def _endings(source: FilesSource) -> str:
    *others, last = source.endings
    return f"{', '.join(others)} or {last}" if others else last


def _has_types(source: RowSource) -> bool:
    return isinstance(source, FilesSource) and source.format != "parquet"
