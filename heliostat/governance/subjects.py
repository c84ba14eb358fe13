"""Whose rows are meant: the field that says so, and all that may stand in it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliostat.serving.personal import subjects_of
from heliostat.serving.prediction_log.arrow import columns_in
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore
from heliostat.systems.personal_keys import Keyring

_FILES = 20
"""Of the newest of a prediction log, which are asked for the field."""


@dataclass(frozen=True)
class Subject:
    """A person, by the field that says whose row it is."""

    field: str
    value: str
    """As the person's requests have it, in clear."""
    tokens: frozenset[str]
    """What is written in its place, by each key."""

    @classmethod
    def of(cls, field: str, value: str, keys: Keyring) -> Subject:
        """The person with that value."""
        return cls(field, value, keys.tokens(value))

    @property
    def values(self) -> tuple[str | int, ...]:
        """All that a database may have in the field."""
        return (self.value, *sorted(self.tokens), *((int(self.value),) if self._is_number else ()))

    @property
    def _is_number(self) -> bool:
        return self.value.removeprefix("-").isdecimal()

    def rows_in(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which values of a column, hashed or in clear, are theirs."""
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            found = pc.is_in(column.cast(pa.string()), pa.array([self.value, *sorted(self.tokens)], pa.string()))
        elif pa.types.is_integer(kind) and self._is_number:
            found = pc.equal(column, pa.scalar(int(self.value)))
        else:
            found = pa.chunked_array([pa.array([False] * len(column))])
        return pc.fill_null(found, False)


def subject_field(store: ObjectStore, application: str) -> str:
    """The field that an application's contract marks as `subject`, as its prediction log knows it.

    Raises:
        PermanentError: none is marked, or there is no prediction log that could say.
    """
    infos = sorted(store.list(f"predictions/{application}/"), key=lambda info: info.modified, reverse=True)
    for info in infos[:_FILES]:
        columns = columns_in(pq.read_schema(io.BytesIO(store.get(info.key))))
        if columns is not None and (fields := subjects_of(columns)):
            return fields[0]
    why = "its contract marks none as `subject`" if infos else "it has no prediction log that could say"
    raise PermanentError(f"which field of {application} says whose row it is is not known: {why}; name it with --field")
