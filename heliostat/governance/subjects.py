"""Whose rows are meant: the field that says so, and all that may stand in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliostat.serving.personal import subjects_of
from heliostat.serving.prediction_log.arrow import columns_in
from heliostat.serving.prediction_log.columns import Columns
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore
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
            return pc.fill_null(found, False)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found = [pc.equal(_plain(chunk), wanted) for chunk in column.chunks] if (wanted := self._number(kind)) else None
        else:
            found = [self._found(chunk) for chunk in column.chunks]
        nobody = pa.array([False] * len(column))
        return pc.fill_null(pa.chunked_array(found if found is not None else [nobody], pa.bool_()), False)

    def is_in(self, value: object) -> bool:
        """Whether a value of a row that JSON has is theirs, hashed or in clear."""
        return not isinstance(value, bool) and value in self.values

    def _number(self, kind: pa.DataType) -> pa.Scalar | None:
        """The value as a number of a type, which of a column with missing values may be no integer; None where it is none."""
        try:
            number = int(self.value) if self._is_number else None
            wanted = pa.scalar(number if pa.types.is_integer(kind) or number is None else float(number), kind)
        except (pa.ArrowInvalid, OverflowError):
            return None
        return wanted if number is not None and wanted.as_py() == number else None

    def _found(self, chunk: pa.Array) -> pa.Array:
        try:
            encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        except pa.ArrowNotImplementedError:  # of what is nested, of extensions, and of some more
            return pa.array([self._is_them(value) for value in chunk.to_pylist()], pa.bool_())
        return pa.array([self._is_them(value) for value in encoded.dictionary.to_pylist()], pa.bool_()).take(encoded.indices)

    def _is_them(self, value: Any) -> bool:
        """Whether a value of a type that is neither text nor a plain number is theirs."""
        if value is None or isinstance(value, bool | float):
            return False
        if isinstance(value, int | Decimal):
            return self._is_number and value == int(self.value)
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        return text == self.value or text in self.tokens


def _plain(chunk: pa.Array) -> pa.Array:
    return chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk


def subject_field(store: ObjectStore, application: str) -> str:
    """The field that an application's contract marks as `subject`, as its prediction log knows it.

    Raises:
        PermanentError: none is marked, or there is no prediction log that could say.
    """
    found = list(_logged(store, application))
    for columns in found:
        if fields := subjects_of(columns):
            return fields[0]
    why = "its contract marks none as `subject`" if found else "it has no prediction log that could say"
    raise PermanentError(f"which field of {application} says whose row it is is not known: {why}; name it with --field")


def marked_fields(store: ObjectStore, application: str) -> frozenset[str]:
    """The fields that an application's contract marks as personal, by all names, as its newest prediction log knows them."""
    newest = next(_logged(store, application), Columns())
    return frozenset(name for column in newest.input if column.kind.has_secrets for name in (column.name, *column.also))


def _logged(store: ObjectStore, application: str) -> Iterator[Columns]:
    """What the newest files of a prediction log say of its columns, the newest first; one that is damaged says nothing."""
    infos = sorted(store.list(f"predictions/{application}/"), key=lambda info: info.modified, reverse=True)
    for info in infos[:_FILES]:
        try:
            columns = columns_in(pq.read_schema(io.BytesIO(store.get(info.key))))
        except (ObjectMissingError, pa.ArrowException, OSError):
            continue
        if columns is not None:
            yield columns
