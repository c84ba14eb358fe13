"""How many rows are new in the source of a workload's data since those of the version that serves were read.

Nothing is read for it: a database counts the rows from its last cursor on, and of files a listing and the footers of Parquet
tell it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow.parquet as pq
from pydantic import ValidationError

from heliostat.jobs import cursors
from heliostat.jobs.makings import making_of
from heliostat.monitoring.new_data import NewRows
from heliostat.spec import ingested
from heliostat.spec.data_sets import Making
from heliostat.spec.ingested import Part, SourceState
from heliostat.spec.ingestion import FilesSource, IncrementalQuery, WatchedSource
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.readings import Reading
from heliostat.systems import databases
from heliostat.systems.erasures import erased_parts
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectInfo, ObjectMissingError, ObjectStore, open_store
from heliostat.systems.row_files import footer, listed, store_address, tag_of

_MOST_FOOTERS: Final = 256
"""Files whose footers are read in a look; of more, their size tells."""
_SECONDS: Final = 60
"""How long a database may count."""


def new_rows(specification: MonitorSpecification, store: ObjectStore) -> NewRows | None:
    """What is new; None where the workload ingests nothing that is counted here."""
    watched = specification.new_data
    if watched is None:
        return None
    place = watched.place
    try:
        making = making_of(store, *specification.dataset_key.split("/")[1:])
        reading = _reading(making, watched, specification.model_uri)
        if isinstance(watched.source, IncrementalQuery):
            rows, about = _of_query(watched.source, watched.label, reading), False
        else:
            rows, about = _Files(watched.source, watched.label, specification, store).new(making, reading)
    except (PermanentError, RetryableError) as error:
        return NewRows(place=place, problem=" ".join(str(error).split()))
    return NewRows(place=place, rows=rows + reading.later, about=about)


def _reading(making: Making | None, watched: WatchedSource, model_uri: str) -> Reading:
    """How far the source was read for a version.

    Raises:
        PermanentError: that is not known.
    """
    if making is None or making.reading is None:
        raise PermanentError(f"how far it was read for {model_uri} was not kept; the next data set that is made of it says so")
    if making.reading.source != ingested.digest_of_source(watched.source):
        raise PermanentError(f"the data of {model_uri} were read from another source, or by another query")
    return making.reading


def _of_query(source: IncrementalQuery, label: str, reading: Reading) -> int:
    """The rows from where the next run looks again, but those that were there."""
    (found,) = databases.first_row(source.database, cursors.counted(source, reading.cursor, label), _SECONDS)
    return max(0, int(found) - reading.again)


class _Files:
    """The files of a source, as they are now."""

    def __init__(self, source: FilesSource, label: str, specification: MonitorSpecification, own: ObjectStore) -> None:
        self._source, self._label, self._own = source, label, own
        self._name, self._own_address = specification.dataset_key.split("/")[1], specification.store
        self._address = store_address(source, specification.store)
        self._store = open_store(self._address)
        self._files = listed(source, self._store)

    def new(self, making: Making | None, reading: Reading) -> tuple[int, bool]:
        """How many labelled rows are new, and whether only their size says so."""
        then = {each.uri: each for each in making.sources} if making is not None else {}
        read = {each.digest for each in then.values()}
        if self._source.format != "parquet":
            return self._by_size(reading), True
        known = self._known()
        parts = {info.key: known.get((self._store.uri(info.key), tag_of(info))) for info in self._files}
        others = [info for info in self._files if not _is_among(parts[info.key], read)]
        if len(others) > _MOST_FOOTERS:
            return self._by_size(reading), True
        rows = 0
        for info in others:
            before = then.get(self._store.uri(info.key))
            rows += max(0, self._rows(info, parts[info.key]) - (self._kept(before.digest, before.rows or 0) if before else 0))
        return rows, False

    def _by_size(self, reading: Reading) -> int:
        """As many rows a byte as there were then."""
        grown = sum(info.size for info in self._files) - reading.size
        return round(max(0, grown) * reading.rows / reading.size) if reading.size else 0

    def _known(self) -> Mapping[tuple[str, str], Part]:
        """The files that were read since, by what tells that they changed."""
        key = ingested.state_key(self._name, ingested.digest_of_source(self._source))
        try:
            state = SourceState.model_validate_json(self._own.get(key)).without_people(erased_parts(self._own, self._name))
        except (ObjectMissingError, ValidationError):
            return {}
        return {(part.uri, part.tag): part for part in state.parts}

    def _rows(self, info: ObjectInfo, part: Part | None) -> int:
        if part is not None:
            return self._kept(part.digest, part.rows)
        return _labelled(footer(self._address, info.key), self._label)

    def _kept(self, digest: str, rows: int) -> int:
        """The labelled rows of a part that an ingestion kept; all of them where it is gone."""
        key = ingested.part_key(self._name, digest)
        return _labelled(footer(self._own_address, key), self._label) if self._own.exists(key) else rows


def _is_among(part: Part | None, digests: set[str]) -> bool:
    return part is not None and part.digest in digests


def _labelled(found: pq.FileMetaData, label: str) -> int:
    """The rows of a file that have a label, as far as its footer knows which have none."""
    missing = 0
    for number in range(found.num_row_groups):
        group = found.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema == label and column.statistics is not None and column.statistics.has_null_count:
                missing += column.statistics.null_count
    return int(found.num_rows - missing)
